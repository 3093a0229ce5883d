"""A rumour pushed at random: the smallest driver there is, and a check of the simulator itself against theory.

In each round, everybody who knows the rumour pushes it to one peer at random (Demers et al., PODC 1987). Until all of n
know it takes log2 n + ln n + O(1) rounds (Frieze and Grimmett 1985; Pittel 1987): `rounds_over_theory` must be near 1.
The machine is a toy of this file, no protocol of the network.
"""

import math
import random
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.sim.byzantine import machine_of
from nearcast.sim.peer import Peer
from nearcast.sim.run import Run
from nearcast.sim.tables import bounded
from nearcast.transport.base import PeerAddress


@dataclass(frozen=True, slots=True)
class EpidemicSettings:
    """`round_s` should be long against a one-way delay, or the rounds of theory blur."""

    round_s: float = bounded(1.0, least=0.001)
    is_reliable: bool = True


@dataclass(frozen=True, slots=True)
class Rumour:
    """Pushed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Told by a peer when it hears the rumour for the first time."""


@dataclass(frozen=True, slots=True)
class Round:
    """The timer."""


class Gossiper:
    """Knows everybody, which is what the theory assumes."""

    def __init__(self, everybody: list[PeerAddress], rng: random.Random, settings: EpidemicSettings) -> None:
        self._everybody = everybody
        self._rng = rng
        self._settings = settings
        self.has_heard = False

    def start(self, now_s: float) -> Iterable[Effect]:
        return ()

    def hear(self) -> Iterable[Effect]:
        if self.has_heard:
            return ()
        self.has_heard = True
        return Tell(Heard()), Arm(self._settings.round_s, Round())

    def on_message(self, sender: PeerAddress, message: object, now_s: float) -> Iterable[Effect]:
        return self.hear()

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        to = self._everybody[int(self._rng.random() * len(self._everybody))]
        return Send(to, Rumour(), self._settings.is_reliable), Arm(self._settings.round_s, timer)

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        return ()


def run(run: Run) -> None:
    """One rumour, from one peer to all."""
    settings = run.settings(EpidemicSettings)
    simulation = run.simulation
    everybody: list[PeerAddress] = []
    heard_s: list[float] = []
    simulation.observe(Heard, lambda peer, event, now_s: heard_s.append(now_s))

    def make() -> Peer:
        address = simulation.new_address()
        everybody.append(address)
        return simulation.add(run.wrap(Gossiper(everybody, run.rng_of(address.endpoint_id), settings)), address)

    run.grow(make, over_s=1.0)
    first = simulation.alive[0]
    simulation.give(first, machine_of(first, Gossiper).hear())
    run.churn(make, immortal=[first])
    run.until(run.duration_s)

    def missing() -> str | None:
        ignorant = sum(not machine_of(peer, Gossiper).has_heard for peer in simulation.alive)
        return f"{ignorant} of {len(simulation.alive)} have not heard" if ignorant else None

    begin_s = heard_s[0]
    run.report.figure("reached", len(heard_s) / simulation.arrived, "share")
    run.liveness(missing, pardons=True)
    rounds = (heard_s[-1] - begin_s) / settings.round_s
    theory = math.log2(run.nodes) + math.log(run.nodes) if run.nodes > 1 else 1.0
    run.report.figure("rounds", rounds)
    run.report.figure("rounds_over_theory", rounds / theory)
    points = [(at_s - begin_s, (count + 1) / simulation.arrived) for count, at_s in enumerate(heard_s)]
    run.report.series("reach", points, x="seconds", y="share of peers that have heard")
