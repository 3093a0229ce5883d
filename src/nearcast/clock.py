"""The one place that asks what time it is; everything else is told."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time. Simulations and tests bring their own."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    def unix_s(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump when the machine's clock is set."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def unix_s(self) -> float:
        return time.time()  # noqa: TID251 - this is the place the rule points to
