"""The best place among several references at once, and how well it fits.

PCoord (NCA 2004, ITNG 2006) minimises a weighted sum of squared relative errors by the simplex method. Here the same
kind of sum is minimised by majorisation (SMACOF, de Leeuw 1977, for a single point): each reference says where it
would have us, on the line through us at its measured time, and we go to the weighted mean. It needs no step width and
no derivative, and no step makes the sum worse for fixed weights.

What is weighed: with `exponent` 2 and no `robust`, squared relative errors as PCoord does. With exponent 1 and
`robust` r, a reference that is off by more than r counts by its error, not by its square (iteratively reweighted, as
Huber's loss): a fifth of wild references then bends the place a little instead of dragging it along.
"""

import math
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

from nearcast.overlay.coordinates.coordinate import Point
from nearcast.overlay.coordinates.vivaldi import ZERO_S, bounded, unit_vector

if TYPE_CHECKING:
    import random

SMALL_S = 0.001  # a relative error below a millisecond is noise; measured: 0.2 to 5 ms give the same result


@dataclass(frozen=True, slots=True)
class Loss:
    """How references are weighed: by 1 / (time ** exponent), by 1 / (error + error_floor) ** trust, and robustly."""

    exponent: float = 1.0
    robust: float = 0.2
    trust: float = 1.0
    error_floor: float = 0.05


@dataclass(slots=True)
class Reference:
    """A measured peer: the last time to it and where it said it was; `error` is what is to be believed of it."""

    rtt_s: float
    point: Point
    error: float


def settle(
    own: Point, references: list[Reference], loss: Loss, rounds: int, height_s_min: float, rng: "random.Random"
) -> Point:
    """`own`, moved for so many rounds towards the place that fits the references best."""
    columns = list(zip(*[reference.point.vector for reference in references], strict=True))
    trusts = [(reference.error + loss.error_floor) ** -loss.trust for reference in references]
    vector, height_s = own.vector, own.height_s
    for _ in range(rounds):
        weights, stays, spread, lift_s = _weights(vector, height_s, references, trusts, loss)
        stay = sum(weights)
        if stay <= 0.0:
            break
        keep = 1.0 / stay
        share = sum(stays) * keep
        pulls = [weight - moved for weight, moved in zip(weights, stays, strict=True)]
        vector = tuple(
            [(sum(map(mul, pulls, column)) * keep + share * x) for x, column in zip(vector, columns, strict=True)]
        )
        if spread:
            vector = _scattered(vector, spread * keep, rng)
        height_s = max(height_s_min, 0.5 * (height_s + lift_s * keep)) if height_s_min > 0.0 else 0.0
    return Point(bounded(vector), height_s, own.error)


def _weights(
    vector: tuple[float, ...], height_s: float, references: list[Reference], trusts: list[float], loss: Loss
) -> tuple[list[float], list[float], float, float]:
    """Per reference its weight, and the weight times (wanted / present distance); then what lies on the very spot.

    Last, the weighted sum of the heights that the references would like us to have.
    """
    weights, stays = [], []
    spread = lift_s = 0.0
    exponent, robust = loss.exponent, loss.robust
    dist = math.dist
    for reference, trust in zip(references, trusts, strict=True):
        rtt_s, point = reference.rtt_s, reference.point
        flat_s = dist(vector, point.vector)
        above_s = rtt_s - point.height_s
        estimate_s = flat_s + height_s + point.height_s
        base_s = (estimate_s if estimate_s < rtt_s else rtt_s) + SMALL_S
        weight = trust / base_s if exponent == 1.0 else trust / base_s**exponent
        if robust:
            relative = abs(estimate_s - rtt_s) / base_s
            weight /= relative if relative > robust else robust
        weights.append(weight)
        lift_s += weight * (above_s - flat_s)
        wanted_s = above_s - height_s
        if wanted_s <= 0.0:
            stays.append(0.0)
        elif flat_s > ZERO_S:
            stays.append(weight * wanted_s / flat_s)
        else:
            stays.append(0.0)
            spread += weight * wanted_s
    return weights, stays, spread, lift_s


def _scattered(vector: tuple[float, ...], length_s: float, rng: "random.Random") -> tuple[float, ...]:
    """Away from those on the same spot, in a direction by chance: they have none to offer."""
    return tuple([x + u * length_s for x, u in zip(vector, unit_vector(len(vector), rng), strict=True)])


def relative_error(own: Point, reference: Reference) -> float:
    """|estimated - measured| over the smaller one: the measure of the Pharos author's simulator."""
    estimate_s = math.dist(own.vector, reference.point.vector) + own.height_s + reference.point.height_s
    return abs(estimate_s - reference.rtt_s) / (min(estimate_s, reference.rtt_s) + SMALL_S)


def misfit(own: Point, references: list[Reference]) -> float:
    """The median relative error over the references: half of them may lie before it says anything."""
    errors = sorted([relative_error(own, reference) for reference in references])
    return errors[(len(errors) - 1) // 2]
