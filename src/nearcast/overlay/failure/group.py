"""The members that one node knows, those it remembers as dead, and whose turn it is.

Goals: nothing but a reference and a place in a list per member, because there may be thousands; the next member to
probe, in an order that visits each once per round and is shuffled anew in every round (SWIM, section 4.3), at O(1) per
step; a digest of 64 parts of the table, kept up to date, so that two tables are compared by 512 bytes.

Invariants: at most `members_max` members and `tombstones_max` dead ones; nobody is both; of a member that was never
heard from directly it is known that it is hearsay, and in a full table it gives way to one that was.
"""

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.overlay.failure.messages import BUCKETS
from nearcast.overlay.failure.rumours import Alive

if TYPE_CHECKING:
    import random
    from collections.abc import Container, Iterable

    from nearcast.transport.base import PeerAddress

SAMPLE_TRIES = 4  # per member wanted, before fewer are given; guess, memberlist: 3


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The last that was known of a member that is dead or has left."""

    record: Alive
    incarnation: int
    accuser: bytes
    is_left: bool
    since_s: float


class Roster:
    """A whole group's first records, made once for all members that one process runs: they share the records."""

    def __init__(self, contacts: "Iterable[PeerAddress]") -> None:
        self.members = {contact.endpoint_id: Alive(contact, 0) for contact in contacts}
        self.digests = array("Q", bytes(8 * BUCKETS))
        for record in self.members.values():
            self.digests[bucket_of(record.endpoint_id)] ^= record.fingerprint


def bucket_of(endpoint_id: bytes) -> int:
    return endpoint_id[0] * BUCKETS >> 8


class Group:
    """Members other than ourselves; `digests` covers ourselves too."""

    __slots__ = (
        "_cursor", "_hearsay", "_members_max", "_order", "_rng", "_tombstones_max", "digests", "members", "tombstones",
    )  # fmt: skip

    def __init__(self, rng: "random.Random", members_max: int, tombstones_max: int) -> None:
        self.members: dict[bytes, Alive] = {}
        self.tombstones: dict[bytes, Tombstone] = {}
        self.digests = array("Q", bytes(8 * BUCKETS))
        self._hearsay: dict[bytes, None] = {}
        self._order: list[bytes] = []
        self._cursor = 0
        self._rng = rng
        self._members_max = members_max
        self._tombstones_max = tombstones_max

    def fill(self, roster: "Roster", own: Alive) -> None:
        """Many at once that are known for certain, into an empty group; `own` is not a member, wherever it stands."""
        self.members = dict(roster.members)
        self.digests = array("Q", roster.digests)
        listed = self.members.pop(own.endpoint_id, None)
        if listed is not None:
            self.note(listed)
        self.note(own)
        self._order = list(self.members)

    def note(self, record: Alive) -> None:
        """Count a record in its digest, or no longer: the same act."""
        self.digests[bucket_of(record.endpoint_id)] ^= record.fingerprint

    def put(self, record: Alive, *, is_hearsay: bool) -> bool:
        """A new member, or a newer record of one. False when there is no room."""
        endpoint_id = record.endpoint_id
        old = self.members.get(endpoint_id)
        if old is not None:
            self.note(old)
        elif not self._make_room(is_hearsay=is_hearsay):
            return False
        else:
            self.tombstones.pop(endpoint_id, None)
            self._order.append(endpoint_id)
            if is_hearsay:
                self._hearsay[endpoint_id] = None
        self.members[endpoint_id] = record
        self.note(record)
        return True

    def heard_from(self, endpoint_id: bytes) -> None:
        """It is no hearsay any more."""
        if self._hearsay:
            self._hearsay.pop(endpoint_id, None)

    def remove(self, endpoint_id: bytes) -> Alive:
        record = self.members.pop(endpoint_id)
        self._hearsay.pop(endpoint_id, None)
        self.note(record)
        return record

    def bury(self, endpoint_id: bytes, incarnation: int, accuser: bytes, *, is_left: bool, now_s: float) -> None:
        record = self.remove(endpoint_id)
        if len(self.tombstones) >= self._tombstones_max:
            del self.tombstones[next(iter(self.tombstones))]
        self.tombstones[endpoint_id] = Tombstone(record, incarnation, accuser, is_left, now_s)

    def forget_dead(self, before_s: float) -> None:
        """Those that died earlier than that."""
        while self.tombstones:
            endpoint_id, tombstone = next(iter(self.tombstones.items()))
            if tombstone.since_s >= before_s:
                return
            del self.tombstones[endpoint_id]

    def next(self) -> Alive | None:
        """Whose turn it is. A round takes one random member after the other out of those that are left of it."""
        for _ in range(2):
            order = self._order
            while self._cursor < len(order):
                chosen = self._cursor + int(self._rng.random() * (len(order) - self._cursor))
                order[self._cursor], order[chosen] = order[chosen], order[self._cursor]
                self._cursor += 1
                record = self.members.get(order[self._cursor - 1])
                if record is not None:
                    return record
            self._cursor = 0
            if len(order) != len(self.members):  # some have gone, and some of them have come back
                self._order = list(self.members)
        return None

    def sample(self, count: int, without: "Container[bytes]") -> list[Alive]:
        """Up to `count` different members by chance."""
        chosen: dict[bytes, Alive] = {}
        order = self._order
        for _ in range(count * SAMPLE_TRIES if order else 0):
            endpoint_id = order[int(self._rng.random() * len(order))]
            record = self.members.get(endpoint_id)
            if record is not None and endpoint_id not in without:
                chosen[endpoint_id] = record
                if len(chosen) == count:
                    break
        return list(chosen.values())

    def _make_room(self, *, is_hearsay: bool) -> bool:
        if len(self._order) > 2 * len(self.members) + BUCKETS:  # members that came and went within one round
            self._order = list(self.members)
            self._cursor = 0
        if len(self.members) < self._members_max:
            return True
        if is_hearsay or not self._hearsay:
            return False
        self.remove(next(iter(self._hearsay)))
        return True
