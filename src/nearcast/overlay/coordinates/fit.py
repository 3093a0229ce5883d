"""The best place among several references at once, and how well it fits.

PCoord (NCA 2004, ITNG 2006) minimises a weighted sum of squared relative errors by the simplex method. Here the same
kind of sum is minimised by majorisation (SMACOF, de Leeuw 1977, for a single point): each reference says where it
would have us, on the line through us at its measured time, and we go to the weighted mean, or half as far again
(`RELAXATION`). It needs no step width and no derivative, and no step makes the sum worse for fixed weights.

What is weighed: without `robust`, squared relative errors as PCoord does (relative to the smaller of the two times,
which is how errors are judged, not to the measured one). With `robust` r, a reference that is off by more than r counts
by its error, not by its square (iteratively reweighted, as Huber's loss): a fifth of wild references then bends the
place a little instead of dragging it along. Even that little adds up when all of them are wrong in the same direction,
as those are who answer late: the middle of four fifths and a fifth is not the middle of the four fifths. So from `cut`
on a reference counts the less the wilder it is (as Cauchy's loss). The cut widens with our own error: somebody who does
not know where it is cannot call others wild.
"""

import math
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

from nearcast.overlay.coordinates.coordinate import Point
from nearcast.overlay.coordinates.vivaldi import ZERO_S, bounded, unit_vector

if TYPE_CHECKING:
    import random

SMALL_S = 0.001  # a relative error below a millisecond is noise; measured: 0.2 and 5 ms are 1 to 4 % worse
SLACK_S = 0.01  # below it nobody is wild, as in guard.py; measured: without it a flash crowd's p90 is 6 % worse
RELAXATION = 1.5  # of a step; up to 2 none makes the sum worse (de Leeuw and Heiser 1980)


@dataclass(frozen=True, slots=True)
class Loss:
    """How references are weighed: by their error, and by 1 / (what is believed of them + error_floor)."""

    robust: float = 0.2  # 0: squares. Measured in a flash crowd: 0.1 and 0.3 are 1 to 6 % worse, 0.03 is 15 to 19 %
    cut: float = 1.5  # twice and a half too far, or too near
    cut_errors: float = 8.0  # or so many times our own error; measured: 1.0 and 5 are within the spread of the seeds
    error_floor: float = 1.0  # a perfect word weighs at most 2.5 times the worst; measured: 0.05 lets liars scatter all


@dataclass(slots=True)
class Reference:
    """A measured peer: the last time to it and where it said it was; `error` is what is to be believed of it."""

    rtt_s: float
    point: Point
    error: float


def settle(
    own: Point, references: list[Reference], loss: Loss, rounds: int, height_s_min: float, rng: "random.Random"
) -> Point:
    """`own`, moved for so many rounds towards the place that fits the references best. They share its dimensions."""
    columns = list(zip(*[reference.point.vector for reference in references], strict=True))
    floor = loss.error_floor
    rows = [
        (reference.point.vector, reference.rtt_s, reference.point.height_s, 1.0 / (reference.error + floor))
        for reference in references
    ]
    cut = max(loss.cut, loss.cut_errors * own.error)
    vector, height_s = own.vector, own.height_s
    for _ in range(rounds):
        total, pulls, stretch, scatter_s, lift_s = _pulls(vector, height_s, rows, loss.robust, cut)
        if total <= 0.0:
            break
        share = RELAXATION / total
        stay = 1.0 - RELAXATION + stretch * share
        vector = tuple(
            [sum(map(mul, pulls, column)) * share + stay * x for x, column in zip(vector, columns, strict=True)]
        )
        if scatter_s:
            vector = _scattered(vector, scatter_s / total, rng)
        height_s = max(height_s_min, 0.5 * (height_s + lift_s / total)) if height_s_min > 0.0 else 0.0
    return Point(bounded(vector), height_s, own.error)


def _pulls(
    vector: tuple[float, ...],
    height_s: float,
    rows: list[tuple[tuple[float, ...], float, float, float]],
    robust: float,
    cut: float,
) -> tuple[float, list[float], float, float, float]:
    """One round's weights: their sum, what of each pulls to its reference, and the sum of what keeps our direction.

    A reference of weight w at the distance d that wants us at the distance t says w * (y + (x - y) * t / d). Then the
    weighted lengths wanted by those on our very spot, and the weighted sum of the heights they would like us to have.
    """
    pulls = []
    total = stretch = scatter_s = lift_s = 0.0
    dist = math.dist
    for there, rtt_s, above_s, weight in rows:
        flat_s = dist(vector, there)
        rest_s = rtt_s - above_s
        off_s = flat_s + height_s - rest_s
        if off_s > 0.0:
            base_s = SMALL_S + rtt_s
        else:
            base_s = SMALL_S + rtt_s + off_s
            off_s = -off_s
        if not robust:
            weight /= base_s * base_s
        elif off_s > robust * base_s:
            weight /= off_s
            limit_s = cut * (base_s + SLACK_S)
            if off_s > limit_s:
                weight *= limit_s / off_s
        else:
            weight /= robust * base_s
        total += weight
        lift_s += weight * (rest_s - flat_s)
        wanted_s = rest_s - height_s
        if wanted_s <= 0.0:
            pulls.append(weight)
        elif flat_s > ZERO_S:
            kept = weight * wanted_s / flat_s
            stretch += kept
            pulls.append(weight - kept)
        else:
            scatter_s += weight * wanted_s
            pulls.append(weight)
    return total, pulls, stretch, scatter_s, lift_s


def _scattered(vector: tuple[float, ...], length_s: float, rng: "random.Random") -> tuple[float, ...]:
    """Away from those on the same spot, in a direction by chance: they have none to offer."""
    return tuple([x + u * length_s for x, u in zip(vector, unit_vector(len(vector), rng), strict=True)])


def misfit(own: Point, references: list[Reference]) -> float:
    """The median relative error over the references: half of them may lie before it says anything.

    |estimated - measured| over the smaller one: the measure of the Pharos author's simulator.
    """
    vector, height_s, dist = own.vector, own.height_s, math.dist
    errors = []
    for reference in references:
        point, rtt_s = reference.point, reference.rtt_s
        off_s = dist(vector, point.vector) + height_s + point.height_s - rtt_s
        errors.append(off_s / (rtt_s + SMALL_S) if off_s > 0.0 else -off_s / (rtt_s + off_s + SMALL_S))
    errors.sort()
    return errors[(len(errors) - 1) // 2]


def amid(references: list[Reference]) -> tuple[float, ...]:
    """The median in each dimension: fewer than half of them, wherever they say they are, cannot carry it away."""
    columns = zip(*[reference.point.vector for reference in references], strict=True)
    return tuple([sorted(column)[len(column) // 2] for column in columns])
