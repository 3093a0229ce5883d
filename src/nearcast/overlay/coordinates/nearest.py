"""Choosing by coordinates: who is closest, and how much the answer is worth."""

import math
from collections.abc import Mapping

from nearcast.overlay.coordinates.coordinate import ERROR_MAX, Coordinate, estimate_s


def nearest(own: Coordinate, candidates: Mapping[bytes, Coordinate]) -> list[bytes]:
    """The candidates by estimated round-trip time, closest first; those that cannot be told come last.

    Equal ones keep the caller's order, so that the same call gives the same answer everywhere.
    """
    return sorted(candidates, key=lambda peer: estimate_s(own, candidates[peer]))


def confidence(own: Coordinate, other: Coordinate) -> float:
    """0 to 1: what is left after both errors (relative, of independent origin, so their squares add up).

    1 would be two exact coordinates; somebody who has measured nothing yet gets 0.
    """
    if estimate_s(own, other) == math.inf:
        return 0.0
    one, two = own.point.error, other.point.error
    if own.local is not None and other.local is not None and own.cluster == other.cluster:
        one, two = own.local.error, other.local.error
    if max(one, two) >= ERROR_MAX:
        return 0.0
    return max(0.0, 1.0 - math.hypot(one, two))
