"""Whatever peers say and however long they take, our coordinate stays finite and moves by a bounded step."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import UsageError
from nearcast.overlay.coordinates import (
    COORDINATE_SYSTEMS,
    DEFAULT_SYSTEM,
    Coordinate,
    Point,
    encode_coordinate,
    make_coordinates,
    parse_coordinate,
)
from nearcast.overlay.coordinates.coordinate import is_sound, origin
from nearcast.overlay.coordinates.pcoord import REACH_S, reach_s
from nearcast.overlay.coordinates.vivaldi import SERF, Springs, SpringSettings

PEERS = [bytes([at]) * 32 for at in range(8)]
numbers = st.floats(-10.0, 10.0)
stated = st.builds(Point, st.tuples(*[numbers] * 7), st.floats(0.0, 10.0), st.floats(0.0, 1.5), st.just(0.0))
coordinates = st.builds(Coordinate, stated, st.just(b"cluster1"), stated) | st.builds(Coordinate, stated)
samples = st.lists(st.tuples(st.sampled_from(PEERS), st.floats(0.0, 10.0, exclude_min=True), coordinates), max_size=60)
wild = st.floats(allow_nan=True, allow_infinity=True)


def length_s(one: Point, other: Point) -> float:
    return math.dist(one.vector, other.vector)


@pytest.mark.parametrize("name", [name for name in COORDINATE_SYSTEMS if name != "serf"])
@given(given_samples=samples)
def test_no_sample_breaks_a_coordinate(name: str, given_samples: list[tuple[bytes, float, Coordinate]]) -> None:
    ours = make_coordinates(name, random.Random(1))
    ours.arrange({peer: coordinate for peer, _, coordinate in given_samples})
    limit_s = 5.0 if name in ("vivaldi", "pharos") else REACH_S
    for at, (peer, rtt_s, coordinate) in enumerate(given_samples):
        before = ours.own.point
        assert ours.observe(peer, rtt_s, coordinate, float(at))
        after = ours.own.point
        assert is_sound(after)
        assert length_s(before, after) <= limit_s + 1e-9
        assert after.height_s - before.height_s <= limit_s + 1e-9
        estimate_s = ours.estimate_s(coordinate)
        assert 0.0 <= estimate_s < math.inf
        assert 0.0 <= ours.confidence(coordinate) <= 1.0
    assert is_sound(parse_coordinate(encode_coordinate(ours.own)).point)


@given(wild, wild)
def test_what_is_no_sample_is_refused(rtt_s: float, number: float) -> None:
    ours = make_coordinates(DEFAULT_SYSTEM, random.Random(1))
    sound = 0.0 < rtt_s <= 10.0
    assert ours.observe(PEERS[0], rtt_s, Coordinate(origin(7)), 0.0) is sound
    place = Coordinate(Point((number,) * 7))
    assert ours.observe(PEERS[0], 0.1, place, 0.0) is (-10.0 <= number <= 10.0)
    assert not ours.observe(PEERS[0], 0.1, Coordinate(origin(3)), 0.0)
    assert is_sound(ours.own.point)


def test_who_is_sure_moves_less() -> None:
    assert reach_s(1.5) == reach_s(1.0) == REACH_S
    assert reach_s(0.1) == pytest.approx(0.1 * REACH_S)
    assert reach_s(0.0) > 0.0


def test_a_spring_wants_the_measured_length() -> None:
    springs = Springs(SpringSettings(dimensions=2, has_height=False), random.Random(1))
    there = Point((0.1, 0.0), error=0.1)
    for _ in range(200):
        springs.observe(PEERS[0], 0.05, there, 0.0)
    assert length_s(springs.point, there) == pytest.approx(0.05, rel=0.01)
    assert springs.point.error < 0.05


def test_gravity_pulls_to_the_origin() -> None:
    def after(settings: SpringSettings) -> float:
        springs = Springs(settings, random.Random(1))
        springs.point = Point((9.0, *[0.0] * 7), 0.001, 1.0)
        springs.observe(PEERS[0], 0.001, Point((9.0, *[0.0] * 7), 0.0, 1.0), 0.0)
        return springs.point.vector[0]

    assert after(SERF) < after(SpringSettings()) <= 9.0


def test_the_same_dice_give_the_same_coordinate() -> None:
    def play() -> bytes:
        ours = make_coordinates(DEFAULT_SYSTEM, random.Random(7))
        for at in range(40):
            ours.observe(PEERS[at % 8], 0.01 * (at % 8 + 1), Coordinate(origin(7)), float(at))
        return encode_coordinate(ours.own)

    assert play() == play()


def test_a_system_that_is_none() -> None:
    with pytest.raises(UsageError):
        make_coordinates("gps", random.Random(1))
