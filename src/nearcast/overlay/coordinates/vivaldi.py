"""A space of springs: every sample pulls or pushes our point a little (Vivaldi, SIGCOMM 2004, figure 3).

The spring to a peer wants the length that was measured. Its force is shared by confidence: whoever is surer moves less.
Height is a dimension of its own that only ever adds (section 5.4). Serf adds gravity, which keeps a drifting network
near the origin, and the adjustment of filters.py.

Goals: nothing but the last sample is needed; any sample helps. Non-goal: to use a sample twice (pcoord.py does).
Invariants: one sample moves the point by at most `move_s_max`; height never falls below `height_s_min`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.overlay.coordinates.coordinate import ERROR_MAX, RTT_S_MAX, RTT_S_MIN, Point, origin
from nearcast.overlay.coordinates.filters import WINDOW, Adjustment
from nearcast.overlay.coordinates.guard import Guard

if TYPE_CHECKING:
    import random

ZERO_S = 0.000001  # ZeroThreshold of Serf: nearer than this there is no direction


@dataclass(frozen=True, slots=True)
class SpringSettings:
    dimensions: int = 8  # Serf, and the Pharos author's simulator
    has_height: bool = True
    gain_position: float = 0.25  # c_c, Vivaldi section 3.4 and Serf
    gain_error: float = 0.25  # c_e
    adjustment_window: int = 0  # Serf: 20; 0 is off
    gravity_rho_s: float = 0.0  # Serf: 150 (of its own unit, seconds); 0 is off
    move_s_max: float = 5.0  # one sample cannot move us further: half of the longest time that is believed
    is_guarded: bool = False


SERF = SpringSettings(adjustment_window=WINDOW, gravity_rho_s=150.0)


class Springs:
    """A `Space` (base.py)."""

    def __init__(self, settings: SpringSettings, rng: "random.Random") -> None:
        self._settings = settings
        self._rng = rng
        self._height_s_min = RTT_S_MIN if settings.has_height else 0.0
        self.point: Point = origin(settings.dimensions, self._height_s_min)
        self._adjustment = Adjustment(settings.adjustment_window) if settings.adjustment_window else None
        self._guard = Guard() if settings.is_guarded else None

    def observe(self, peer: bytes, rtt_s: float, point: Point, now_s: float) -> None:
        own = self.point
        flat_s = math.dist(own.vector, point.vector)
        plain_s = flat_s + own.height_s + point.height_s
        relative = abs(plain_s - rtt_s) / rtt_s
        error = point.error
        if self._guard is not None:
            error = self._guard.error_of(peer, error, plain_s, rtt_s, own.error)
        share = own.error / (own.error + error) if own.error + error > 0.0 else 0.5
        gain = self._settings.gain_error * share
        error = min(ERROR_MAX, relative * gain + own.error * (1.0 - gain))
        force_s = self._settings.gain_position * share * (rtt_s - plain_s)
        limit_s = self._settings.move_s_max
        force_s = min(limit_s, max(-limit_s, force_s))
        vector, height_s = self._moved(own, point, flat_s, force_s)
        adjustment_s = 0.0
        if self._adjustment is not None:
            adjustment_s = self._adjustment.after_s(rtt_s, plain_s)
        self.point = Point(vector, height_s, error, adjustment_s)

    def _moved(self, own: Point, point: Point, flat_s: float, force_s: float) -> tuple[tuple[float, ...], float]:
        """Along the line between the two, and in height by the same rule; gravity comes last."""
        height_s = own.height_s
        if flat_s > ZERO_S:
            scale = force_s / flat_s
            vector = tuple([x + (x - y) * scale for x, y in zip(own.vector, point.vector, strict=True)])
            if self._settings.has_height:
                lift_s = (own.height_s + point.height_s) * scale
                limit_s = self._settings.move_s_max
                height_s = max(self._height_s_min, height_s + min(limit_s, max(-limit_s, lift_s)))
        else:
            direction = unit_vector(len(own.vector), self._rng)
            vector = tuple([x + u * force_s for x, u in zip(own.vector, direction, strict=True)])
        if self._settings.gravity_rho_s:
            vector = self._fallen(vector)
        return bounded(vector), min(height_s, RTT_S_MAX)

    def _fallen(self, vector: tuple[float, ...]) -> tuple[float, ...]:
        """Serf: a pull to the origin that grows with the square of the distance."""
        away_s = math.hypot(*vector)
        if away_s <= ZERO_S:
            return vector
        pull_s = min(away_s, (away_s / self._settings.gravity_rho_s) ** 2)
        return tuple([x * (1.0 - pull_s / away_s) for x in vector])

    def is_doubted(self, peer: bytes) -> bool:
        return self._guard is not None and self._guard.is_doubted(peer)

    def forget(self, peer: bytes) -> None:
        if self._guard is not None:
            self._guard.forget(peer)


def bounded(vector: tuple[float, ...]) -> tuple[float, ...]:
    """The vector, each number within RTT_S_MAX: further out no peer would parse our coordinate."""
    if min(vector) >= -RTT_S_MAX and max(vector) <= RTT_S_MAX:
        return vector
    return tuple([min(RTT_S_MAX, max(-RTT_S_MAX, x)) for x in vector])


def unit_vector(dimensions: int, rng: "random.Random") -> tuple[float, ...]:
    """A direction by chance, none preferred."""
    numbers = [rng.gauss(0.0, 1.0) for _ in range(dimensions)]
    length = math.hypot(*numbers) or 1.0
    return tuple([number / length for number in numbers])
