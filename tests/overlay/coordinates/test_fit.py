"""A point fitted to its references: it finds the true place, and those who answer late do not shift it."""

import random

import pytest

from nearcast.overlay.coordinates.coordinate import Point
from nearcast.overlay.coordinates.fit import Loss, Reference, misfit, settle

PLACE = (0.1, -0.05)
LATE_S = 0.5
ROUNDS = 60


def references(late: int) -> list[Reference]:
    """Twenty around us, at their true distances; the first few of them answer late."""
    rng = random.Random(5)
    found = []
    for at in range(20):
        there = Point((rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)), 0.001, 0.05)
        rtt_s = ((there.vector[0] - PLACE[0]) ** 2 + (there.vector[1] - PLACE[1]) ** 2) ** 0.5 + 0.002
        found.append(Reference(rtt_s + (LATE_S if at < late else 0.0), there, 0.05))
    return found


def away_s(late: int, loss: Loss) -> float:
    """How far from the true place a settled peer is put, height included."""
    own = Point((0.09, -0.04), 0.001, 0.05)
    point = settle(own, references(late), loss, ROUNDS, 0.00001, random.Random(1))
    return sum(abs(one - other) for one, other in zip((*point.vector, point.height_s), (*PLACE, 0.001), strict=True))


@pytest.mark.parametrize("loss", [Loss(), Loss(robust=0.0)])
def test_the_true_place_is_found(loss: Loss) -> None:
    assert away_s(0, loss) < 0.001


def test_who_answers_late_does_not_shift_a_settled_peer() -> None:
    shifted_s = away_s(4, Loss())
    assert shifted_s < 0.7 * away_s(4, Loss(cut=1e9))
    assert shifted_s < 0.2 * away_s(4, Loss(robust=0.0))


def test_the_misfit_is_the_median_and_relative_to_the_smaller_time() -> None:
    own = Point((0.0,))
    far = [Reference(rtt_s, Point((0.1,)), 0.1) for rtt_s in (0.1, 0.2, 0.05)]
    assert misfit(own, far[:1]) == pytest.approx(0.0, abs=1e-9)
    assert misfit(own, far[1:2]) == pytest.approx(0.1 / 0.101)
    assert misfit(own, far[2:]) == pytest.approx(0.05 / 0.051)
    assert misfit(own, far) == pytest.approx(0.05 / 0.051)
