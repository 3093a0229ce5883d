"""The records that this node keeps for others: bounded, expiring, and hard to crowd out.

A record is kept until it expires, and a copy that a lookup left on its way only for a while. Bounds: in all, per key,
per provider. Where a key is full, a newcomer takes the place of a copy if there is one, else of one of the network
(/24, /48) that has most records of that key; so a liar with few networks crowds out itself. Where the store is full,
the record that expires first goes, copies before all.

Invariants, checked in tests: the bounds hold; of one owner and key only the highest sequence is kept; nothing that has
expired is handed out; the counts per owner are those of the records. What comes in here is genuine: the machine has
verified it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from nearcast.overlay.kademlia.address_groups import AddressGroup, groups_of_all
from nearcast.overlay.kademlia.records import ProviderRecord, Record, ValueRecord
from nearcast.overlay.kademlia.settings import KademliaSettings

if TYPE_CHECKING:
    import random


class Kept:
    """A record, until when it is kept (unix seconds), and whether it is a copy that a lookup left here."""

    __slots__ = ("is_copy", "networks", "record", "until_s")

    def __init__(self, record: Record, until_s: float, *, is_copy: bool) -> None:
        self.record = record
        self.until_s = until_s
        self.is_copy = is_copy
        self.networks = _networks(record)


_Due = tuple[float, bytes, bytes]
"""(until, key, owner): an entry of a heap, of no meaning once another record has taken that place."""


class RecordStore:
    """Records by key and owner. All times are unix seconds."""

    def __init__(self, settings: KademliaSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._keys: dict[bytes, dict[bytes, Kept]] = {}
        self._per_owner: dict[bytes, int] = {}
        self._per_network: dict[AddressGroup, int] = {}
        self._copies: list[_Due] = []
        self._lasting: list[_Due] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def has(self, record: Record) -> bool:
        """Whether exactly this record is here; then it is genuine."""
        kept = self._keys.get(record.key, {}).get(record.owner)
        return kept is not None and kept.record == record

    def has_room(self, record: Record, *, is_copy: bool, unix_s: float) -> bool:
        """Whether `add` would take a genuine `record`: asked before the signature is verified, which costs more."""
        settings = self._settings
        if not unix_s < record.expiry_s <= unix_s + settings.record_life_s + settings.clock_skew_s:
            return False
        owners = self._keys.get(record.key, {})
        kept = owners.get(record.owner)
        if kept is not None:
            return kept.record.sequence < record.sequence or (kept.record == record and kept.is_copy and not is_copy)
        if self._per_owner.get(record.owner, 0) >= settings.records_per_provider_max:
            return False
        if any(self._per_network.get(net, 0) >= settings.records_per_network_max for net in _networks(record)):
            return False
        is_full = len(owners) >= settings.records_per_key_max or self._count >= settings.records_max
        return not (is_copy and is_full)

    def add(self, record: Record, *, is_copy: bool, unix_s: float) -> bool:
        """Keep a genuine record. False when there is no room for it or it is of no use."""
        self.expire(unix_s)
        if not self.has_room(record, is_copy=is_copy, unix_s=unix_s):
            return False
        owners = self._keys.get(record.key, {})
        if record.owner in owners:
            self._forget(record.key, record.owner)
        elif len(owners) >= self._settings.records_per_key_max:
            self._forget(record.key, self._crowded_out(owners))
        elif self._count >= self._settings.records_max:
            self._make_room()
        until_s = min(float(record.expiry_s), unix_s + self._settings.cached_s) if is_copy else float(record.expiry_s)
        kept = Kept(record, until_s, is_copy=is_copy)
        self._keys.setdefault(record.key, {})[record.owner] = kept
        self._per_owner[record.owner] = self._per_owner.get(record.owner, 0) + 1
        for network in kept.networks:
            self._per_network[network] = self._per_network.get(network, 0) + 1
        self._count += 1
        self._push(record.key, record.owner, kept)
        return True

    def providers(self, key: bytes, count_max: int, unix_s: float) -> tuple[ProviderRecord, ...]:
        """Up to `count_max` providers of a key: a random choice if there are more, so that the load is shared."""
        owners = self._keys.get(key)
        if owners is None:
            return ()
        found = [
            kept.record for kept in owners.values() if kept.until_s > unix_s and isinstance(kept.record, ProviderRecord)
        ]
        return tuple(found if len(found) <= count_max else self._rng.sample(found, count_max))

    def value(self, key: bytes, unix_s: float) -> ValueRecord | None:
        """The value of a key: since the owner is part of the key, there is one at most."""
        for kept in self._keys.get(key, {}).values():
            if kept.until_s > unix_s and isinstance(kept.record, ValueRecord):
                return kept.record
        return None

    def expire(self, unix_s: float) -> None:
        """Forget what nobody needs any more."""
        for heap in (self._copies, self._lasting):
            while heap and (heap[0][0] <= unix_s or not self._is_current(heap[0])):
                due = heapq.heappop(heap)
                if self._is_current(due):
                    self._forget(due[1], due[2])

    def _make_room(self) -> None:
        """A copy goes if there is any, else what expires first."""
        for heap in (self._copies, self._lasting):
            while heap:
                due = heapq.heappop(heap)
                if self._is_current(due):
                    self._forget(due[1], due[2])
                    return

    def _is_current(self, due: _Due) -> bool:
        kept = self._keys.get(due[1], {}).get(due[2])
        return kept is not None and kept.until_s == due[0]

    def _push(self, key: bytes, owner: bytes, kept: Kept) -> None:
        heap = self._copies if kept.is_copy else self._lasting
        heapq.heappush(heap, (kept.until_s, key, owner))
        if len(heap) > 2 * self._count + 16:  # most of it replaced; so the heaps stay bounded
            heap[:] = [due for due in heap if self._is_current(due)]
            heapq.heapify(heap)

    def _crowded_out(self, owners: dict[bytes, Kept]) -> bytes:
        """Who makes room at a full key: a copy, else one of the network with most records, the oldest of them."""
        for owner, kept in owners.items():
            if kept.is_copy:
                return owner
        counts: dict[AddressGroup, int] = {}
        for kept in owners.values():
            for network in kept.networks:
                counts[network] = counts.get(network, 0) + 1
        return max(owners, key=lambda owner: max((counts[network] for network in owners[owner].networks), default=0))

    def _forget(self, key: bytes, owner: bytes) -> None:
        owners = self._keys[key]
        kept = owners.pop(owner)
        if not owners:
            del self._keys[key]
        self._count -= 1
        self._per_owner[owner] -= 1
        if not self._per_owner[owner]:
            del self._per_owner[owner]
        for network in kept.networks:
            self._per_network[network] -= 1
            if not self._per_network[network]:
                del self._per_network[network]


def _networks(record: Record) -> tuple[AddressGroup, ...]:
    """The addresses and networks that a record names; a value names none."""
    return groups_of_all(record.provider.addresses) if isinstance(record, ProviderRecord) else ()
