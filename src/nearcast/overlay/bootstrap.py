"""How a node gets in, and in again: whom to ask, how many at a time, and whom to remember for a bad day.

Joining means asking a few known contacts at once, any number of dead ones among them, until one answers; whoever
answers is the door to every protocol. `Doors` is a bounded pool of contacts with a back-off each (overlay/peers.py):
seeds, which were given (configuration, LAN, registry), and those that were alive when we last had neighbours. A node
whose neighbours are all gone takes from the same pool, for as long as it is alone. Half of each handful are seeds, half
remembered: neither a dead configuration nor a night's worth of dead memories keeps a node out.

Two parts of the network that were cut off from each other forget each other in every table. So a member, too, knocks
now and then at a door that it has lost: somebody who was alive and then could not be reached. An answer joins both
parts again. Serf's reconnect does the same. And nodes that start together each find one of the others first, and would
stay the islands that they are then: so a member also knocks, once, at each of its seeds that it does not meet inside.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nearcast.overlay.peers import PEERS_MAX, Origin, PeerBook
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

REMEMBERED_MAX = 64  # contacts kept over a restart; guess: with 90 % of them gone some six are left


class Remembered:
    """Somebody who was alive. `is_lost`: and could not be reached since."""

    __slots__ = ("contact", "is_lost")

    def __init__(self, contact: PeerAddress) -> None:
        self.contact = contact
        self.is_lost = False


class Doors:
    """Contacts through which a node that is alone can get in."""

    __slots__ = ("_lost", "_memory", "_others", "_own_id", "_rng", "_seeds", "_unmet")

    def __init__(self, own_id: bytes, rng: "random.Random") -> None:
        self._own_id = own_id
        self._rng = rng
        self._seeds = PeerBook()
        self._unmet: dict[bytes, None] = {}  # seeds that may be on another island
        self._others = PeerBook()
        self._memory: dict[bytes, Remembered] = {}  # the one alive longest ago first
        self._lost = 0

    @property
    def lost_count(self) -> int:
        """How many of the remembered are lost."""
        return self._lost

    @property
    def count(self) -> int:
        """How many doors there are, seeds and remembered ones."""
        return len(self._seeds.known()) + len(self._memory)

    def add_seeds(self, contacts: Iterable[PeerAddress], now_s: float, origin: Origin = "lan") -> None:
        """The operator's ("config"), which stay; the LAN's and the registry's, as many as there is room for beside.

        They may be tried at once.
        """
        for contact in contacts:
            if contact.endpoint_id != self._own_id:
                if contact.endpoint_id not in self._seeds:
                    self._unmet[contact.endpoint_id] = None
                self._seeds.add(contact, origin, now_s)
        if len(self._unmet) > PEERS_MAX:  # the LAN's can be invented without end: some made room for others
            self._unmet = {endpoint_id: None for endpoint_id in self._unmet if endpoint_id in self._seeds}

    def remember(self, contact: PeerAddress) -> None:
        """It is alive, or was before a restart."""
        endpoint_id = contact.endpoint_id
        if endpoint_id == self._own_id:
            return
        self._forget(endpoint_id)
        self._memory[endpoint_id] = Remembered(contact)
        if len(self._memory) > REMEMBERED_MAX:
            self._forget(next(iter(self._memory)))

    def lost(self, endpoint_id: bytes) -> None:
        """It could not be reached."""
        known = self._memory.get(endpoint_id)
        if known is not None and not known.is_lost:
            known.is_lost = True
            self._lost += 1

    def is_lost(self, endpoint_id: bytes) -> bool:
        """Whether it is remembered, and was lost since."""
        known = self._memory.get(endpoint_id)
        return known is not None and known.is_lost

    def remembered(self) -> list[PeerAddress]:
        """What to keep over a restart, the one alive most recently first."""
        return [known.contact for known in reversed(self._memory.values())]

    def knock(self, count: int, now_s: float) -> list[PeerAddress]:
        """Up to `count` to ask now, of those whose back-off is over; they count as failed until they answer."""
        self._refill(now_s)
        seeds, others = self._least_tried(self._seeds, now_s), self._least_tried(self._others, now_s)
        seeds_count = min(len(seeds), max(count - len(others), (count + 1) // 2))
        chosen = seeds[:seeds_count] + others[: count - seeds_count]
        for contact in chosen:
            self._seeds.failed(contact.endpoint_id, now_s)
            self._others.failed(contact.endpoint_id, now_s)
        return chosen

    def any(self, count: int) -> list[PeerAddress]:
        """Up to `count`, whether or not they were asked just now; whoever failed least often first."""
        peers = [*self._seeds.known(), *self._others.known()]
        self._rng.shuffle(peers)
        peers.sort(key=lambda peer: peer.failures)
        return [peer.address for peer in peers[:count]]

    def answered(self, endpoint_id: bytes) -> None:
        """It is there: its failures are forgotten."""
        self._seeds.answered(endpoint_id)
        self._others.answered(endpoint_id)

    def unmet(self, is_inside: Callable[[bytes], bool], now_s: float) -> PeerAddress | None:
        """A seed to knock at that was never met, the first whose back-off is over: failed until it answers.
        Whoever is inside already, as `is_inside(endpoint id)` says, has been met."""
        if not self._unmet:
            return None
        for contact in self._seeds.candidates(now_s):
            endpoint_id = contact.endpoint_id
            if endpoint_id not in self._unmet:
                continue
            if not is_inside(endpoint_id):
                self._seeds.failed(endpoint_id, now_s)
                return contact
            del self._unmet[endpoint_id]
        return None

    def is_unmet(self, endpoint_id: bytes) -> bool:
        """Whether it is a seed by which we have not joined yet."""
        return endpoint_id in self._unmet

    def met(self, endpoint_id: bytes) -> None:
        """We have joined by it."""
        self._unmet.pop(endpoint_id, None)

    def one_lost(self) -> PeerAddress | None:
        """One of the lost, by chance."""
        lost = [known.contact for known in self._memory.values() if known.is_lost]
        return self._rng.choice(lost) if lost else None

    def _least_tried(self, book: PeerBook, now_s: float) -> list[PeerAddress]:
        """Those that may be asked now: whoever has failed least often first, by chance among equals."""
        failures = {peer.address.endpoint_id: peer.failures for peer in book.known()}
        ready = book.candidates(now_s)
        self._rng.shuffle(ready)
        ready.sort(key=lambda contact: failures[contact.endpoint_id])
        return ready

    def _forget(self, endpoint_id: bytes) -> None:
        known = self._memory.pop(endpoint_id, None)
        if known is not None and known.is_lost:
            self._lost -= 1

    def _refill(self, now_s: float) -> None:
        """Take up what was remembered since; a contact that is known already keeps its back-off."""
        known = {peer.address.endpoint_id for peer in self._seeds.known() + self._others.known()}
        for remembered in self._memory.values():
            if remembered.contact.endpoint_id not in known:
                self._others.add(remembered.contact, "link", now_s)
