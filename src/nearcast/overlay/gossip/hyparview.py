"""HyParView: every member of a topic has a few neighbours that it is connected to, and many others up its sleeve.

Leitão, Pereira, Rodrigues, "HyParView: a membership protocol for reliable gossip-based broadcast", DSN 2007.

The active view is small and symmetric: both ends hold the connection, whose end is how a failure is noticed. A lost
neighbour is replaced from the passive view, which shuffles keep fresh. A newcomer asks one member, whose neighbours
send it on random walks to more.

Beyond the paper:
- A member that is full and takes in a newcomer parts from one neighbour and tells it of the newcomer: the link is
  spliced, and nobody is left a neighbour short.
- A refusal names others to ask, so a seed that everybody knows sends a crowd on instead of drowning in it.
- The oldest neighbours are not replaced, replacements are rationed, and the passive view has a place for each source
  (passive_view.py): whoever invents peers displaces some young links and its own inventions.
- Neighbours that vanish together are asked again later (lost.py): the two sides of a partition find each other.
- Clients listen: a node pushes to them, and they take no place in any view.

Goals: the overlay stays connected when half of it, or four fifths, fail at once; constant state; constant traffic.
Non-goals: to know all members; to be safe from an attacker who owns most of the addresses that one hears of.
Invariants: the views are disjoint, bounded and never contain ourselves; once no message is under way, B is A's
neighbour exactly when A is B's.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nearcast.overlay.gossip.allowance import Allowance
from nearcast.overlay.gossip.candidates import Candidates
from nearcast.overlay.gossip.events import AnswerDue, Isolated, RepairDue, ShuffleDue
from nearcast.overlay.gossip.links import Links
from nearcast.overlay.gossip.lost import Lost
from nearcast.overlay.gossip.messages import CONTACTS_MAX, Answer, Ask, Join, Listen, Part, Walk
from nearcast.overlay.gossip.passive_view import PassiveView
from nearcast.overlay.gossip.settings import MembershipSettings
from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

SEED_SOURCE = b""  # those that we were started with: no peer's word
TIMER_SLACK_S = 0.001  # a timer may ring a rounding error early


class Membership:
    """One peer's part in one topic."""

    __slots__ = (
        "_asked",
        "_candidates",
        "_links",
        "_lost",
        "_number",
        "_repair_failures",
        "_repair_s",
        "_seeds",
        "_topic",
        "_welcomes",
        "active",
        "has_joined",
        "is_client",
        "listeners",
        "own",
        "passive",
        "rng",
        "settings",
    )

    def __init__(
        self,
        topic: str,
        own: PeerAddress,
        links: Links,
        rng: "random.Random",
        settings: MembershipSettings,
        *,
        is_client: bool,
        now_s: float,
    ) -> None:
        self.active: dict[bytes, PeerAddress] = {}  # the oldest first
        self.passive = PassiveView(settings.passive_max, settings.passive_per_source_max, rng)
        self.listeners: dict[bytes, PeerAddress] = {}
        self.is_client = is_client
        self.has_joined = False
        self._topic = topic
        self.own = own
        self._links = links
        self.rng = rng
        self.settings = settings
        self._seeds: tuple[PeerAddress, ...] = ()
        self._asked: dict[bytes, tuple[PeerAddress, int]] = {}
        self._number = 0
        self._candidates = Candidates(self.passive, settings.refused_s, rng)
        self._lost = Lost()
        self._repair_failures = 0
        self._repair_s: float | None = None
        self._welcomes = Allowance(settings.welcomes_per_s, settings.welcomes_burst, now_s)

    @property
    def links_max(self) -> int:
        """How many neighbours we want: a client fewer, since they are a burden to them."""
        return self.settings.listener_links if self.is_client else self.settings.active_max

    # What whoever runs us says.

    def start(self, out: list[Effect]) -> None:
        """Set the first timer."""
        out.append(Arm(self._jitter(self.settings.shuffle_first_s), ShuffleDue(self._topic)))

    def join(self, seeds: Sequence[PeerAddress], now_s: float, out: list[Effect]) -> None:
        """Become a member through one of `seeds`, who are kept. When full, ask one: its part may have been lost."""
        known = {seed.endpoint_id: seed for seed in (*seeds, *self._seeds) if seed.endpoint_id != self.own.endpoint_id}
        self._seeds = tuple(known.values())[: self.settings.seeds_max]
        self.remember(self._seeds, SEED_SOURCE)
        self._repair_failures = 0
        self.repair(now_s, out)
        if seeds and len(self.active) >= self.links_max:
            self._invite(seeds[0], now_s, out)

    def look_for_lost(self, now_s: float, out: list[Effect]) -> None:
        """Now and then: is one of those back who vanished together?"""
        if (peer := self._lost.next(now_s)) is not None:
            self._invite(peer, now_s, out)

    def leave(self, now_s: float, out: list[Effect]) -> None:
        """Say goodbye: each neighbour hears of another one to take our place."""
        peers = list(self.active.values())
        for position, peer in enumerate(peers):
            other = peers[(position + 1) % len(peers)]
            self._drop(peer, () if other is peer else (other,), now_s, out)
        for listener in list(self.listeners.values()):
            out.append(Send(listener, Part(self._topic, self._sample())))
            self._remove(listener.endpoint_id, now_s, out)

    # Joining and being joined.

    def on_join(self, sender: PeerAddress, message: Join, now_s: float, out: list[Effect]) -> None:
        """A newcomer: taken in, and sent on walks by our neighbours; or sent on to others when too many come."""
        newcomer = message.contact
        if self.is_client or newcomer.endpoint_id != sender.endpoint_id:
            out.append(Send(sender, Answer(self._topic, False)))
            return
        others = self._sample(but=sender.endpoint_id)
        is_welcome = self._welcomes.take(1.0, now_s)
        if newcomer.endpoint_id not in self.active and not self._make_room(newcomer, is_welcome, now_s, out):
            out.append(Send(newcomer, Answer(self._topic, False, others)))
            return
        out.append(Send(newcomer, Answer(self._topic, True, others)))
        self._add(newcomer, now_s, out, is_new=True)
        if is_welcome:
            walk = Walk(self._topic, newcomer, self.settings.walk_hops)
            others_active = [peer for known, peer in self.active.items() if known != newcomer.endpoint_id]
            out.extend(Send(peer, walk) for peer in others_active)

    def on_walk(self, sender: PeerAddress, message: Walk, now_s: float, out: list[Effect]) -> None:
        """Somebody's newcomer comes along: to stay at the walk's end, else to be remembered halfway and sent on."""
        newcomer, hops = message.contact, min(message.hops, self.settings.walk_hops)
        endpoint_id = newcomer.endpoint_id
        if endpoint_id == self.own.endpoint_id or self.is_client:
            return
        if hops == self.settings.walk_passive_hops:
            self.remember((newcomer,), sender.endpoint_id)
        onward = [peer for known, peer in self.active.items() if known not in (sender.endpoint_id, endpoint_id)]
        if hops > 0 and onward:
            out.append(Send(self.rng.choice(onward), Walk(self._topic, newcomer, hops - 1)))
        elif endpoint_id not in self.active and len(self._asked) < self.links_max:
            self._ask(newcomer, Ask(self._topic, self.own, is_urgent=False), now_s, out)

    def on_ask(self, sender: PeerAddress, message: Ask, now_s: float, out: list[Effect]) -> None:
        """Somebody wants to be our neighbour."""
        peer = message.contact
        if self.is_client or peer.endpoint_id != sender.endpoint_id:
            out.append(Send(sender, Answer(self._topic, False)))
            return
        has_crossed = self._asked.pop(peer.endpoint_id, None) is not None  # we asked it, too: no need for more words
        is_in = peer.endpoint_id in self.active
        is_welcome = message.is_urgent and not has_crossed and not is_in and self._welcomes.take(1.0, now_s)
        if is_in or self._make_room(peer, is_welcome, now_s, out):
            out.append(Send(peer, Answer(self._topic, True)))
            self._add(peer, now_s, out)
        else:
            out.append(Send(peer, Answer(self._topic, False, self._sample(but=peer.endpoint_id))))

    def on_listen(self, sender: PeerAddress, now_s: float, out: list[Effect]) -> None:
        """A client wants to hear what is said here, or is there already and asks for others to know."""
        is_in = sender.endpoint_id in self.listeners
        has_room = len(self.listeners) < self.settings.listeners_max and sender.endpoint_id not in self.active
        is_accepted = not self.is_client and (is_in or has_room)
        out.append(Send(sender, Answer(self._topic, is_accepted, self._sample())))
        if is_accepted and not is_in:
            self.listeners[sender.endpoint_id] = sender
            self._links.link_up(sender, is_listener=True, is_new=True, now_s=now_s, out=out)

    def on_answer(self, sender: PeerAddress, message: Answer, now_s: float, out: list[Effect]) -> None:
        """To what we asked: accepted or not."""
        asked = self._asked.pop(sender.endpoint_id, None)
        if asked is not None or sender.endpoint_id in self.active:
            self.remember(message.contacts, sender.endpoint_id)
        if sender.endpoint_id in self.active:
            if not message.is_accepted:  # it changed its mind before it heard from us
                self._remove(sender.endpoint_id, now_s, out)
                self.repair_soon(now_s, out)
            return
        if asked is None:
            if message.is_accepted:  # too late: we have given it up
                out.append(Send(sender, Part(self._topic)))
            return
        peer = asked[0]
        if not message.is_accepted:
            self._candidates.refuse(peer.endpoint_id, now_s)
            self._repair_failures += 1
            self.repair_soon(now_s, out)
        elif self._make_room(peer, len(self.active) < self.links_max or self._welcomes.take(1.0, now_s), now_s, out):
            self._accepted(peer, now_s, out)
        else:
            out.append(Send(peer, Part(self._topic)))

    def on_answer_due(self, timer: AnswerDue, now_s: float, out: list[Effect]) -> None:
        """Whoever has not answered by now is not worth asking again."""
        asked = self._asked.get(timer.endpoint_id)
        if asked is not None and asked[1] == timer.number:
            del self._asked[timer.endpoint_id]
            self.passive.discard(timer.endpoint_id)
            self.repair(now_s, out)

    # Parting.

    def on_part(self, sender: PeerAddress, message: Part, now_s: float, out: list[Effect]) -> None:
        """A neighbour goes, and may say who takes its place."""
        if sender.endpoint_id in self.listeners:
            self._remove(sender.endpoint_id, now_s, out)
        if sender.endpoint_id not in self.active:
            return
        peer = self.active[sender.endpoint_id]
        self._remove(sender.endpoint_id, now_s, out)
        self._candidates.refuse(peer.endpoint_id, now_s)
        self.remember((peer, *message.contacts), sender.endpoint_id)
        self._candidates.hint(message.contacts)
        self._repair_failures = 0
        self.repair(now_s, out)

    def on_unreachable(self, endpoint_id: bytes, now_s: float, out: list[Effect]) -> None:
        """Gone, or never there: replaced at once from the passive view."""
        was_asked = self._asked.pop(endpoint_id, None) is not None
        self.passive.discard(endpoint_id)
        if endpoint_id in self.listeners:
            self._remove(endpoint_id, now_s, out)
        if endpoint_id in self.active:
            self._lost.note(self.active[endpoint_id], now_s)
            self._remove(endpoint_id, now_s, out, is_lost=True)
            self._repair_failures = 0
            self.repair(now_s, out)
        elif was_asked:
            self.repair(now_s, out)

    def shun(self, endpoint_id: bytes, now_s: float, out: list[Effect]) -> None:
        """Part from a peer that broke the protocol."""
        self.passive.discard(endpoint_id)
        self._asked.pop(endpoint_id, None)
        if endpoint_id in self.listeners:
            out.append(Send(self.listeners[endpoint_id], Part(self._topic)))
            self._remove(endpoint_id, now_s, out)
        if endpoint_id in self.active:
            out.append(Send(self.active[endpoint_id], Part(self._topic)))
            self._remove(endpoint_id, now_s, out)
            self.repair(now_s, out)

    def on_stranger(self, sender: PeerAddress, now_s: float, out: list[Effect]) -> None:
        """A peer takes us for its neighbour and is none of ours: tell it. If we have asked it, this says yes."""
        if sender.endpoint_id in self._asked:
            self.on_answer(sender, Answer(self._topic, True), now_s, out)
        else:
            out.append(Send(sender, Part(self._topic)))

    # Repair.

    def repair(self, now_s: float, out: list[Effect]) -> None:
        """Ask as many peers as there are places; none is asked again who refused a moment ago."""
        missing = self.links_max - len(self.active) - len(self._asked)
        if missing > 0 and not self.active:
            missing = min(missing, 1 + self.has_joined - len(self._asked))  # the first answer brings what we need
        while missing > 0:
            peer = self._candidates.next(lambda endpoint_id: self._may_ask(endpoint_id, now_s), now_s)
            if peer is None:
                break
            self._ask(peer, self._question(), now_s, out)
            missing -= 1
        if missing <= 0 or self._asked:
            return
        if not self.active:
            self._candidates.forget_refusals()
            self.remember(self._seeds, SEED_SOURCE)
            out.append(Tell(Isolated(self._topic)))
            self._repair_failures += 1
        self.repair_soon(now_s, out)

    def on_repair_due(self, now_s: float, out: list[Effect]) -> None:
        """The pause is over."""
        if self._repair_s is None or now_s < self._repair_s - TIMER_SLACK_S:
            return  # one that was set before a sooner one
        self._repair_s = None
        if len(self.active) < self.links_max:
            self.repair(now_s, out)

    def repair_soon(self, now_s: float, out: list[Effect]) -> None:
        """After a pause that grows with every failure in a row."""
        if len(self.active) < self.links_max:
            settings = self.settings
            longest_s = settings.repair_s_max if self.active else settings.lonely_repair_s_max
            self._arm_repair(min(settings.repair_s * 2.0 ** min(self._repair_failures, 16), longest_s), now_s, out)

    # Details.

    def _question(self) -> Join | Ask | Listen:
        if self.is_client:
            return Listen(self._topic)
        if not self.has_joined:
            return Join(self._topic, self.own)
        return Ask(self._topic, self.own, is_urgent=not self.active)

    def _invite(self, peer: PeerAddress, now_s: float, out: list[Effect]) -> None:
        """Ask for a link although we may have enough: it may be of a part that lost sight of ours."""
        if not self.is_client and self._may_ask(peer.endpoint_id, now_s) and self._is_new(peer.endpoint_id):
            self._ask(peer, Ask(self._topic, self.own, is_urgent=True), now_s, out)

    def _may_ask(self, endpoint_id: bytes, now_s: float) -> bool:
        is_known = endpoint_id in self.active or endpoint_id in self._asked
        return not is_known and not self._links.is_shunned(endpoint_id, now_s)

    def _ask(self, peer: PeerAddress, question: Join | Ask | Listen, now_s: float, out: list[Effect]) -> None:
        if peer.endpoint_id in self._asked or self._links.is_shunned(peer.endpoint_id, now_s):
            return
        self._number += 1
        self._asked[peer.endpoint_id] = (peer, self._number)
        out.append(Send(peer, question))
        out.append(Arm(self.settings.answer_timeout_s, AnswerDue(self._topic, peer.endpoint_id, self._number)))

    def _accepted(self, peer: PeerAddress, now_s: float, out: list[Effect]) -> None:
        is_first = not self.has_joined
        self._add(peer, now_s, out)
        self._repair_failures = 0
        if is_first:  # the walks of our join bring neighbours by themselves
            self._arm_repair(self.settings.settle_s, now_s, out)
        else:
            self.repair_soon(now_s, out)

    def _arm_repair(self, pause_s: float, now_s: float, out: list[Effect]) -> None:
        pause_s = self._jitter(pause_s)
        if self._repair_s is None or now_s + pause_s < self._repair_s:
            self._repair_s = now_s + pause_s
            out.append(Arm(pause_s, RepairDue(self._topic)))

    def _make_room(self, peer: PeerAddress, is_welcome: bool, now_s: float, out: list[Effect]) -> bool:
        """Whether `peer` can become a neighbour; for a welcome one another gives up its place and hears of it."""
        if self._links.is_shunned(peer.endpoint_id, now_s) or peer.endpoint_id in self.listeners:
            return False
        reserved = 0 if is_welcome else len(self._asked) // 2  # about so many will say yes; measured: fewest questions
        if len(self.active) + reserved < self.links_max:
            return True
        young = list(self.active.values())[self.settings.protected :]
        if not is_welcome or not young:
            return False
        self._drop(self.rng.choice(young), (peer,), now_s, out)
        return True

    def _add(self, peer: PeerAddress, now_s: float, out: list[Effect], *, is_new: bool = False) -> None:
        self.passive.discard(peer.endpoint_id)
        self._asked.pop(peer.endpoint_id, None)
        self._lost.found(peer.endpoint_id)
        self.has_joined = True
        if peer.endpoint_id not in self.active:
            self.active[peer.endpoint_id] = peer
            self._links.link_up(peer, is_listener=False, is_new=is_new, now_s=now_s, out=out)

    def _drop(self, peer: PeerAddress, contacts: tuple[PeerAddress, ...], now_s: float, out: list[Effect]) -> None:
        """Part from a neighbour that has done nothing wrong."""
        out.append(Send(peer, Part(self._topic, contacts)))
        self._remove(peer.endpoint_id, now_s, out)
        self.remember((peer,), peer.endpoint_id)

    def _remove(self, endpoint_id: bytes, now_s: float, out: list[Effect], *, is_lost: bool = False) -> None:
        del (self.active if endpoint_id in self.active else self.listeners)[endpoint_id]
        self._links.link_down(endpoint_id, now_s, out, is_lost=is_lost)

    def remember(self, peers: Iterable[PeerAddress], source_id: bytes, gone_first: Iterable[bytes] = ()) -> None:
        for peer in peers:
            if self._is_new(peer.endpoint_id):
                self.passive.add(peer, source_id, gone_first)

    def _is_new(self, endpoint_id: bytes) -> bool:
        return endpoint_id != self.own.endpoint_id and endpoint_id not in self.active

    def _sample(self, but: bytes = b"") -> tuple[PeerAddress, ...]:
        """Members for somebody who looks for some: passive ones, and neighbours when these are few."""
        sample = self.passive.sample(CONTACTS_MAX, but)
        neighbours = [peer for known, peer in self.active.items() if known != but]
        return (*sample, *neighbours)[:CONTACTS_MAX]

    def _jitter(self, delay_s: float) -> float:
        return delay_s * (0.5 + self.rng.random())
