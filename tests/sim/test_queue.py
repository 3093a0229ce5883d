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


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0)), max_size=80))
def test_events_put_in_on_the_way_find_their_place(steps: list[tuple[bool, float]]) -> None:
    """As in a simulation: whatever happens puts in events that are due later, also within the open bucket."""
    queue, expected, now_s = Queue(), [(0.0, 1)], 0.0
    queue.push(0.0, None, CALL, None)
    for pops, value in steps:
        if pops and expected:
            event = queue.pop()
            assert event[:2] == expected.pop(0)
            now_s = event[0]
        else:
            queue.push(now_s + value**4, None, CALL, None)  # many near ones, some far ones
            expected = sorted([*expected, (now_s + value**4, queue.sequence)])
        assert len(queue) == len(expected)


def test_filling_stops_at_its_end() -> None:
    queue = Queue()
    queue.push(5.0, None, CALL, "later")
    assert not queue.fill(4.9)
    assert queue.fill(5.0)
    assert queue.heap[0][4] == "later"


def test_events_themselves_are_never_compared() -> None:
    queue = Queue()
    for _ in range(3):
        queue.push(1.0, None, CALL, object())  # objects have no order: comparing two would raise TypeError
    assert len({queue.pop()[1] for _ in range(3)}) == 3


def test_an_empty_queue() -> None:
    assert not Queue().fill(float("inf"))
    with pytest.raises(IndexError):
        Queue().pop()
