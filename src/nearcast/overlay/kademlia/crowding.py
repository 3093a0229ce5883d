"""How many contacts of one machine or one network a routing table takes: bounds per bucket and for the whole table.

Who controls one machine can make any number of keys, and so of contacts, but not any number of addresses. The source of
the measures is in settings.py, what a group is in address_groups.py.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

from nearcast.overlay.kademlia.address_groups import AddressGroup, is_single_address
from nearcast.overlay.kademlia.settings import KademliaSettings

Groups = tuple[AddressGroup, ...]


class Grouped(Protocol):
    """Somebody with addresses."""

    groups: Groups


class Crowding:
    """Counts of the groups of all contacts. `is_lan`: contacts without a public address are as good as any."""

    def __init__(self, settings: KademliaSettings, *, is_lan: bool) -> None:
        self.is_lan = is_lan
        self._settings = settings
        self._counts: dict[AddressGroup, int] = {}

    def admits(self, groups: Groups, bucket: Collection[Grouped]) -> bool:
        """Whether one more contact of these groups may join those in a bucket."""
        settings = self._settings
        if not groups:
            return self.is_lan or sum(1 for other in bucket if not other.groups) < settings.unplaced_per_bucket_max
        for group in groups:
            count = self._counts.get(group, 0)
            if count == 0:
                continue  # the usual case: nobody else of that network
            if is_single_address(group):
                table_max, bucket_max = settings.same_address_per_table_max, settings.same_address_per_bucket_max
            else:
                table_max, bucket_max = settings.same_prefix_per_table_max, settings.same_prefix_per_bucket_max
            if count >= table_max or sum(1 for other in bucket if group in other.groups) >= bucket_max:
                return False
        return True

    def joined(self, groups: Iterable[AddressGroup]) -> None:
        for group in groups:
            self._counts[group] = self._counts.get(group, 0) + 1

    def left(self, groups: Iterable[AddressGroup]) -> None:
        for group in groups:
            self._counts[group] -= 1
            if not self._counts[group]:
                del self._counts[group]

    def counts(self) -> dict[AddressGroup, int]:
        """How many contacts of each group there are."""
        return dict(self._counts)
