"""What stands between a raw round-trip time and a coordinate: serf `coordinate/` keeps both, found in the wild.

A single late answer (a queue, a busy host) says nothing about where a peer is: the median of its last few does
("Network coordinates in the wild", NSDI 2007, section 4). The adjustment is what the space cannot express of us: half
of our mean surplus over a window, added from both ends.
"""

from collections import deque

MEDIAN_OF = 3  # serf: LatencyFilterSize
WINDOW = 20  # serf: AdjustmentWindowSize
FILTERED_PEERS_MAX = 512  # guess: more than a node measures in an hour; each costs about 150 bytes


class LatencyFilter:
    """The median of a peer's last few times, in seconds. The peer not measured for longest is forgotten first."""

    __slots__ = ("_of", "_peers_max", "_times_s")

    def __init__(self, of: int = MEDIAN_OF, peers_max: int = FILTERED_PEERS_MAX) -> None:
        self._of = of
        self._peers_max = peers_max
        self._times_s: dict[bytes, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._times_s)

    def median_s(self, peer: bytes, rtt_s: float) -> float:
        """Of this sample and those before it; with two of them, the smaller: delay only adds."""
        times_s = (*self._times_s.pop(peer, ()), rtt_s)[-self._of :]
        self._times_s[peer] = times_s
        if len(self._times_s) > self._peers_max:
            del self._times_s[next(iter(self._times_s))]
        return sorted(times_s)[(len(times_s) - 1) // 2]

    def forget(self, peer: bytes) -> None:
        self._times_s.pop(peer, None)


class Adjustment:
    """Half of the mean of (measured - estimated) over the last samples; 0 before the window is full of zeros."""

    __slots__ = ("_surplus_s", "_window")

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._surplus_s: deque[float] = deque(maxlen=window)

    def after_s(self, rtt_s: float, plain_estimate_s: float) -> float:
        """The adjustment once this sample is counted. Serf divides by the whole window from the start."""
        self._surplus_s.append(rtt_s - plain_estimate_s)
        return sum(self._surplus_s) / (2.0 * self._window)
