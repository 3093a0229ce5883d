"""The order in which cached objects would go. It is only kept once there is something to evict.

Until the quota is first exceeded nothing is remembered at all; then the cached objects are loaded in the order they
came in, and from there on S3-FIFO decides (s3fifo.py).
"""

import threading
from collections.abc import Container, Iterable

from nearcast.content.store.s3fifo import S3Fifo

CACHED_OBJECTS_MAX = 1 << 18  # guess: some 60 MB of queue; more cached objects are evicted down to it


class CachedQueue:
    """S3-FIFO behind a lock."""

    def __init__(self, quota_bytes: int) -> None:
        self._quota_bytes = quota_bytes
        self._lock = threading.Lock()
        self._order: S3Fifo | None = None

    @property
    def is_loaded(self) -> bool:
        return self._order is not None

    def needed(self, cached_bytes: int) -> bool:
        """Whether something has to go: too many bytes, or too many objects to keep in order."""
        return cached_bytes > self._quota_bytes or (self._order is not None and len(self._order) > CACHED_OBJECTS_MAX)

    def load(self, rows: Iterable[tuple[int, int]]) -> None:
        """Starts keeping the order, with (id, bytes) of what is cached already, oldest first."""
        order = S3Fifo(self._quota_bytes)
        for row_id, size_bytes in rows:
            order.insert_old(row_id, size_bytes)
        with self._lock:
            self._order = order

    def unload(self) -> None:
        with self._lock:
            self._order = None

    def add(self, objects: Iterable[tuple[int, int, int]]) -> None:
        """(id, bytes, fingerprint) of objects that are cached from now on."""
        with self._lock:
            if self._order is not None:
                for row_id, size_bytes, fingerprint in objects:
                    self._order.insert(row_id, size_bytes, fingerprint)

    def discard(self, ids: Iterable[int]) -> None:
        with self._lock:
            if self._order is not None:
                for row_id in ids:
                    self._order.remove(row_id)

    def hit(self, row_id: int) -> None:
        if self._order is not None:
            with self._lock:
                if self._order is not None:
                    self._order.hit(row_id)

    def next(self, excess_bytes: int, count_max: int, protected: Container[int]) -> list[int]:
        """Up to `count_max` ids whose eviction frees `excess_bytes`, and as many as are over the bound on objects."""
        chosen: list[int] = []
        with self._lock:
            order = self._order
            if order is None:
                return []
            start_bytes = order.size_bytes
            while len(chosen) < count_max:
                if start_bytes - order.size_bytes >= excess_bytes and len(order) <= CACHED_OBJECTS_MAX:
                    break
                key = order.evict(protected)
                if key is None:
                    break
                chosen.append(key)
        return chosen
