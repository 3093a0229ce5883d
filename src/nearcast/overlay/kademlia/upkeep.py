"""When to look after the routing table: whom to check next, which part of it to refresh.

A check asks the contact that was heard least recently whether it is still there. The pause between two checks adapts to
how many are found dead: in a quiet network few checks, under churn many. A bucket that no lookup went to for an hour is
refreshed by a lookup of a random place in it (Kademlia, section 2.3).
"""

from collections import deque

from nearcast.overlay.kademlia.keys import KEY_BITS
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.table import Contact, Table


class Upkeep:
    """The plans of one node."""

    def __init__(self, settings: KademliaSettings) -> None:
        self._settings = settings
        self.pause_s = settings.check_s_min
        self._doubtful: deque[bytes] = deque(maxlen=settings.doubtful_max)
        self._visited_s: dict[int, float] = {}  # bucket: when a lookup last went there
        self.to_fill: deque[int] = deque()  # buckets, after joining

    def passed(self) -> None:
        """A check was answered."""
        self.pause_s = min(self.pause_s * self._settings.check_passed_factor, self._settings.check_s_max)

    def failed(self) -> None:
        """A check was not answered."""
        self.pause_s = max(self.pause_s * self._settings.check_failed_factor, self._settings.check_s_min)

    def doubt(self, endpoint_id: bytes) -> None:
        """It failed once: it is checked next."""
        if endpoint_id not in self._doubtful:
            self._doubtful.append(endpoint_id)

    def to_check(self, table: Table, now_s: float) -> Contact | None:
        """Who is to be checked now, if anybody."""
        while self._doubtful:
            contact = table.get(self._doubtful.popleft())
            if contact is not None and contact.failures:
                return contact
        stalest = table.stalest()
        if stalest is not None and stalest.heard_s + self._settings.fresh_s <= now_s:
            return stalest
        return None

    def visited(self, target: int, table: Table, now_s: float) -> None:
        """A lookup went to `target`."""
        self._visited_s[(target ^ table.own_node_id).bit_length() - 1] = now_s

    def plan_filling(self, table: Table) -> None:
        """After joining: every bucket farther than the k closest that has room left, the farthest first."""
        sizes = table.bucket_sizes()
        full = self._settings.bucket_contacts_max
        closest = table.sibling_distances()[:full] or [1]
        lowest = closest[-1].bit_length() - 1
        self.to_fill = deque(index for index in range(KEY_BITS - 1, lowest - 1, -1) if sizes.get(index, 0) < full)

    def to_refresh(self, table: Table, now_s: float) -> int | None:
        """A bucket that no lookup went to for long, if any: the one of longest ago."""
        due_s = now_s - self._settings.refresh_s
        stale = [(self._visited_s.get(index, 0.0), index) for index in table.bucket_sizes()]
        oldest = min(stale, default=None)
        return oldest[1] if oldest is not None and oldest[0] <= due_s else None
