"""How many answers a node sends at a time, and who is next.

An answer holds two pieces in memory, so there are places for a bounded number. Who comes when all are taken waits in
line, which costs next to nothing: many readers at once are slower, and all of them are served.
"""

import asyncio
from collections import Counter, deque
from typing import Final

ANSWERS_MAX: Final = 128  # at 2 to 3 MiB each 0.4 GB at the very worst, when every reader stands still
SHARE_MAX: Final = 16  # of the second half of the places, for one asker; guess: five times what a client asks at a time
WAITING_MAX: Final = 4_096  # in line; guess: a thousand clients with a few requests each, some 10 kB apiece


class ServeGate:
    """Shared by all connections of a node.

    Half of the places anybody may have. Of the other half nobody who has SHARE_MAX answers gets more: who lets many of
    them wait, for a payment or for a reader, does not keep the others out. An asker is the channel that pays, or the
    endpoint id of who asks for free.
    """

    def __init__(self, answers_max: int = ANSWERS_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._free = answers_max
        self._answers_max = answers_max
        self._waiting_max = waiting_max
        self._by_asker: Counter[bytes] = Counter()
        self._line: deque[tuple[bytes, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @property
    def load(self) -> float:
        """How much of it is taken, 0 to 1."""
        return 1.0 - self._free / self._answers_max

    def enter(self, asker: bytes) -> bool:
        """Take a place, if there is one and nobody stands in line for it."""
        if self._line or not self._may_enter(asker):
            return False
        self._take(asker)
        return True

    def stand_in_line(self, asker: bytes) -> "asyncio.Future[None] | None":
        """Done when a place has been taken; None when the line is full. Whoever does not want it any more says so."""
        if len(self._line) >= self._waiting_max:
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((asker, turn))
        self._admit()  # those before may stand there for their share only
        return turn

    def give_up(self, asker: bytes, turn: "asyncio.Future[None]") -> None:
        """Step out of the line, or give back the place that came meanwhile."""
        if turn.done():
            self.leave(asker)
        else:
            self._line.remove((asker, turn))

    def leave(self, asker: bytes) -> None:
        """Give a place back; the next in line has it."""
        self._free += 1
        self._by_asker[asker] -= 1
        if not self._by_asker[asker]:
            del self._by_asker[asker]
        self._admit()

    def _may_enter(self, asker: bytes) -> bool:
        is_scarce = 2 * self._free <= self._answers_max
        return self._free > 0 and not (is_scarce and self._by_asker[asker] >= SHARE_MAX)

    def _take(self, asker: bytes) -> None:
        self._free -= 1
        self._by_asker[asker] += 1

    def _admit(self) -> None:
        """Let in who may enter, in the order of the line."""
        for entry in list(self._line):
            if not self._free:
                return
            asker, turn = entry
            if self._may_enter(asker):
                self._line.remove(entry)
                self._take(asker)
                turn.set_result(None)
