"""Whether a broadcast is believed and handed on: parsed, fresh, not replayed, not too many of one origin, signed.

A replay fails three times: what came lately is among the seen ids, what is older than `fresh_s` is not handed on, and
an announcement must be later than the one known. Blame falls only on what an honest neighbour would not have handed on:
a malformed envelope or a false signature. Clocks and counts differ between honest nodes: those are dropped silently.
"""

from dataclasses import dataclass
from functools import lru_cache

from nearcast.errors import RemoteError
from nearcast.overlay.gossip.announcement import Announcement, parse_announcement
from nearcast.overlay.gossip.directory import Directory
from nearcast.overlay.gossip.envelope import ANNOUNCEMENT_KIND, OPENED_MAX, Envelope, Verify, open_envelope
from nearcast.overlay.gossip.settings import GossipSettings

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A parsed broadcast, and the announcement in it if it is one. Not verified by being parsed."""

    envelope: Envelope
    announcement: Announcement | None


@lru_cache(maxsize=OPENED_MAX)
def open_broadcast(topic: str, payload: bytes) -> Opened:
    """Raises RemoteError when it is malformed."""
    envelope = open_envelope(topic, payload)
    return Opened(envelope, parse_announcement(topic, payload) if envelope.kind == ANNOUNCEMENT_KIND else None)


class Intake:
    """One topic's."""

    __slots__ = ("_counts", "_counts_since_s", "_directory", "_settings", "_topic", "_verify")

    def __init__(
        self, topic: str, directory: Directory, verify: Verify, settings: GossipSettings, now_s: float
    ) -> None:
        self._topic = topic
        self._directory = directory
        self._verify = verify
        self._settings = settings
        self._counts: dict[bytes, int] = {}  # broadcasts of each origin in this minute
        self._counts_since_s = now_s

    def admit(self, payload: bytes, now_s: float) -> Opened | None:
        """None when it is to be dropped without blame. Raises RemoteError when whoever handed it on is to blame."""
        opened = open_broadcast(self._topic, payload)
        envelope, announcement = opened.envelope, opened.announcement
        settings = self._settings
        age_s = now_s - envelope.issued_ms / 1000
        if not -settings.skew_s <= age_s <= settings.fresh_s + settings.skew_s or envelope.lifetime_s <= age_s:
            return None
        if announcement is not None and not self._directory.is_news(announcement):
            return None
        if not self._is_within_rate(envelope.origin, now_s):
            return None
        if not self._verify(envelope.origin, envelope.signed, envelope.signature):
            raise RemoteError("a broadcast has a false signature")
        self._counts[envelope.origin] = self._counts.get(envelope.origin, 0) + 1
        return opened

    def admit_older(self, payload: bytes, now_s: float) -> Announcement | None:
        """An announcement of a snapshot: it need not be fresh, only later than what we know. Raises as `admit`."""
        opened = open_broadcast(self._topic, payload)
        envelope, announcement = opened.envelope, opened.announcement
        if announcement is None:
            raise RemoteError("malformed announcement: it is something else")
        is_from_future = envelope.issued_s > now_s + self._settings.skew_s
        if is_from_future or envelope.expires_s <= now_s or not self._directory.is_news(announcement):
            return None
        if not self._verify(envelope.origin, envelope.signed, envelope.signature):
            raise RemoteError("an announcement has a false signature")
        return announcement

    def _is_within_rate(self, origin: bytes, now_s: float) -> bool:
        """Counted only once it is verified, so that nobody uses up what is another's."""
        if now_s - self._counts_since_s >= MINUTE_S or len(self._counts) >= self._settings.origins_max:
            self._counts = {}
            self._counts_since_s = now_s
        return self._counts.get(origin, 0) < self._settings.origin_per_minute
