"""The heap of events: by time, and what came first comes first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.sim.queue import CALL, Queue


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 7.0])))
def test_events_come_by_time_and_ties_in_the_order_they_were_put_in(times: list[float]) -> None:
    queue = Queue()
    for at, time_s in enumerate(times):
        queue.push(time_s, None, CALL, at)
    popped = [queue.pop() for _ in range(len(queue))]
    assert [(event[0], event[4]) for event in popped] == sorted((time_s, at) for at, time_s in enumerate(times))


def test_events_themselves_are_never_compared() -> None:
    queue = Queue()
    for _ in range(3):
        queue.push(1.0, None, CALL, object())  # objects have no order: comparing two would raise TypeError
    assert queue.next_s() == 1.0
    assert len({queue.pop()[1] for _ in range(3)}) == 3


def test_an_empty_queue() -> None:
    assert Queue().next_s() is None
    with pytest.raises(IndexError):
        Queue().pop()
