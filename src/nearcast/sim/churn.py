"""Peers come and go: each lives for a random time, and a new one takes its place.

Lifetimes are exponential, Weibull or Pareto with the mean that the rate of replacement asks for. A peer that is there
when churn begins is given a whole new life: exact for the exponential, which has no memory, an approximation for the
others.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

    from nearcast.sim.peer import Peer
    from nearcast.sim.scenario import ChurnTable
    from nearcast.sim.simulation import Simulation


def lifetime_s(table: "ChurnTable", rng: "random.Random") -> float:
    """One life's length, with mean 3600 / replaced_per_hour seconds."""
    mean_s, shape = 3600.0 / table.replaced_per_hour, table.shape
    if table.lifetimes == "weibull":
        return rng.weibullvariate(mean_s / math.gamma(1 + 1 / shape), shape)
    if table.lifetimes == "pareto" and shape > 1:
        return rng.paretovariate(shape) * mean_s * (shape - 1) / shape
    return rng.expovariate(1 / mean_s)


class Churn:
    """Replaces peers until it is stopped. `make` adds one new peer; those in `immortal` stay."""

    def __init__(
        self,
        simulation: "Simulation",
        table: "ChurnTable",
        make: Callable[[], Any],
        rng: "random.Random",
        immortal: Sequence["Peer"] = (),
    ) -> None:
        self._simulation = simulation
        self._table = table
        self._make = make
        self._rng = rng
        self._immortal = dict.fromkeys(immortal)
        self.is_stopped = False
        self.replaced = 0

    def start(self) -> None:
        """From now on, and for all who come later."""
        if not self._table.replaced_per_hour:
            return
        for peer in list(self._simulation.alive):
            self._live(peer)
        self._simulation.on_added.append(self._live)

    def stop(self) -> None:
        self.is_stopped = True

    def _live(self, peer: "Peer") -> None:
        if not self.is_stopped and peer not in self._immortal:
            self._simulation.call_after(lifetime_s(self._table, self._rng), lambda: self._replace(peer))

    def _replace(self, peer: "Peer") -> None:
        if self.is_stopped or not peer.is_alive or peer in self._immortal:
            return
        self.replaced += 1
        depart(self._simulation, peer, crashes=self._rng.random() < self._table.crash_share)
        self._make()


def depart(simulation: "Simulation", peer: "Peer", *, crashes: bool) -> None:
    """Crash, or say goodbye: machines that have something to say have a method `leave(now_s)` with effects."""
    if crashes:
        simulation.crash(peer)
        return
    leave = getattr(peer.machine, "leave", None)
    simulation.leave(peer, leave(peer.clock_s(simulation.now_s)) if leave is not None else ())
