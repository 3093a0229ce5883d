"""The records that this node keeps for others: bounded, expiring, and hard to crowd out.

A record is kept until it expires, and a copy that a lookup left on its way only for a while. Bounds: in all, per key,
per provider, per network that a record names (/24, /48). Where a key is full, a newcomer takes the place of a copy if
there is one, else of one of the network that has most records of that key; so a liar that names few networks crowds out
itself. Where the store is full, the record that expires first goes, copies before all.

Records that name no public address (a private one, a host name, none, or a value) count as one network together, since
they cost nothing to make: where nobody has more than one record of a key they take no place from those that name one,
and beyond a network's share of the store they take places from each other only. A node of a LAN, where nobody names a
public address, keeps more of them than that share while there is room.

Not a goal: to know whether a provider is where its record says. A liar that invents a network for each record is held
up by the other bounds only.

Invariants, checked in tests: the bounds hold; of one owner and key only the highest sequence is kept; nothing that has
expired is handed out; the counts per owner and network are those of the records. What comes in here is genuine: the
machine has verified it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Final

from nearcast.overlay.kademlia.address_groups import AddressGroup, groups_of_all
from nearcast.overlay.kademlia.records import ProviderRecord, Record, ValueRecord
from nearcast.overlay.kademlia.settings import KademliaSettings

if TYPE_CHECKING:
    import random
    from collections.abc import Collection


UNPLACED: Final[AddressGroup] = (0, 0, 0)
"""The group of all records that name no public address; of no IP version."""


class Kept:
    """A record, until when it is kept (unix seconds), and whether it is a copy that a lookup left here."""

    __slots__ = ("is_copy", "networks", "record", "until_s")

    def __init__(self, record: Record, until_s: float, *, is_copy: bool) -> None:
        self.record = record
        self.until_s = until_s
        self.is_copy = is_copy
        self.networks = _networks(record)

    @property
    def is_unplaced(self) -> bool:
        return UNPLACED in self.networks


_Due = tuple[float, bytes, bytes]
"""(until, key, owner): an entry of a heap, of no meaning once another record has taken that place."""


class RecordStore:
    """Records by key and owner. All times are unix seconds. `is_lan`: nobody around us has a public address."""

    def __init__(self, settings: KademliaSettings, rng: random.Random, *, is_lan: bool) -> None:
        self.is_lan = is_lan
        self._settings = settings
        self._rng = rng
        self._keys: dict[bytes, dict[bytes, Kept]] = {}
        self._per_owner: dict[bytes, int] = {}
        self._per_network: dict[AddressGroup, int] = {}
        self._copies: list[_Due] = []
        self._lasting: list[_Due] = []
        self._unplaced: list[_Due] = []  # copies or not; they are in one of the others, too
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
        networks = _networks(record)
        owners = self._keys.get(record.key, {})
        kept = owners.get(record.owner)
        if kept is not None:
            if kept.record.sequence < record.sequence:
                return not self._is_refused([net for net in networks if net not in kept.networks], is_copy=is_copy)
            return kept.record == record and kept.is_copy and not is_copy
        if self._per_owner.get(record.owner, 0) >= settings.records_per_provider_max:
            return False
        if self._is_refused(networks, is_copy=is_copy):
            return False
        if len(owners) >= settings.records_per_key_max:
            return not is_copy and (UNPLACED not in networks or self._crowded_out(owners, networks) is not None)
        return not (is_copy and self._count >= settings.records_max)

    def add(self, record: Record, *, is_copy: bool, unix_s: float) -> bool:
        """Keep a genuine record. False when there is no room for it or it is of no use."""
        self.expire(unix_s)
        if not self.has_room(record, is_copy=is_copy, unix_s=unix_s):
            return False
        until_s = min(float(record.expiry_s), unix_s + self._settings.cached_s) if is_copy else float(record.expiry_s)
        kept = Kept(record, until_s, is_copy=is_copy)
        self._make_room(kept)
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
        for heap in (self._copies, self._lasting, self._unplaced):
            while heap and (heap[0][0] <= unix_s or not self._is_current(heap[0], heap)):
                due = heapq.heappop(heap)
                if self._is_current(due, heap):
                    self._forget(due[1], due[2])

    def _is_refused(self, networks: Collection[AddressGroup], *, is_copy: bool) -> bool:
        """Whether one of these has its share of the store. Those unplaced make room among themselves."""
        full = [net for net in networks if self._has_share(net)]
        return any(net != UNPLACED for net in full) or (bool(full) and is_copy and not self.is_lan)

    def _has_share(self, network: AddressGroup) -> bool:
        return self._per_network.get(network, 0) >= self._settings.records_per_network_max

    def _make_room(self, newcomer: Kept) -> None:
        """For one that `has_room`: of the same owner, at its key, among the unplaced, or in the whole store."""
        key, owner = newcomer.record.key, newcomer.record.owner
        owners = self._keys.get(key, {})
        if owner in owners:
            self._forget(key, owner)
        elif len(owners) >= self._settings.records_per_key_max:
            crowded_out = self._crowded_out(owners, newcomer.networks)
            if crowded_out is not None:
                self._forget(key, crowded_out)
        is_full = self._count >= self._settings.records_max
        if newcomer.is_unplaced and self._has_share(UNPLACED):
            if is_full or not self.is_lan:
                self._drop_first(self._unplaced)
        elif is_full and not self._drop_first(self._copies):
            self._drop_first(self._lasting)

    def _drop_first(self, heap: list[_Due]) -> bool:
        """What expires first of these goes. Whether there was any."""
        while heap:
            due = heapq.heappop(heap)
            if self._is_current(due, heap):
                self._forget(due[1], due[2])
                return True
        return False

    def _is_current(self, due: _Due, heap: list[_Due]) -> bool:
        kept = self._keys.get(due[1], {}).get(due[2])
        return kept is not None and kept.until_s == due[0] and (heap is not self._unplaced or kept.is_unplaced)

    def _push(self, key: bytes, owner: bytes, kept: Kept) -> None:
        for heap in (self._copies if kept.is_copy else self._lasting, *([self._unplaced] if kept.is_unplaced else [])):
            heapq.heappush(heap, (kept.until_s, key, owner))
            if len(heap) > 2 * self._count + 16:  # most of it replaced; so the heaps stay bounded
                heap[:] = [due for due in heap if self._is_current(due, heap)]
                heapq.heapify(heap)

    def _crowded_out(self, owners: dict[bytes, Kept], networks: Collection[AddressGroup]) -> bytes | None:
        """Who makes room at a full key for one of these networks: a copy, else one of the network with most records.

        Of several the oldest, but an unplaced one first. None: everybody has a network of its own, and the newcomer
        has none.
        """
        for owner, kept in owners.items():
            if kept.is_copy:
                return owner
        counts = Counter(network for kept in owners.values() for network in kept.networks)
        sizes = {owner: max(counts[network] for network in kept.networks) for owner, kept in owners.items()}
        chosen = max(owners, key=lambda owner: (sizes[owner], owners[owner].is_unplaced))
        if UNPLACED in networks and sizes[chosen] == 1 and not owners[chosen].is_unplaced:
            return None
        return chosen

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
    placed = groups_of_all(record.provider.addresses) if isinstance(record, ProviderRecord) else ()
    return placed or (UNPLACED,)
