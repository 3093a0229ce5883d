"""Hosts that measure one another in rounds, and how good their coordinates are: the loop of the coordinates' figures.

In a round every host measures one of its neighbours, in an order by chance, as in the Pharos author's simulator
(K = 32 neighbours, 2,000 rounds). The neighbours are either fixed, drawn once by chance (with two levels half of them
from the cluster), or chosen anew now and then by `Coordinates.wanted`, as a real node does. What is measured is the
product's code; only the round trips come from a matrix.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast.overlay.coordinates.base import Coordinates
from nearcast.overlay.coordinates.coordinate import Coordinate

NEIGHBOURS = 32  # of the Pharos author's simulator
ARRANGED_FIRST = 20  # rounds: enough for a first guess where everybody is
ARRANGED_EVERY = 200
QUANTUM_S = 0.0001  # RE = |est - real| / (min(est, real) + 0.1 ms)
NEAR_S = 0.05  # what counts as a short distance, a region's

Matrix = Sequence[Sequence[float]]  # round-trip seconds


@dataclass(frozen=True, slots=True)
class Quality:
    """Relative errors over all honest pairs; what it costs to trust the coordinates in choosing the closest."""

    error_median: float
    error_90th: float
    error_90th_near: float  # of the pairs within NEAR_S
    loss_median_s: float  # the chosen one's time, less the closest one's
    loss_mean_s: float


@dataclass(frozen=True, slots=True)
class Lie:
    """How a liar answers: with which coordinate (given its own, the asker's and the round), how much later."""

    coordinate: Callable[[Coordinate, Coordinate, int, random.Random], Coordinate]
    delay_s: Callable[[random.Random], float]


class Field:
    """All hosts of a matrix, each with coordinates of its own."""

    def __init__(
        self,
        rtt_s: Matrix,
        make: Callable[[random.Random], Coordinates],
        seed: int,
        *,
        is_choosing: bool,
        liars: int = 0,
        lie: Lie | None = None,
    ) -> None:
        self._rng = random.Random(f"{seed}/field")
        self._rtt_s = rtt_s
        self._is_choosing = is_choosing
        self.ids = [self._rng.randbytes(32) for _ in rtt_s]
        self.hosts = [make(random.Random(f"{seed}/{at}/host")) for at in range(len(rtt_s))]
        self._index = {endpoint_id: at for at, endpoint_id in enumerate(self.ids)}
        everybody = range(len(rtt_s))
        self._neighbours = [
            self._rng.sample([other for other in everybody if other != at], min(NEIGHBOURS, len(rtt_s) - 1))
            for at in everybody
        ]
        self._lie = lie
        self._lying = random.Random(f"{seed}/liars")
        self.liars = dict.fromkeys(self._lying.sample(everybody, liars))
        self.round = 0

    def run(self, rounds: int) -> None:
        """So many samples per host."""
        order = list(range(len(self.hosts)))
        for _ in range(rounds):
            if self.round == ARRANGED_FIRST or self.round in (50, 100) or self.round % ARRANGED_EVERY == 0 < self.round:
                self._arrange()
            self._rng.shuffle(order)
            for at in order:
                neighbours = self._neighbours[at]
                self._measure(at, neighbours[int(self._rng.random() * len(neighbours))])
            self.round += 1

    def _measure(self, at: int, other: int) -> None:
        rtt_s, stated = self._rtt_s[at][other], self.hosts[other].own
        if other in self.liars and self._lie is not None:
            stated = self._lie.coordinate(stated, self.hosts[at].own, self.round, self._lying)
            rtt_s += self._lie.delay_s(self._lying)
        self.hosts[at].observe(self.ids[other], rtt_s, stated, float(self.round))

    def _arrange(self) -> None:
        """Everybody hears of everybody, as by announcements, and arranges its clusters and neighbours."""
        known = {endpoint_id: host.own for endpoint_id, host in zip(self.ids, self.hosts, strict=True)}
        for host in self.hosts:
            host.arrange(known)
        for at, host in enumerate(self.hosts):
            if self._is_choosing:
                others = {
                    endpoint_id: coordinate for endpoint_id, coordinate in known.items() if endpoint_id != self.ids[at]
                }
                self._neighbours[at] = [self._index[peer] for peer in host.wanted(others, NEIGHBOURS)]
            elif host.own.cluster is not None:
                self._settle_in_cluster(at)

    def _settle_in_cluster(self, at: int) -> None:
        """Half of the fixed neighbours are of the cluster: those that are already stay, the rest is drawn."""
        cluster = self.hosts[at].own.cluster
        neighbours = self._neighbours[at]
        mates = [other for other, host in enumerate(self.hosts) if host.own.cluster == cluster and other != at]
        wanted = min(NEIGHBOURS // 2, len(mates))
        staying = [other for other in neighbours[NEIGHBOURS // 2 :] if other in mates][:wanted]
        fresh = self._rng.sample([other for other in mates if other not in staying], wanted - len(staying))
        kept = neighbours[: NEIGHBOURS // 2]
        self._neighbours[at] = kept + (staying + fresh or neighbours[NEIGHBOURS // 2 :])

    def quality(self) -> Quality:
        """Over the honest hosts."""
        honest = [at for at in range(len(self.hosts)) if at not in self.liars]
        errors: list[float] = []
        near: list[float] = []
        losses_s: list[float] = []
        owns = [host.own for host in self.hosts]
        for at in honest:
            host, row = self.hosts[at], self._rtt_s[at]
            best_s = least_s = chosen_s = float("inf")
            for other in honest:
                if other == at:
                    continue
                estimate_s, real_s = host.estimate_s(owns[other]), row[other]
                if estimate_s < best_s:
                    best_s, chosen_s = estimate_s, real_s
                least_s = min(least_s, real_s)
                if other < at:
                    error = abs(estimate_s - real_s) / (min(estimate_s, real_s) + QUANTUM_S)
                    errors.append(error)
                    if real_s < NEAR_S:
                        near.append(error)
            losses_s.append(chosen_s - least_s)
        return Quality(
            share_of(errors, 0.5),
            share_of(errors, 0.9),
            share_of(near, 0.9),
            share_of(losses_s, 0.5),
            sum(losses_s) / len(losses_s),
        )


def share_of(numbers: list[float], share: float) -> float:
    """The number below which that share of them lies; 0 for none."""
    return sorted(numbers)[min(len(numbers) - 1, int(len(numbers) * share))] if numbers else 0.0
