"""What must not be dropped just now: objects being read, downloaded or built upon.

Two parties meet here. Whoever needs an object takes a lease; whoever drops objects first dooms them. A lease on a
doomed object is refused (it counts as gone), a leased object cannot be doomed. Neither ever waits for the other's
disk.
"""

import threading
from collections.abc import Iterable


class Leases:
    """Leases by row id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        self._doomed: set[int] = set()

    def take(self, ids: Iterable[int]) -> set[int]:
        """Leases those that are not doomed, and says which. Each must be given back once."""
        with self._lock:
            granted = {each for each in ids if each not in self._doomed}
            for each in granted:
                self._held[each] = self._held.get(each, 0) + 1
            return granted

    def give_back(self, ids: Iterable[int]) -> None:
        with self._lock:
            for each in ids:
                count = self._held[each] - 1
                if count:
                    self._held[each] = count
                else:
                    del self._held[each]

    def doom(self, ids: Iterable[int]) -> set[int]:
        """Marks those that are not leased, and says which. Undone by `spare`, once they are gone or the drop failed."""
        with self._lock:
            doomed = {each for each in ids if each not in self._held}
            self._doomed |= doomed
            return doomed

    def spare(self, ids: Iterable[int]) -> None:
        with self._lock:
            self._doomed.difference_update(ids)

    def leased(self) -> frozenset[int]:
        with self._lock:
            return frozenset(self._held)
