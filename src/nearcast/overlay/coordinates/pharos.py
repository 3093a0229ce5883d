"""Two levels: a space for everybody and one for the cluster (Pharos, GLOBECOM 2007), over any kind of space.

Long distances and short ones disturb one another in one space. So a peer holds two points: one among all, and one
among its cluster, the peers that are nearest to the same landmark (landmarks.py). Two of one cluster are compared in
the cluster's space. Every sample serves the common space; one with a peer of our cluster serves both, unless the
common space doubts that peer (guard.py says why).

Invariants: the local point is of the present cluster only; who changes its cluster begins anew there.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nearcast.overlay.coordinates import landmarks
from nearcast.overlay.coordinates.base import Space
from nearcast.overlay.coordinates.coordinate import (
    RTT_S_MAX,
    RTT_S_MIN,
    Coordinate,
    distance_s,
    estimate_s,
    is_sound,
)
from nearcast.overlay.coordinates.filters import LatencyFilter
from nearcast.overlay.coordinates.nearest import confidence
from nearcast.overlay.coordinates.neighbours import choose

if TYPE_CHECKING:
    import random

SWITCH = 0.8  # another landmark has to be nearer by a fifth; guess, above the error of a settled coordinate


class OneLevel:
    """`Coordinates` (base.py) with the common space alone."""

    def __init__(self, make_space: Callable[[], Space], rng: "random.Random", median_of: int = 1) -> None:
        self._space = make_space()
        self._rng = rng
        self._filter = LatencyFilter(median_of) if median_of > 1 else None

    @property
    def own(self) -> Coordinate:
        return Coordinate(self._space.point)

    def observe(self, peer: bytes, rtt_s: float, coordinate: Coordinate, now_s: float) -> bool:
        """One measured round trip. False if the time or the coordinate is of no use."""
        point = coordinate.point
        if not 0.0 < rtt_s <= RTT_S_MAX or len(point.vector) != len(self._space.point.vector) or not is_sound(point):
            return False
        if self._filter is not None:
            rtt_s = self._filter.median_s(peer, rtt_s)
        self._take(peer, max(rtt_s, RTT_S_MIN), coordinate, now_s)
        return True

    def _take(self, peer: bytes, rtt_s: float, coordinate: Coordinate, now_s: float) -> None:
        self._space.observe(peer, rtt_s, coordinate.point, now_s)

    def estimate_s(self, other: Coordinate) -> float:
        return estimate_s(self.own, other)

    def confidence(self, other: Coordinate) -> float:
        return confidence(self.own, other)

    def arrange(self, known: Mapping[bytes, Coordinate]) -> None:
        """Nothing to arrange with one level."""

    def wanted(self, known: Mapping[bytes, Coordinate], count: int) -> list[bytes]:
        return choose(self.own, known, count, self._rng)

    def forget(self, peer: bytes) -> None:
        self._space.forget(peer)
        if self._filter is not None:
            self._filter.forget(peer)


class TwoLevels(OneLevel):
    """`Coordinates` (base.py) with a cluster's space beside the common one."""

    def __init__(self, make_space: Callable[[], Space], rng: "random.Random", median_of: int = 1) -> None:
        super().__init__(make_space, rng, median_of)
        self._make_space = make_space
        self._local: Space | None = None
        self._cluster: bytes | None = None
        self._landmarks: dict[bytes, float | None] = {}  # by id, the shortest time to it, if it was measured

    @property
    def own(self) -> Coordinate:
        if self._local is None:
            return Coordinate(self._space.point)
        return Coordinate(self._space.point, self._cluster, self._local.point)

    @property
    def cluster(self) -> bytes | None:
        return self._cluster

    def _take(self, peer: bytes, rtt_s: float, coordinate: Coordinate, now_s: float) -> None:
        super()._take(peer, rtt_s, coordinate, now_s)
        if peer in self._landmarks:
            before_s = self._landmarks[peer]
            self._landmarks[peer] = rtt_s if before_s is None else min(before_s, rtt_s)
        if self._local is None or coordinate.local is None or coordinate.cluster != self._cluster:
            return
        if self._space.is_doubted(peer):
            self._local.forget(peer)
        elif len(coordinate.local.vector) == len(self._local.point.vector) and is_sound(coordinate.local):
            self._local.observe(peer, rtt_s, coordinate.local, now_s)

    def arrange(self, known: Mapping[bytes, Coordinate]) -> None:
        """Elect the landmarks anew among the known (ourselves are one of them if our own id is), join the nearest."""
        elected = landmarks.elect(known, self._landmarks)
        self._landmarks = {peer: self._landmarks.get(peer) for peer in elected}
        if not elected:
            return
        away_s = {peer: self._away_s(peer, known[peer]) for peer in elected}
        nearest = min(elected, key=away_s.__getitem__)
        present = next((peer for peer in elected if landmarks.cluster_name(peer) == self._cluster), None)
        if present is not None and away_s[nearest] > away_s[present] * SWITCH:
            return
        cluster = landmarks.cluster_name(nearest)
        if cluster != self._cluster:
            self._cluster, self._local = cluster, self._make_space()

    def _away_s(self, peer: bytes, coordinate: Coordinate) -> float:
        """As measured; else as estimated in the common space."""
        measured_s = self._landmarks[peer]
        return distance_s(self._space.point, coordinate.point) if measured_s is None else measured_s

    def wanted(self, known: Mapping[bytes, Coordinate], count: int) -> list[bytes]:
        """Landmarks that were never measured come first: a wrong guess would put us into the wrong cluster."""
        unmeasured = [peer for peer, time_s in self._landmarks.items() if time_s is None and peer in known]
        chosen = choose(self.own, known, count, self._rng)
        return list(dict.fromkeys([*unmeasured, *chosen]))[:count]

    def forget(self, peer: bytes) -> None:
        super().forget(peer)
        if self._local is not None:
            self._local.forget(peer)
