"""The bytes of a coordinate, read strictly; estimates that are the same from both ends."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import RemoteError
from nearcast.overlay.coordinates import (
    Coordinate,
    Point,
    confidence,
    encode_coordinate,
    estimate_s,
    nearest,
    parse_coordinate,
)
from nearcast.overlay.coordinates.coordinate import COORDINATE_BYTES_MAX, distance_s, origin

numbers = st.floats(-10.0, 10.0, width=32)
lengths = st.floats(0.0, 10.0, width=32)


def points(dimensions: int) -> st.SearchStrategy[Point]:
    vectors = st.tuples(*[numbers] * dimensions)
    return st.builds(Point, vectors, lengths, st.floats(0.0, 1.5, width=32), numbers)


flat = st.builds(Coordinate, st.integers(1, 8).flatmap(points))
two_levels = st.builds(Coordinate, points(7), st.binary(min_size=8, max_size=8), points(7))


@given(flat | two_levels)
def test_what_is_written_is_read(coordinate: Coordinate) -> None:
    packed = encode_coordinate(coordinate)
    assert len(packed) <= COORDINATE_BYTES_MAX
    assert parse_coordinate(packed) == coordinate


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(packed: bytes) -> None:
    try:
        coordinate = parse_coordinate(packed)
    except RemoteError:
        return
    assert encode_coordinate(coordinate) == packed


@pytest.mark.parametrize(
    "value", [None, "text", 7, b"", b"\x01", b"\x01\x07", b"\x02\x07" + bytes(40), b"\x01\x09" + bytes(48)]
)
def test_what_is_no_coordinate_is_refused(value: object) -> None:
    with pytest.raises(RemoteError):
        parse_coordinate(value)


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 11.0, -11.0])
def test_a_number_out_of_bounds_is_refused(index: int, number: float) -> None:
    sound = [0.1, 0.2, 0.01, 0.5, 0.0]
    assert parse_coordinate(b"\x01\x02" + struct.pack(">5f", *sound)).point.error == 0.5
    sound[index] = number
    with pytest.raises(RemoteError):
        parse_coordinate(b"\x01\x02" + struct.pack(">5f", *sound))


def test_a_byte_too_many_is_refused() -> None:
    with pytest.raises(RemoteError):
        parse_coordinate(encode_coordinate(Coordinate(origin(7))) + b"\0")


@given(flat | two_levels, flat | two_levels)
def test_an_estimate_is_the_same_from_both_ends(one: Coordinate, other: Coordinate) -> None:
    assert estimate_s(one, other) == pytest.approx(estimate_s(other, one))
    assert estimate_s(one, other) >= 0.0
    assert confidence(one, other) == confidence(other, one)
    assert 0.0 <= confidence(one, other) <= 1.0


def test_heights_add_and_the_adjustment_counts_while_it_is_a_time() -> None:
    one, other = Point((0.0, 0.0), 0.01), Point((0.03, 0.04), 0.02)
    assert distance_s(one, other) == pytest.approx(0.08)
    assert distance_s(one, Point((0.03, 0.04), 0.02, adjustment_s=-0.01)) == pytest.approx(0.07)
    assert distance_s(one, Point((0.03, 0.04), 0.02, adjustment_s=-0.5)) == pytest.approx(0.08)


def test_a_cluster_is_compared_in_its_own_space() -> None:
    here, there = Point((0.0,)), Point((0.1,))
    one = Coordinate(here, b"cluster1", Point((0.0,)))
    assert estimate_s(one, Coordinate(there, b"cluster1", Point((0.002,)))) == pytest.approx(0.002)
    assert estimate_s(one, Coordinate(there, b"cluster2", Point((0.002,)))) == pytest.approx(0.1)
    assert estimate_s(one, Coordinate(there)) == pytest.approx(0.1)


def test_the_nearest_comes_first_and_strangers_last() -> None:
    own = Coordinate(origin(2))
    candidates = {
        b"stranger": Coordinate(origin(3)),
        b"far": Coordinate(Point((0.2, 0.0), error=0.1)),
        b"near": Coordinate(Point((0.1, 0.0), error=0.1)),
    }
    assert nearest(own, candidates) == [b"near", b"far", b"stranger"]
    assert confidence(own, candidates[b"near"]) == 0.0
    sure = Coordinate(Point((0.0, 0.0), error=0.1))
    assert confidence(sure, candidates[b"near"]) == pytest.approx(1.0 - math.hypot(0.1, 0.1))
    assert confidence(sure, candidates[b"stranger"]) == 0.0
