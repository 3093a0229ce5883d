"""What one peer may cost us on the overlay: so many messages a second, so many faults. Pure: `now_s` is an argument.

A peer over its rate is not sent away: its next message is read later, and the transport holds it back (flow control),
so that whoever floods waits, and nobody else. A peer that breaks the protocol loses the stream; after FAULTS_MAX of
those within FAULT_MEMORY_S it is not listened to for as long. Bounded: TRACKED_MAX peers, the one heard of longest ago
goes.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MESSAGES_PER_S: Final = (
    40.0  # for ever; a busy member of the published figures sends some 2 a second. Guess: twenty times
)
MESSAGES_BURST: Final = 400.0  # at once: a newcomer is given a snapshot and asks for a lookup or two. Guess
BYTES_PER_MESSAGE: Final = 1_024  # a larger one counts as several
FAULTS_MAX: Final = 3  # guess: a bug in somebody's release must not be asked again for ever
FAULT_MEMORY_S: Final = 600.0  # guess: an operator who has updated is let in again after ten minutes
TRACKED_MAX: Final = 4_096  # peers; about 300 bytes each


class Bucket:
    """A token bucket that may be overdrawn: it says how long to wait until it is level again."""

    __slots__ = ("_at_s", "_burst", "_level", "_rate_per_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._level = burst
        self._at_s = 0.0

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount`; how many seconds to wait before going on, 0.0 mostly."""
        filled = self._level + max(now_s - self._at_s, 0.0) * self._rate_per_s
        self._level = min(filled, self._burst) - amount
        self._at_s = now_s
        return max(-self._level / self._rate_per_s, 0.0)


@dataclass(slots=True)
class _Conduct:
    bucket: Bucket
    faults: int = 0
    fault_s: float = 0.0


class Conduct:
    """How each peer behaved lately, over all of its streams: a new stream does not clean the slate."""

    def __init__(self, *, rate_per_s: float = MESSAGES_PER_S, burst: float = MESSAGES_BURST) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._peers: OrderedDict[bytes, _Conduct] = OrderedDict()

    def received(self, endpoint_id: bytes, size_bytes: int, now_s: float) -> float:
        """A message came; how many seconds to wait before the next one of this peer is read."""
        return self._of(endpoint_id).bucket.take(1 + size_bytes // BYTES_PER_MESSAGE, now_s)

    def fault(self, endpoint_id: bytes, now_s: float) -> None:
        """It broke the protocol."""
        peer = self._of(endpoint_id)
        peer.faults = min(peer.faults, FAULTS_MAX) + 1 if now_s - peer.fault_s < FAULT_MEMORY_S else 1
        peer.fault_s = now_s

    def is_banned(self, endpoint_id: bytes, now_s: float) -> bool:
        """Whether it is not listened to for now."""
        peer = self._peers.get(endpoint_id)
        return peer is not None and peer.faults >= FAULTS_MAX and now_s - peer.fault_s < FAULT_MEMORY_S

    def _of(self, endpoint_id: bytes) -> _Conduct:
        peer = self._peers.get(endpoint_id)
        if peer is None:
            while len(self._peers) >= TRACKED_MAX:
                self._peers.popitem(last=False)
            peer = self._peers[endpoint_id] = _Conduct(Bucket(self._rate_per_s, self._burst))
        self._peers.move_to_end(endpoint_id)
        return peer
