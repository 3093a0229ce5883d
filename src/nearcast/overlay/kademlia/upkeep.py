"""When to look after the routing table: whom to check next.

A check asks the contact that was heard least recently whether it is still there. The pause between two checks adapts to
how many are found dead: in a quiet network few checks, under churn many. What is half empty is filling.py's.
"""

from collections import deque

from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.table import Contact, Table


class Upkeep:
    """The plans of one node."""

    def __init__(self, settings: KademliaSettings) -> None:
        self._settings = settings
        self.pause_s = settings.check_s_min
        self._doubtful: deque[bytes] = deque(maxlen=settings.doubtful_max)

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
