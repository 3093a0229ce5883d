"""A space in which our point is fitted to several references at once (PCoord, NCA 2004 and ITNG 2006).

Samples are kept as references, the newest per peer, and every so many of them the point is fitted to all (fit.py).
Two brakes make it converge in a moving network, both PCoord's: *resistance* (whoever is surer than its references
moves only part of the way) and *damping* (a fit that is worse than what we knew before moves us less).

Goals: half of Vivaldi's samples for the same error in a flash crowd; a later sample corrects all the earlier ones.
Non-goals: PCoord's choice of references by landmarks (neighbours.py says whom to measure).
Invariants: at most `references_max` are kept; a fit moves the point by at most `reach_s()`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.overlay.coordinates.coordinate import ERROR_MAX, RTT_S_MIN, Point, distance_s, origin
from nearcast.overlay.coordinates.fit import Loss, Reference, amid, misfit, settle
from nearcast.overlay.coordinates.guard import Guard
from nearcast.overlay.coordinates.vivaldi import bounded

if TYPE_CHECKING:
    import random

REACH_S = 0.5  # the furthest that one fit carries somebody who knows nothing: twice around most of the planet
REACH_S_MIN = 0.01  # guess: what somebody perfectly sure may still move, so that nobody is stuck for ever
RESISTANCE = 4.0  # the whole way, unless three times as sure as the references; measured: 2 is 5 to 8 % worse
LOST = 0.3  # a median misfit above it is no place to stay; guess, five times that of a settled network
SAMPLES_LEAST = 2  # per fit of a newcomer
NEWS = 8  # then after each eighth more; measured in a flash crowd: 16 fits a third more often and gains 4 %
SQUARES = Loss(robust=0.0)  # PCoord's


@dataclass(frozen=True, slots=True)
class FitSettings:
    dimensions: int = 7  # Pharos; on the PlanetLab matrix 5 to 8 are equal within the spread of the seeds
    has_height: bool = True
    references_max: int = 10  # PCoord
    samples_per_fit: int = 10  # PCoord: a batch is an update
    rounds: int = 8
    gain_error: float = 0.15  # of the newest misfit; measured in a flash crowd: 0.3 and 0.6 are 2 to 3 % worse
    loss: Loss = SQUARES
    is_guarded: bool = False


# Of the rounds, measured in a flash crowd: 4 are 4 to 8 % worse, 8 are no better.
ROBUST = FitSettings(references_max=32, samples_per_fit=16, rounds=6, loss=Loss(), is_guarded=True)


class Batches:
    """A `Space` (base.py)."""

    def __init__(self, settings: FitSettings, rng: "random.Random") -> None:
        self._settings = settings
        self._rng = rng
        self._height_s_min = RTT_S_MIN if settings.has_height else 0.0
        self.point: Point = origin(settings.dimensions, self._height_s_min)
        self._references: dict[bytes, Reference] = {}
        self._samples = self._seen = 0
        self._guard = Guard() if settings.is_guarded else None

    def observe(self, peer: bytes, rtt_s: float, point: Point, now_s: float) -> None:
        error = point.error
        if self._guard is not None:
            error = self._guard.error_of(peer, error, distance_s(self.point, point), rtt_s, self.point.error)
        references = self._references
        references.pop(peer, None)
        references[peer] = Reference(rtt_s, point, error)
        if len(references) > self._settings.references_max:
            del references[next(iter(references))]
        self._samples += 1
        self._seen += 1
        if self._samples >= self._patience():
            self._samples = 0
            self.fit()

    def _patience(self) -> int:
        """A newcomer fits sooner: every sample is news. Then after each eighth more than it has seen."""
        return min(self._settings.samples_per_fit, max(SAMPLES_LEAST, self._seen // NEWS))

    def fit(self) -> None:
        """Move towards the best place among the references, as far as confidence in them and in it allows."""
        settings, own = self._settings, self.point
        references = list(self._references.values())
        best, after = self._best(own, references)
        before = misfit(own, references)
        others = sum([reference.error for reference in references]) / len(references)
        step = min(1.0, RESISTANCE * own.error / (own.error + others)) if own.error + others > 0.0 else 1.0
        if after > before:
            step *= before / after
        self.point = _between(own, best, step, settings.gain_error, min(ERROR_MAX, after))

    def _best(self, own: Point, references: list[Reference]) -> tuple[Point, float]:
        """The best place found from where we are; if it is no good, also from amid the references.

        Late answers alone can hold a newcomer out where nobody is: there they fit, and all others pull in vain.
        """
        settings, height_s_min = self._settings, self._height_s_min
        best = settle(own, references, settings.loss, settings.rounds, height_s_min, self._rng)
        after = misfit(best, references)
        if settings.is_guarded and after > LOST:
            middle = Point(amid(references), height_s_min, own.error)
            other = settle(middle, references, settings.loss, settings.rounds, height_s_min, self._rng)
            misfit_there = misfit(other, references)
            if misfit_there < after:
                return other, misfit_there
        return best, after

    def is_doubted(self, peer: bytes) -> bool:
        return self._guard is not None and self._guard.is_doubted(peer)

    def forget(self, peer: bytes) -> None:
        self._references.pop(peer, None)
        if self._guard is not None:
            self._guard.forget(peer)


def reach_s(error: float) -> float:
    """How far one fit may carry somebody of this error."""
    return max(REACH_S_MIN, REACH_S * min(1.0, error))


def _between(own: Point, best: Point, step: float, gain: float, misfit_now: float) -> Point:
    length_s = math.dist(own.vector, best.vector) * step
    limit_s = reach_s(own.error)
    if length_s > limit_s:
        step *= limit_s / length_s
    vector = tuple([x + (y - x) * step for x, y in zip(own.vector, best.vector, strict=True)])
    lift_s = min(limit_s, max(-limit_s, (best.height_s - own.height_s) * step))
    error = own.error + gain * (misfit_now - own.error)
    return Point(bounded(vector), own.height_s + lift_s, error)
