"""Clusters and neighbours, made of nothing but known coordinates."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.overlay.coordinates import Coordinate, Point, encode_coordinate, guard, parse_coordinate
from nearcast.overlay.coordinates.coordinate import distance_s
from nearcast.overlay.coordinates.landmarks import (
    LANDMARKS_MAX,
    SEPARATION_S,
    STAY,
    cluster_name,
    elect,
    rank,
)
from nearcast.overlay.coordinates.neighbours import choose
from nearcast.overlay.coordinates.pcoord import ROBUST, Batches
from nearcast.overlay.coordinates.pharos import TwoLevels

places = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=40)


def known_at(numbers: list[float]) -> dict[bytes, Coordinate]:
    return {at.to_bytes(32): Coordinate(Point((number,) * 7)) for at, number in enumerate(numbers)}


@given(places, st.randoms(use_true_random=False))
def test_landmarks_are_apart_and_everybody_elects_the_same(numbers: list[float], rng: random.Random) -> None:
    known = known_at(numbers)
    elected = elect(known)
    assert 1 <= len(elected) <= LANDMARKS_MAX
    for at, one in enumerate(elected):
        assert all(distance_s(known[one].point, known[other].point) >= SEPARATION_S for other in elected[:at])
    shuffled = list(known.items())
    rng.shuffle(shuffled)
    assert elect(dict(shuffled)) == elected
    if len(elected) < LANDMARKS_MAX:
        for peer in known:
            assert min(distance_s(known[peer].point, known[other].point) for other in elected) < SEPARATION_S


def test_a_landmark_does_not_flap() -> None:
    one, other = sorted([b"a" * 32, b"b" * 32], key=rank)

    def at(apart: float) -> dict[bytes, Coordinate]:
        return {one: Coordinate(Point((0.0,))), other: Coordinate(Point((apart * SEPARATION_S,)))}

    assert elect(at(1.01)) == [one, other]
    assert elect(at(0.99)) == [one]
    assert elect(at(0.99), present=[one, other]) == [one, other]
    assert elect(at(STAY - 0.01), present=[one, other]) == [one]


def make(seed: int = 1) -> TwoLevels:
    rng = random.Random(seed)
    return TwoLevels(lambda: Batches(ROBUST, rng), rng)


def test_a_peer_joins_the_nearest_landmark_and_asks_the_unmeasured_first() -> None:
    known = known_at([0.0, 0.5])
    ours = make()
    ours.arrange({})
    assert ours.own.cluster is None
    ours.arrange(known)
    near, far = list(known)
    assert ours.cluster == cluster_name(near)
    assert set(ours.wanted(known, 1)) <= {near, far}
    for peer, rtt_s in ((near, 0.3), (far, 0.02)):
        for _ in range(3):
            ours.observe(peer, rtt_s, known[peer], 0.0)
    ours.arrange(known)
    assert ours.cluster == cluster_name(far)  # measured times count for more than what coordinates say
    ours.arrange({near: known[near]})
    assert ours.cluster == cluster_name(near)  # ours is gone


def test_a_sample_of_the_cluster_serves_both_spaces() -> None:
    ours, known = make(), known_at([0.0])
    ours.arrange(known)
    peer = next(iter(known))
    for at in range(60):
        place = Point((0.01 * (at % 5),) * 7, error=0.1)
        ours.observe(bytes([at % 5]) * 32, 0.02, Coordinate(place, cluster_name(peer), place), float(at))
    own = ours.own
    assert own.local is not None
    assert own.local.error < 1.5
    assert own.point.error < 1.5
    parsed = parse_coordinate(encode_coordinate(own))
    assert parsed.cluster == cluster_name(peer)
    assert parsed.local is not None


def test_a_liar_with_another_kind_of_local_point_is_ignored_there() -> None:
    ours, known = make(), known_at([0.0])
    ours.arrange(known)
    before = ours.own.local
    for _ in range(10):
        assert ours.observe(b"x" * 32, 0.1, Coordinate(Point((0.0,) * 7), ours.cluster, Point((0.0,) * 3)), 0.0)
    assert ours.own.local == before


def local_error(liars: int) -> float:
    """How wrong our local space is about the four mates of our cluster, with so many liars who claim to be of it."""
    ours, known = make(), known_at([0.0])
    ours.arrange(known)
    rng = random.Random(4)
    own = Point((0.0,) * 7)

    def place(spread_s: float) -> Point:
        return Point(tuple(rng.uniform(-spread_s, spread_s) for _ in range(7)), error=0.05)

    honest = {at: (place(0.01), True) for at in range(4)} | {at: (place(0.1), False) for at in range(4, 24)}
    lying = {at: place(0.01) for at in range(24, 24 + liars)}
    for _ in range(30):
        for at, (point, is_mate) in honest.items():
            stated = Coordinate(point, ours.cluster, point) if is_mate else Coordinate(point)
            ours.observe(bytes([at]) * 32, distance_s(own, point), stated, 0.0)
        for at, point in lying.items():
            ours.observe(bytes([at]) * 32, distance_s(own, point) + 0.5, Coordinate(point, ours.cluster, point), 0.0)
    mates = [point for point, is_mate in honest.values() if is_mate]
    errors = [
        abs(ours.estimate_s(Coordinate(point, ours.cluster, point)) / distance_s(own, point) - 1.0) for point in mates
    ]
    return max(errors)


def test_liars_that_are_the_most_of_a_cluster_have_no_say_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six late ones among thirty of all, but among ten that claim to be of our cluster."""
    assert local_error(liars=0) < 0.001
    assert local_error(liars=6) < 0.001
    monkeypatch.setattr(guard, "DOUBT", 1e9)
    assert local_error(liars=6) > 0.02  # they would have moved us


@given(places, st.integers(0, 20))
def test_neighbours_are_known_and_each_once(numbers: list[float], count: int) -> None:
    known = known_at(numbers)
    own = Coordinate(Point((0.0,) * 7))
    chosen = choose(own, known, count, random.Random(1))
    assert len(chosen) == len(set(chosen)) == min(count, len(known))
    assert set(chosen) <= set(known)


def test_half_of_the_neighbours_are_the_nearest() -> None:
    known = known_at([0.01 * at for at in range(100)])
    chosen = choose(Coordinate(Point((0.0,) * 7)), known, 10, random.Random(1))
    assert chosen[:5] == list(known)[:5]
    assert len(chosen) == 10
