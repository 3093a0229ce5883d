"""Choosing among sources by what they have shown: whom to ask first, for how much at a time, and who is late.

The rate is an exponentially weighted mean over finished requests (as in TCP's smoothed RTT, RFC 6298, with a larger
gain because there are few samples). Spans are sized to take about SPAN_S each: long enough that a request's round trip
is nothing, short enough that a dying source costs little (the reasoning of libtorrent's request queue).
"""

from collections.abc import Iterable
from dataclasses import dataclass

GAIN = 0.4  # weight of the newest sample; guess: three samples and the past is a fifth
SPAN_S = 0.5  # guess: ten round trips of 50 ms
SPAN_BYTES_MIN = 1 << 20  # one leaf of unixfs-v1-2025
SPAN_BYTES_MAX = 16 << 20  # what a dying source may cost, times the requests in flight
LATE_AFTER_S = 0.25  # no progress for so long is worth a second request when there is nothing else to do; guess
LATE_UNMEASURED_S = 0.5  # the same for a source that has not shown its rate yet; guess: connecting takes a while
PACES_MAX = 256  # sources remembered; guess: more than one node talks to in an hour
LATE_FACTOR = 2.0  # and so many times slower than the helper would be; guess


@dataclass(slots=True)
class Pace:
    """One source's measured rate. None before the first finished request."""

    rate_bytes_per_s: float | None = None

    def measured(self, size_bytes: int, duration_s: float) -> None:
        """A request brought `size_bytes` in `duration_s`."""
        if size_bytes <= 0 or duration_s <= 0:
            return
        sample = size_bytes / duration_s
        known = self.rate_bytes_per_s
        self.rate_bytes_per_s = sample if known is None else known + GAIN * (sample - known)

    def span_bytes(self) -> int:
        """How much to ask for in one request."""
        if self.rate_bytes_per_s is None:
            return SPAN_BYTES_MIN
        return int(min(SPAN_BYTES_MAX, max(SPAN_BYTES_MIN, self.rate_bytes_per_s * SPAN_S)))

    def expected_s(self, size_bytes: int) -> float | None:
        """How long `size_bytes` would take at the measured rate."""
        return size_bytes / self.rate_bytes_per_s if self.rate_bytes_per_s else None


class Paces:
    """What sources have shown, by name, kept from download to download."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def of(self, name: str) -> Pace:
        """The source's pace; a new one for a stranger."""
        pace = self._paces.pop(name, None) or Pace()
        self._paces[name] = pace  # the newest last
        if len(self._paces) > PACES_MAX:
            del self._paces[next(iter(self._paces))]
        return pace

    def in_order(self, names: Iterable[str]) -> list[str]:
        """The fastest known first, then the others in the caller's order of preference."""
        return sorted(names, key=lambda name: -(self._paces.get(name, STRANGER).rate_bytes_per_s or 0.0))


STRANGER = Pace()


def is_silent(owner: Pace, leaf_bytes: int, silent_s: float) -> bool:
    """Whether a request without progress for `silent_s` looks stuck, given how long one leaf takes its source."""
    usual_s = owner.expected_s(leaf_bytes)
    if usual_s is None:
        return silent_s >= LATE_UNMEASURED_S
    return silent_s >= max(LATE_AFTER_S, LATE_FACTOR * usual_s)


def is_slow(owner: Pace, helper: Pace, remaining_bytes: int) -> bool:
    """Whether the helper would be done with the remaining bytes long before their owner."""
    owner_s, helper_s = owner.expected_s(remaining_bytes), helper.expected_s(remaining_bytes)
    if owner_s is None or helper_s is None:
        return False
    return owner_s > LATE_FACTOR * helper_s + LATE_AFTER_S
