"""What happens next: a heap of events, the earliest first, and of two at one instant the one that was put in first.

An event is a tuple `(time_s, sequence, target, source, what)`. The sequence number is unique, so that nothing behind it
is ever compared and the order never depends on what the events are. simulation.py reads `heap` itself: a method call
per event would cost as much as the heap.
"""

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from nearcast.sim.peer import Peer

Event: TypeAlias = "tuple[float, int, Peer | None, Any, Any]"


class _Mark:
    """A constant that says what an event is; nothing else is equal to it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


TIMER: Final = _Mark("timer")  # `what` is the timer that rings at the target
UNREACHABLE: Final = _Mark("unreachable")  # `what` is the endpoint id that the target could not reach
CALL: Final = _Mark("call")  # `what` is a function of the scenario; there is no target


class Queue:
    """Events to come."""

    __slots__ = ("heap", "sequence")

    def __init__(self) -> None:
        self.heap: list[Event] = []
        self.sequence = 0  # of the newest event

    def push(self, time_s: float, target: "Peer | None", source: Any, what: Any) -> None:
        """`source`: TIMER, UNREACHABLE, CALL, or the Peer that sent the message `what`."""
        self.sequence = sequence = self.sequence + 1
        heappush(self.heap, (time_s, sequence, target, source, what))

    def pop(self) -> Event:
        """Raises IndexError when there is none."""
        return heappop(self.heap)

    def next_s(self) -> float | None:
        """When the next event is due."""
        return self.heap[0][0] if self.heap else None

    def __len__(self) -> int:
        return len(self.heap)
