"""A small world with a true map: every system finds it, and liars do not undo it."""

import math
import random
from functools import lru_cache

import pytest

from nearcast.overlay.coordinates import COORDINATE_SYSTEMS, DEFAULT_SYSTEM, make_coordinates
from nearcast.overlay.coordinates.base import Coordinates
from nearcast.sim.figures.coordinate_field import Field, Quality
from nearcast.sim.figures.coordinate_lies import LIES

HOSTS = 40
LIARS = 8  # a fifth
ROUNDS = 300


@lru_cache
def world() -> list[list[float]]:
    """Three towns on a plane, 100 ms apart and 10 ms wide, each host behind an access line of 1 to 5 ms."""
    rng = random.Random(3)
    towns = [(0.0, 0.0), (0.1, 0.0), (0.05, 0.09)]
    hosts = [
        (towns[at % 3][0] + rng.gauss(0.0, 0.01), towns[at % 3][1] + rng.gauss(0.0, 0.01), rng.uniform(0.001, 0.005))
        for at in range(HOSTS)
    ]
    return [[math.dist(one[:2], other[:2]) + one[2] + other[2] for other in hosts] for one in hosts]


@lru_cache
def measured(name: str, rounds: int, lie: str | None = None) -> Quality:
    def make(rng: random.Random) -> Coordinates:
        return make_coordinates(name, rng)

    field = Field(world(), make, 1, is_choosing=True, liars=LIARS if lie else 0, lie=LIES[lie] if lie else None)
    field.run(rounds)
    return field.quality()


@pytest.mark.parametrize("name", COORDINATE_SYSTEMS)
def test_a_true_map_is_found(name: str) -> None:
    assert measured(name, 10).error_median > 0.1  # or the world is too easy for what follows
    quality = measured(name, ROUNDS)
    assert quality.error_median < 0.12
    assert quality.error_90th < 0.45


def test_the_default_finds_it_best() -> None:
    quality = measured(DEFAULT_SYSTEM, ROUNDS)
    assert quality.error_median < 0.06
    assert quality.error_90th < 0.2
    assert quality.loss_median_s < 0.001


@pytest.mark.parametrize("lie", LIES)
def test_a_fifth_of_liars_does_not_drag_the_honest(lie: str) -> None:
    quality = measured(DEFAULT_SYSTEM, ROUNDS, lie)
    assert quality.error_median < 0.1
    assert quality.error_90th < 0.4


def test_the_lies_are_lies() -> None:
    """The plain springs, which believe everything, are dragged along."""
    assert measured("vivaldi", ROUNDS, "random").error_median > 0.5


def test_the_same_seed_gives_the_same_figures() -> None:
    first = measured(DEFAULT_SYSTEM, 40)
    measured.cache_clear()
    assert measured(DEFAULT_SYSTEM, 40) == first
