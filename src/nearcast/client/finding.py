"""Who to ask for a root: the holders its link named, the nodes on the LAN, the nodes in the configuration; then, where
these have nothing, whoever the overlay and the registry name (asking.py).

All of one kind are probed at once and have PROBE_TIMEOUT_S to answer, so that a thing that nobody has is known to be
missing quickly, with each node's answer in the message.

What is found are answers; choosing.py decides whom to ask, supply.py asks.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice

from nearcast.client.asking import Answer, Asking
from nearcast.client.choosing import Offering, Prospect, promising
from nearcast.client.discovery import NOBODY_FAR, Discovery
from nearcast.clock import Clock
from nearcast.content.cid import Cid
from nearcast.delivery.source import Source
from nearcast.delivery.trail import MARKS_MAX, Trail, begin
from nearcast.errors import NearcastError, NotFoundError, RefusedError, UnavailableError
from nearcast.naming.link import Link
from nearcast.overlay.peers import PeerBook
from nearcast.tasks import in_thread
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

PROBE_TIMEOUT_S = 0.8  # a miss with ten peers is to be answered within 1 s
GRACE_S = 0.05  # guess: nodes on one LAN or in one city answer within it
PROBED_PEERS_MAX = 32
REMEMBERED_ROOTS_MAX = 4096
LAN_GRACE_S = 3.0  # a command waits so long for a first node of the LAN; measured: 0.6 to 2.6 s from its start
LISTED = "does not serve it: it is on the chain's blacklist"


@dataclass(frozen=True, slots=True)
class _Hints:
    peers: tuple[PeerAddress, ...]
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """How far a search goes: `peers_max` are asked, for `patience_s`, of whom none may be on the trail already.

    `max_price_units_per_gib`: an answer that asks more is as good as none; 0: whoever asks for money is not waited for.
    `looks_far`: whether the overlay is asked when the others have nothing.
    """

    trail: Trail
    max_price_units_per_gib: int = 0
    peers_max: int = PROBED_PEERS_MAX
    patience_s: float = PROBE_TIMEOUT_S
    looks_far: bool = True


@dataclass(slots=True)
class Found:
    """What a search for one root brought.

    `own`: backends of this node. `refusals`: the others by name, each with what went wrong, or None where it said that
    it has nothing. `heeding`: those of them who say that it is on the blacklist. `far`: in words,
    who was asked beyond those that are known anyway. `answered`: the endpoint ids of all who did. `is_exhausted`: there
    is nobody else to ask. `retry_s`: when somebody who was left alone, having failed lately, is worth asking, by the
    finder's clock.
    """

    root: Cid
    own: list[Source] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    offerings: list[Offering] = field(default_factory=list)
    refusals: dict[str, NearcastError | None] = field(default_factory=dict)
    heeding: set[str] = field(default_factory=set)
    far: list[str] = field(default_factory=list)
    answered: dict[bytes, None] = field(default_factory=dict)
    is_exhausted: bool = False
    retry_s: float = float("inf")

    def add(self, more: "Found") -> None:
        """What a search that went on where this one ended brought."""
        self.urls += more.urls
        self.offerings += more.offerings
        self.refusals |= more.refusals
        self.heeding |= more.heeding
        self.far += more.far
        self.answered |= more.answered
        self.is_exhausted = more.is_exhausted

    def nobody(self) -> NearcastError:
        """Nobody has it, or nobody may serve it, or (somebody could not be asked) it is not known."""
        return _nobody(self)


def _no_backend(_: Cid) -> list[Source]:
    return []


class Finder:
    """Finds sources. `expects_lan`: the first search waits a moment for the LAN to answer.

    `own(root)`: this node's own backends that have it; then nobody else is asked. `discovery`: who knows more.
    """

    def __init__(
        self,
        peers: PeerBook,
        pool: ConnectionPool,
        clock: Clock,
        *,
        expects_lan: bool,
        own: Callable[[Cid], list[Source]] = _no_backend,
        discovery: Discovery = NOBODY_FAR,
    ) -> None:
        self.own = own
        self.discovery = discovery
        self._peers = peers
        self._pool = pool
        self._clock = clock
        self._lan_found = asyncio.Event()
        if not expects_lan:
            self._lan_found.set()
        self._lan_deadline_s = clock.monotonic_s() + LAN_GRACE_S
        self._hints: OrderedDict[Cid, _Hints] = OrderedDict()

    def lan_found(self) -> None:
        """A first node showed up on the LAN: no need to wait any more."""
        self._lan_found.set()

    def remember(self, link: Link) -> None:
        """Ask this link's holders first, from now on, for its root."""
        if link.peers or link.gateways:
            self._keep(link.root.v1, _Hints(link.peers, link.gateways))

    def inherit(self, root: Cid, part: Cid) -> None:
        """Whoever holds `root` holds this part of it."""
        hints = self._hints.get(root.v1)
        if hints is not None and part.v1 not in self._hints:
            self._keep(part.v1, hints)

    def _keep(self, root: Cid, hints: _Hints) -> None:
        self._hints[root] = hints
        self._hints.move_to_end(root)
        while len(self._hints) > REMEMBERED_ROOTS_MAX:
            self._hints.popitem(last=False)

    @property
    def pool(self) -> ConnectionPool:
        """The connections over which those who were found are asked."""
        return self._pool

    def passed(self, root: Cid, trail: Trail, peers_max: int) -> frozenset[bytes]:
        """Which of those whom a search for this root would ask the trail has passed: they are left out of it."""
        hinted = self._hints.get(root.v1, _Hints((), ())).peers
        known = [*hinted, *self._peers.candidates(self._clock.monotonic_s())]
        ids = dict.fromkeys(address.endpoint_id for address in known)
        return frozenset(filter(trail.has_passed, islice(ids, peers_max + MARKS_MAX)))

    def begin_trail(self) -> Trail:
        """The trail of a search of this node's own."""
        return begin(self._pool.endpoint_id, os.urandom)

    async def find(self, root: Cid, search: Search, urls: Iterable[str] = ()) -> Found:
        """Whoever has `root` or can bring it, and the given web servers. Raises nothing for what others do.

        Once one has said yes, the others have as long again as it took (at least GRACE_S): enough for everybody at a
        like distance, and a dead peer does not hold up the start.
        """
        hints = self._hints.get(root.v1, _Hints((), ()))
        own = await in_thread(self.own, root)
        found = Found(root, own, [*urls, *(f"{gateway}/ipfs/{root}" for gateway in hints.gateways)])
        if own:
            found.is_exhausted = True
        else:
            await self._search(found, search, hints, looks_far=search.looks_far and not found.urls)
        return found

    async def find_further(self, before: Found, search: Search) -> Found:
        """Who else has it, when those that were found do not do: those who have a part, who are gone, who lie. Whoever
        has answered is not asked again. Nothing where the search may not look far, or has come to its end."""
        found = Found(before.root, answered=dict(before.answered), is_exhausted=True)
        if search.looks_far and not before.is_exhausted:
            await self._search(found, search, self._hints.get(before.root.v1, _Hints((), ())), looks_far=True)
        return found

    async def _search(self, found: Found, search: Search, hints: _Hints, *, looks_far: bool) -> None:
        """Add who answers to what was found."""
        found.retry_s = self._peers.next_retry_s(self._clock.monotonic_s())
        near = await self._candidates(hints, impatient=bool(found.urls))
        asking = Asking(
            found.root,
            self._pool,
            self.discovery,
            search.trail,
            search.peers_max,
            search.patience_s,
            self._in_order,
            asked=dict(found.answered),
        )
        try:
            async with asyncio.timeout(None) as limit, aclosing(asking.answers(near, looks_far=looks_far)) as answers:
                async for answer in answers:
                    if self._note(found, answer, search) and limit.when() is None:
                        asking.found()
                        limit.reschedule(asyncio.get_running_loop().time() + max(GRACE_S, answer.after_s))
        except TimeoutError:
            pass  # somebody has it; whoever is slower than that is not waited for
        found.far, found.is_exhausted = asking.far, asking.is_exhausted

    def _note(self, found: Found, told: Answer, search: Search) -> bool:
        """Keep one peer's answer; whether it is one that can be used."""
        address, answer, answered_s = told
        found.answered[address.endpoint_id] = None
        name = address.endpoint_id.hex()[:8]
        if isinstance(answer, NearcastError):
            found.refusals[name] = answer
            self._peers.failed(address.endpoint_id, self._clock.monotonic_s())
            return False
        self._peers.answered(address.endpoint_id)
        if answer[0].state not in ("all", "some", "relay"):
            found.refusals[name] = None
            if answer[0].is_listed:
                found.heeding.add(name)
            return False
        found.offerings.append(
            Offering(address, answer[0], answered_s, self.discovery.outlook(address.endpoint_id).rtt_s)
        )
        return answer[0].price <= search.max_price_units_per_gib

    async def _candidates(self, hints: _Hints, *, impatient: bool) -> list[PeerAddress]:
        if not hints.peers and not impatient:
            await self._wait_for_lan()
        known = {address.endpoint_id: address for address in hints.peers}
        for address in self._peers.candidates(self._clock.monotonic_s()):
            known.setdefault(address.endpoint_id, address)
        return list(known.values())

    def _in_order(self, addresses: Sequence[PeerAddress], is_near: bool) -> list[PeerAddress]:
        """Whom to ask first. The near ones stay as they are, the operator's own before the LAN's, but for the dead:
        what strangers say of their distance must not crowd them out."""
        prospects = [Prospect(each, self.discovery.outlook(each.endpoint_id)) for each in addresses]
        if is_near:
            prospects.sort(key=lambda prospect: prospect.outlook.is_dead)
        else:
            prospects = promising(prospects)
        return [prospect.address for prospect in prospects]

    async def _wait_for_lan(self) -> None:
        remaining_s = self._lan_deadline_s - self._clock.monotonic_s()
        if remaining_s > 0 and not self._lan_found.is_set():
            try:
                async with asyncio.timeout(remaining_s):
                    await self._lan_found.wait()
            except TimeoutError:
                self._lan_found.set()


def _nobody(found: Found) -> NearcastError:
    """Nobody has it, or nobody may serve it, or (somebody could not be asked) it is not known."""
    root, answers = found.root, found.refusals
    fix = "check the link, or give a node that has it: --peer ID@host:port"
    further = "".join(f"; {asked}" for asked in found.far)
    if not answers:
        if found.far:
            return NotFoundError(f"{root} is not here, and nobody is known to have it{further}", fix=fix)
        return NotFoundError(f"{root} is not here, and no other node is known to ask", fix=fix)
    lacking = {name: LISTED if name in found.heeding else "does not have it" for name in answers}
    told = "; ".join(f"{name}: {error.message if error else lacking[name]}" for name, error in answers.items())
    told += further
    if any(answers.values()):
        return UnavailableError(f"nobody who answered has {root}; asked {len(answers)}: {told}", fix="try again later")
    if found.heeding:
        fix = f"nearcast blacklist check {root} says since when, and why"
        return RefusedError(f"nobody gives {root}; asked {len(answers)}: {told}", fix=fix)
    return NotFoundError(f"nobody has {root}; asked {len(answers)}: {told}", fix=fix)
