"""Requests that go from relay to relay end, whatever the nodes are connected like."""

import os
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.trail import HOPS_MAX, MARK_BYTES, MARKS_MAX, NO_TRAIL, Trail, begin, mark_of

Graph = dict[int, list[int]]


def node(number: int) -> bytes:
    return number.to_bytes(32)


def visits(graph: Graph, start: int, hops: int = HOPS_MAX) -> list[list[int]]:
    """Every way that a request takes when each node that may passes it to all its neighbours."""
    ways: list[list[int]] = []

    def pass_on(at: int, trail: Trail, way: list[int]) -> None:
        ways.append(way)
        if trail.may_pass(node(at)):
            for neighbour in graph[at]:
                pass_on(neighbour, trail.passed(node(at)), [*way, neighbour])

    trail = begin(node(start), Random(start).randbytes, hops)
    for neighbour in graph[start]:
        pass_on(neighbour, trail, [start, neighbour])
    return ways


def ring(size: int) -> Graph:
    return {at: [(at + 1) % size] for at in range(size)}


def everybody_knows_everybody(size: int) -> Graph:
    return {at: list(range(size)) for at in range(size)}


def random_graph(size: int) -> Graph:
    random = Random(size)
    return {at: [random.randrange(size) for _ in range(3)] for at in range(size)}


@pytest.mark.parametrize("make", [ring, everybody_knows_everybody, random_graph])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_a_request_is_passed_on_by_nobody_twice_and_by_few(make: Callable[[int], Graph], size: int) -> None:
    for way in visits(make(size), 0):
        passed_by = way[:-1]
        assert len(passed_by) <= HOPS_MAX + 1, "whoever began, and the relays"
        assert max(Counter(passed_by).values()) == 1


def test_a_long_line_ends_after_its_hops() -> None:
    line = {at: [at + 1] for at in range(10)} | {10: []}
    assert visits(line, 0)[-1] == [0, 1, 2, 3, 4]
    assert visits(line, 0, hops=1)[-1] == [0, 1, 2]


def test_in_a_diamond_both_ways_are_taken() -> None:
    ways = visits({0: [1, 2], 1: [3], 2: [3], 3: []}, 0)
    assert [0, 1, 3] in ways
    assert [0, 2, 3] in ways


def test_a_node_that_knows_itself_asks_itself_once() -> None:
    assert visits({0: [1], 1: [1]}, 0) == [[0, 1], [0, 1, 1]], "and its own question it does not pass on"


def test_whoever_began_is_on_the_trail() -> None:
    trail = begin(node(1), os.urandom)
    assert trail.has_passed(node(1))
    assert not trail.may_pass(node(1))
    assert trail.may_pass(node(2))


def test_without_a_trail_or_hops_nothing_is_passed_on() -> None:
    assert not NO_TRAIL.may_pass(node(1))
    assert not NO_TRAIL.has_passed(node(1))
    assert not Trail(HOPS_MAX, ()).may_pass(node(1)), "hops without a trail: loops could not be seen"
    assert not Trail(0, begin(node(1), os.urandom).marks).may_pass(node(2))


def test_a_trail_that_is_full_is_not_made_longer() -> None:
    assert not Trail(HOPS_MAX, (bytes(MARK_BYTES),) * MARKS_MAX).may_pass(node(1))


def test_the_name_of_a_trail_is_nobodys_mark() -> None:
    name = mark_of(b"other-id", node(1))
    assert not Trail(1, (name,)).has_passed(node(1))


@given(st.binary(min_size=MARK_BYTES, max_size=MARK_BYTES), st.binary(min_size=32, max_size=32))
def test_marks_of_two_trails_tell_nothing_of_each_other(name: bytes, endpoint_id: bytes) -> None:
    assert mark_of(name, endpoint_id) != mark_of(bytes(reversed(name)) + b"x", endpoint_id)
    assert len(mark_of(name, endpoint_id)) == MARK_BYTES
