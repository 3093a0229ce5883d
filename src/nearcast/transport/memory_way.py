"""How what is sent within a process gets from one endpoint to another: after how long, and whether at all.

The network decides (memory.py has the simple one: the same latency everywhere). A simulation brings its own, with
distances, narrow links, loss and partitions.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Way(Protocol):
    """One direction between two endpoints, shared by all streams of a connection."""

    def send(self, arrive: Callable[[], None], size_bytes: int, after_s: float) -> float:
        """Call `arrive` when `size_bytes` have reached the other side, or never.

        Not before `after_s`, a moment of the loop's clock: what was sent earlier on the same stream arrives then. The
        moment of arrival as far as it is known.
        """


class FixedWay:
    """Always open and wide, `latency_s` long; at 0 what is sent has arrived at once."""

    __slots__ = ("_latency_s",)

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s

    def send(self, arrive: Callable[[], None], size_bytes: int, after_s: float) -> float:
        if self._latency_s <= 0:
            arrive()
            return 0.0
        loop = asyncio.get_running_loop()
        arrival_s = loop.time() + self._latency_s
        loop.call_at(arrival_s, arrive)
        return arrival_s
