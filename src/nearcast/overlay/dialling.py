"""How many dials a node has under way: many at a time, and few as soon as those that succeed take long.

A dial that gets no answer costs nothing but its place, so many places get past the dead soon. One that succeeds costs
either side some 6 ms of CPU (measured, iroh 1.2). Where that is scarce, many at a time all become slower than their
timeout, their work is lost, and they are begun again. Measured twice: 25 nodes that start together on a third of a core
are members after 7 and 12 s with 4 dials at a time each, after 16 and more than 29 s with 16, a tenth or more of the
dials lost; with what stands here after 10 and 12 s. How long a successful dial takes tells it.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Final

DIALS_MAX: Final = 16  # at a time; guess: twice the seeds that are tried at once
BUSY_DIALS_MAX: Final = 4  # the same while dials take long; measured, see above. Kademlia's three paths and one
LONG_DIAL_S: Final = 0.6  # guess: three round trips of 0.2 s
NEWEST_SHARE: Final = 0.25  # of the newest dial in the usual time; guess: the last handful counts


class DialSlots:
    """Enter it as an async context manager for each dial; whoever comes when all are taken waits in line."""

    def __init__(self) -> None:
        self._under_way = 0
        self._usual_s = 0.0
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def slots(self) -> int:
        """How many dials may be under way now."""
        return DIALS_MAX if self._usual_s < LONG_DIAL_S else BUSY_DIALS_MAX

    def succeeded(self, duration_s: float) -> None:
        """A dial took so long."""
        self._usual_s += NEWEST_SHARE * (duration_s - self._usual_s)

    async def __aenter__(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._line.remove(turn)
            else:  # it came at the same moment
                self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._under_way -= 1
        self._admit()

    def _admit(self) -> None:
        for turn in list(self._line):
            if self._under_way >= self.slots:
                return
            if not turn.done():
                self._line.remove(turn)
                self._under_way += 1
                turn.set_result(None)
