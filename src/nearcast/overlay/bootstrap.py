"""How a node gets in, and in again: whom to ask, how many at a time, and whom to remember for a bad day.

Joining means asking a few known contacts at once, any number of dead ones among them, until one answers; whoever
answers is the door to every protocol. `Doors` is a bounded pool of contacts with a back-off each (overlay/peers.py):
seeds, which were given (configuration, LAN, registry), and those that were alive when we last had neighbours. A node
whose neighbours are all gone takes from the same pool, for as long as it is alone. Half of each handful are seeds, half
remembered: neither a dead configuration nor a night's worth of dead memories keeps a node out.

Two parts of the network that were cut off from each other forget each other in every table. So a member, too, knocks at
a remembered door now and then, one that it has heard nothing from for long; an answer joins both parts again. Serf's
reconnect does the same.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nearcast.overlay.peers import PeerBook
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

REMEMBERED_MAX = 64  # contacts kept over a restart; guess: with 90 % of them gone some six are left


class Doors:
    """Contacts through which a node that is alone can get in."""

    __slots__ = ("_memory", "_others", "_own_id", "_rng", "_seeds")

    def __init__(self, own_id: bytes, rng: "random.Random") -> None:
        self._own_id = own_id
        self._rng = rng
        self._seeds = PeerBook()
        self._others = PeerBook()
        self._memory: dict[bytes, tuple[PeerAddress, float]] = {}  # who was alive, and when; the oldest first

    def add_seeds(self, contacts: Iterable[PeerAddress], now_s: float) -> None:
        """The operator's, the LAN's, the registry's: they may be tried at once."""
        for contact in contacts:
            if contact.endpoint_id != self._own_id:
                self._seeds.add(contact, "config", now_s)

    def remember(self, contact: PeerAddress, now_s: float) -> None:
        """It is alive now. At `now_s` = -inf: it was, before a restart."""
        if contact.endpoint_id != self._own_id:
            self._memory.pop(contact.endpoint_id, None)
            self._memory[contact.endpoint_id] = (contact, now_s)
            if len(self._memory) > REMEMBERED_MAX:
                del self._memory[next(iter(self._memory))]

    def remembered(self) -> list[PeerAddress]:
        """What to keep over a restart, the one alive most recently first."""
        return [contact for contact, _ in reversed(self._memory.values())]

    def knock(self, count: int, now_s: float) -> list[PeerAddress]:
        """Up to `count` to ask now of those whose back-off is over; they count as failed until they answer."""
        self._refill(now_s)
        seeds, others = self._seeds.candidates(now_s), self._others.candidates(now_s)
        seeds_count = min(len(seeds), max(count - len(others), (count + 1) // 2))
        chosen = self._rng.sample(seeds, seeds_count)
        chosen += self._rng.sample(others, min(len(others), count - seeds_count))
        for contact in chosen:
            self._seeds.failed(contact.endpoint_id, now_s)
            self._others.failed(contact.endpoint_id, now_s)
        return chosen

    def answered(self, endpoint_id: bytes) -> None:
        """It is there: its failures are forgotten."""
        self._seeds.answered(endpoint_id)
        self._others.answered(endpoint_id)

    def long_silent(self, silent_s: float, now_s: float) -> PeerAddress | None:
        """One remembered contact that was not seen alive for `silent_s`, or None."""
        silent = [contact for contact, heard_s in self._memory.values() if now_s - heard_s > silent_s]
        return self._rng.choice(silent) if silent else None

    def _refill(self, now_s: float) -> None:
        """Take up what was remembered since; a contact that is known already keeps its back-off."""
        known = {peer.address.endpoint_id for peer in self._seeds.known() + self._others.known()}
        for contact, _ in self._memory.values():
            if contact.endpoint_id not in known:
                self._others.add(contact, "link", now_s)
