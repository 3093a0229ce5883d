"""The newest announcement of each node that was heard in one topic: bounded, and nothing older replaces it."""

from typing import TYPE_CHECKING

from nearcast.overlay.gossip.announcement import Announcement

if TYPE_CHECKING:
    import random


class Directory:
    """At most `size_max` nodes; when full, the one that was heard of longest ago is forgotten."""

    __slots__ = ("_known", "_size_max")

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._known: dict[bytes, Announcement] = {}  # the one heard of longest ago first

    def __len__(self) -> int:
        return len(self._known)

    def get(self, endpoint_id: bytes, now_s: float) -> Announcement | None:
        """What this node said last, unless that has expired."""
        known = self._known.get(endpoint_id)
        return known if known is not None and known.expires_s > now_s else None

    def is_news(self, announcement: Announcement) -> bool:
        """Whether it is later than what is known of its node: an older one, or the same again, is a replay."""
        known = self._known.get(announcement.contact.endpoint_id)
        return known is None or announcement.issued_ms > known.issued_ms

    def add(self, announcement: Announcement) -> None:
        """Keep it; the caller has verified it and asked `is_news`."""
        endpoint_id = announcement.contact.endpoint_id
        self._known.pop(endpoint_id, None)
        if len(self._known) >= self._size_max:
            del self._known[next(iter(self._known))]
        self._known[endpoint_id] = announcement

    def current(self, now_s: float) -> list[Announcement]:
        """All that has not expired, the one heard of longest ago first; the rest is forgotten."""
        expired = [endpoint_id for endpoint_id, known in self._known.items() if known.expires_s <= now_s]
        for endpoint_id in expired:
            del self._known[endpoint_id]
        return list(self._known.values())

    def sample(self, count: int, rng: "random.Random", now_s: float) -> list[Announcement]:
        """Up to `count` random ones that have not expired."""
        current = self.current(now_s)
        return rng.sample(current, count) if len(current) > count else current
