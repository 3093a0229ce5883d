"""The replacement cache: strangers who were heard and found their bucket full. Bounded per bucket and in all.

The newest is tried first when a place is free, since it is most likely to be still there (Kademlia, section 4.1).
"""

from nearcast.transport.base import PeerAddress


class Spares:
    """Who waits for a place in which bucket."""

    def __init__(self, per_bucket_max: int, total_max: int) -> None:
        self._per_bucket_max = per_bucket_max
        self._total_max = total_max
        self._buckets: dict[int, dict[bytes, PeerAddress]] = {}  # the newest last
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: int) -> bool:
        return index in self._buckets

    def add(self, index: int, address: PeerAddress) -> None:
        """It waits for bucket `index`; the one that has waited longest there makes room. No room in all: forgotten."""
        self.forget(index, address.endpoint_id)
        waiting = self._buckets.get(index)
        if waiting is not None and len(waiting) >= self._per_bucket_max:
            self.forget(index, next(iter(waiting)))
            waiting = self._buckets.get(index)
        if self._count >= self._total_max:
            return
        if waiting is None:
            waiting = self._buckets[index] = {}
        waiting[address.endpoint_id] = address
        self._count += 1

    def take(self, index: int) -> PeerAddress | None:
        """The newest of a bucket; it waits no more."""
        waiting = self._buckets.get(index)
        if waiting is None:
            return None
        address = waiting[next(reversed(waiting))]
        self.forget(index, address.endpoint_id)
        return address

    def forget(self, index: int, endpoint_id: bytes) -> None:
        """It waits no more, if it did."""
        waiting = self._buckets.get(index)
        if waiting is not None and waiting.pop(endpoint_id, None) is not None:
            self._count -= 1
            if not waiting:
                del self._buckets[index]
