"""S3-FIFO: which cached object goes first (Yang, Zhang, Qiu, Yue, Vinayak: "FIFO queues are all you need for cache
eviction", SOSP 2023, algorithm 1), by bytes instead of by entries.

Newcomers enter a small queue of 10 % of the room. Whoever is asked for again before its turn comes moves on to the main
queue; the others leave at once, and a ghost remembers them: an object that comes back while its ghost is there goes
straight to the main queue. The main queue gives another round to whoever was asked for since the last one.

Nothing here knows a clock, a disk or a lock. Invariant: `size_bytes` is the sum of all entries' sizes.
"""

from collections import OrderedDict
from collections.abc import Container

SMALL_SHARE = 0.1  # the paper's section 4: 10 % is best or near on all of its traces
HITS_MAX = 3  # the paper's two bits
HITS_TO_STAY = 2  # algorithm 1: a small-queue object with freq > 1 moves to the main queue
GHOSTS_MAX = 1 << 16  # the paper: as many as the main queue has; at most 6 MB here


class S3Fifo:
    """Keys are the caller's; a fingerprint is what an object keeps when it comes back under another key (0: none)."""

    def __init__(self, room_bytes: int) -> None:
        self._small_room_bytes = int(room_bytes * SMALL_SHARE)
        self._small: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._main: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._hits: dict[int, int] = {}
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_bytes = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __contains__(self, key: int) -> bool:
        return key in self._small or key in self._main

    def insert(self, key: int, size_bytes: int, fingerprint: int) -> None:
        """A new object; one that is known already stays where it is."""
        if key in self:
            return
        self.size_bytes += size_bytes
        if fingerprint in self._ghosts:
            del self._ghosts[fingerprint]
            self._main[key] = size_bytes, fingerprint
        else:
            self._small[key] = size_bytes, fingerprint
            self._small_bytes += size_bytes

    def insert_old(self, key: int, size_bytes: int) -> None:
        """An object from before the last start: it has proven itself once, or would have gone."""
        if key not in self:
            self.size_bytes += size_bytes
            self._main[key] = size_bytes, 0

    def hit(self, key: int) -> None:
        """The object was asked for."""
        if key in self:
            self._hits[key] = min(HITS_MAX, self._hits.get(key, 0) + 1)

    def remove(self, key: int) -> None:
        """The object is gone, or not ours to evict any more."""
        if key in self._small:
            size_bytes, _ = self._small.pop(key)
            self._small_bytes -= size_bytes
        elif key in self._main:
            size_bytes, _ = self._main.pop(key)
        else:
            return
        self.size_bytes -= size_bytes
        self._hits.pop(key, None)

    def evict(self, protected: Container[int] = ()) -> int | None:
        """Removes and returns the next one to go; None when there is none, or all that are left are protected."""
        turns_max = (
            2 * (HITS_MAX + 1) * len(self)
        )  # each may use up its hits, and pass from the small queue to the main
        for turn in range(turns_max):
            small_is_due = self._small_bytes >= self._small_room_bytes or not self._main
            main_is_stuck = turn > (HITS_MAX + 1) * len(self._main)  # all of it is protected
            take_small = bool(self._small) and (small_is_due or main_is_stuck)
            key = self._turn_small(protected) if take_small else self._turn_main(protected)
            if key is not None:
                return key
        return None

    def _turn_small(self, protected: Container[int]) -> int | None:
        key, (size_bytes, fingerprint) = self._small.popitem(last=False)
        self._small_bytes -= size_bytes
        if key in protected or self._hits.get(key, 0) >= HITS_TO_STAY:
            self._main[key] = size_bytes, fingerprint
            self._hits.pop(key, None)
            return None
        if fingerprint:
            self._ghosts[fingerprint] = None
        while len(self._ghosts) > min(GHOSTS_MAX, max(1, len(self))):
            self._ghosts.popitem(last=False)
        return self._leave(key, size_bytes)

    def _turn_main(self, protected: Container[int]) -> int | None:
        key, (size_bytes, fingerprint) = self._main.popitem(last=False)
        hits = self._hits.get(key, 0)
        if key in protected or hits:
            self._main[key] = size_bytes, fingerprint
            if hits > 1:
                self._hits[key] = hits - 1
            else:
                self._hits.pop(key, None)
            return None
        return self._leave(key, size_bytes)

    def _leave(self, key: int, size_bytes: int) -> int:
        self.size_bytes -= size_bytes
        self._hits.pop(key, None)
        return key
