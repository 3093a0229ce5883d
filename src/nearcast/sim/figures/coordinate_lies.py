"""How peers lie about where they are: the models that the coordinates are measured against.

All liars of a run use one model and know the asker's own coordinate, which rides on its ping. They answer nobody
faster than the network does: nobody can.

| model | what it does |
|---|---|
| random | another place by chance on every ping, and very sure of it |
| repel | stands just beside whoever asks, on one side: the measured time pushes the asker away, always the same way |
| delay | the true place, but every answer comes half a second late, always |
| jitter | the true place; each answer comes late by chance, up to a second |
| drift | all liars move together, slowly and surely (frog-boiling, Chan-Tin et al., TISSEC 2011) |
"""

import random
from dataclasses import dataclass, replace

from nearcast.overlay.coordinates.coordinate import Coordinate, Point
from nearcast.sim.figures.coordinate_field import Lie

SPREAD_S = 0.3  # a random place is anywhere on a map as large as the planet's
BESIDE_S = 0.001
ERROR = 0.001  # what a liar states: nearly perfect
DELAY_S = 0.5
JITTER_S = 1.0
DRIFT_S = 0.0005  # per round: 0.4 s over a run of 800, more than the planet is wide
DRIFT_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Numbers for one point, from the two true ones."""

    model: str

    def point(self, own: Point, asker: Point, at: int, rng: random.Random) -> Point:
        match self.model:
            case "random":
                vector = tuple([rng.uniform(-SPREAD_S, SPREAD_S) for _ in own.vector])
                return replace(own, vector=vector, error=ERROR)
            case "repel":
                first, *rest = asker.vector
                return replace(own, vector=(first + BESIDE_S, *rest), height_s=0.0, error=ERROR)
            case "drift":
                first, *rest = own.vector
                return replace(own, vector=(first + min(DRIFT_MAX_S, DRIFT_S * at), *rest), error=ERROR)
            case _:
                return replace(own, error=ERROR)

    def coordinate(self, own: Coordinate, asker: Coordinate, at: int, rng: random.Random) -> Coordinate:
        """In the common space, and in the asker's cluster, whichever the liar belongs to: there it hurts more."""
        point = self.point(own.point, asker.point, at, rng)
        if asker.local is None:
            return Coordinate(point)
        return Coordinate(point, asker.cluster, self.point(own.local or own.point, asker.local, at, rng))


def none_late(rng: random.Random) -> float:
    return 0.0


def always_late(rng: random.Random) -> float:
    return DELAY_S


def sometimes_late(rng: random.Random) -> float:
    return rng.uniform(0.0, JITTER_S)


LIES = {
    "random": Lie(Shape("random").coordinate, none_late),
    "repel": Lie(Shape("repel").coordinate, none_late),
    "delay": Lie(Shape("delay").coordinate, always_late),
    "jitter": Lie(Shape("jitter").coordinate, sometimes_late),
    "drift": Lie(Shape("drift").coordinate, none_late),
}
