"""Who to ask for a root: the holders its link named, the nodes on the LAN, the nodes in the configuration.

Everybody is probed at once and has PROBE_TIMEOUT_S to answer, so that a thing that nobody has is known to be missing
quickly, with each node's answer in the message. The DHT and the on-chain registry join here when they exist.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from nearcast.clock import Clock
from nearcast.content.cid import Cid
from nearcast.delivery.http_source import HttpSource
from nearcast.delivery.peer_source import PeerSource
from nearcast.delivery.probe import Holding, probe_all
from nearcast.delivery.source import Source
from nearcast.errors import NearcastError, NotFoundError, UnavailableError
from nearcast.naming.link import Link
from nearcast.overlay.peers import PeerBook
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

PROBE_TIMEOUT_S = 0.8  # a miss with ten peers is to be answered within 1 s
GRACE_S = 0.05  # guess: nodes on one LAN or in one city answer within it
PROBED_PEERS_MAX = 32
REMEMBERED_ROOTS_MAX = 4096
LAN_GRACE_S = 3.0  # a command waits so long for a first node of the LAN; measured: 0.6 to 2.6 s from its start


@dataclass(frozen=True, slots=True)
class _Hints:
    peers: tuple[PeerAddress, ...]
    gateways: tuple[str, ...]


class Finder:
    """Finds sources. `expects_lan`: the first search waits a moment for the LAN to answer."""

    def __init__(self, peers: PeerBook, pool: ConnectionPool, clock: Clock, *, expects_lan: bool) -> None:
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

    async def sources(self, root: Cid, urls: Iterable[str] = ()) -> list[Source]:
        """Those who say that they hold some of `root`, and the given web servers.

        Raises NotFoundError when there is nobody, UnavailableError when some could not be asked; both name who was.
        """
        hints = self._hints.get(root.v1, _Hints((), ()))
        found: list[Source] = [HttpSource(url) for url in urls]
        found += [HttpSource(f"{gateway}/ipfs/{root}") for gateway in hints.gateways]
        peers = await self._candidates(hints, impatient=bool(found))
        refusals = await self._probe(root, peers, found)
        if not found:
            raise _nobody(root, refusals)
        return found

    async def _probe(self, root: Cid, peers: list[PeerAddress], found: list[Source]) -> dict[str, NearcastError | None]:
        """Ask all peers at once; holders are added to `found`. Returned are the others by name, each
        with what went wrong, or None where it said that it has nothing.

        Once one has said yes, the others have as long again as it took (at least GRACE_S): enough for everybody at a
        like distance, and a dead peer does not hold up the start.
        """
        refusals: dict[str, NearcastError | None] = {}
        start_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(None) as limit, aclosing(self._answers(root, peers)) as answers:
                async for address, answer in answers:
                    name = address.endpoint_id.hex()[:8]
                    if isinstance(answer, NearcastError):
                        refusals[name] = answer
                        self._peers.failed(address.endpoint_id, self._clock.monotonic_s())
                    elif answer[0].state in ("all", "some"):
                        found.append(PeerSource(self._pool, address))
                        if limit.when() is None:
                            grace_s = max(GRACE_S, self._clock.monotonic_s() - start_s)
                            limit.reschedule(asyncio.get_running_loop().time() + grace_s)
                    else:
                        refusals[name] = None
        except TimeoutError:
            pass  # somebody has it; whoever is slower than that is not waited for
        return refusals

    def _answers(
        self, root: Cid, peers: list[PeerAddress]
    ) -> AsyncGenerator[tuple[PeerAddress, list[Holding] | NearcastError]]:
        return probe_all(self._pool, peers, [root], PROBE_TIMEOUT_S)

    async def _candidates(self, hints: _Hints, *, impatient: bool) -> list[PeerAddress]:
        if not hints.peers and not impatient:
            await self._wait_for_lan()
        known = {address.endpoint_id: address for address in hints.peers}
        for address in self._peers.candidates(self._clock.monotonic_s()):
            known.setdefault(address.endpoint_id, address)
        return list(known.values())[:PROBED_PEERS_MAX]

    async def _wait_for_lan(self) -> None:
        remaining_s = self._lan_deadline_s - self._clock.monotonic_s()
        if remaining_s > 0 and not self._lan_found.is_set():
            try:
                async with asyncio.timeout(remaining_s):
                    await self._lan_found.wait()
            except TimeoutError:
                self._lan_found.set()


def _nobody(root: Cid, answers: dict[str, NearcastError | None]) -> NearcastError:
    """Nobody has it, or (somebody could not be asked) it is not known whether anybody has."""
    fix = "check the link, or give a node that has it: --peer ID@host:port"
    if not answers:
        return NotFoundError(f"{root} is not here, and no other node is known to ask", fix=fix)
    told = "; ".join(f"{name}: {error.message if error else 'does not have it'}" for name, error in answers.items())
    if any(answers.values()):
        return UnavailableError(f"nobody who answered has {root}; asked {len(answers)}: {told}", fix="try again later")
    return NotFoundError(f"nobody has {root}; asked {len(answers)}: {told}", fix=fix)
