"""The scenario's trouble, apart from churn and liars: who is slow, whose clock is wrong, who is behind NAT; partitions,
failures of many at once, crowds. And its end: `heal`.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from nearcast.sim.churn import Churn
from nearcast.sim.partition import cut
from nearcast.sim.peer import CONE, OPEN, SYMMETRIC, Peer
from nearcast.sim.simulation import SILENCE_S

if TYPE_CHECKING:
    from nearcast.sim.scenario import FlashCrowd, MassFailure, PartitionTable, Scenario
    from nearcast.sim.simulation import Simulation

# Not its peers: clocks and NAT stay what they are, machines must live with them.


class Faults:
    """Everything that a scenario's tables do to one simulation."""

    def __init__(self, simulation: "Simulation", scenario: "Scenario", nodes: int) -> None:
        self._simulation = simulation
        self._scenario = scenario
        self._nodes = nodes
        self._rng = random.Random(f"{simulation.seed}/faults")
        self._immortal: dict[Peer, None] = {}
        self._is_healed = False
        self._churn: Churn | None = None
        simulation.on_added.append(self._shape)

    def start(self, make: Callable[[], Any], immortal: Sequence[Peer] = ()) -> None:
        """Churn begins now or at its from_s; partitions, failures and crowds come at their times."""
        simulation, scenario = self._simulation, self._scenario
        self._immortal = dict.fromkeys(immortal)
        churn = self._churn = Churn(simulation, scenario.churn, make, self._rng, immortal)
        simulation.call_at(scenario.churn.from_s, churn.start)
        if scenario.churn.until_s is not None:
            simulation.call_at(scenario.churn.until_s, churn.stop)
        for partition in scenario.partition:
            simulation.call_at(partition.at_s, partial(self._cut, partition))
        for failure in scenario.mass_failure:
            simulation.call_at(failure.at_s, partial(self._fail, failure))
        for crowd in scenario.flash_crowd:
            self._invite(crowd, make)

    def heal(self) -> None:
        """The network loses, repeats, holds back and blocks nothing any more; nobody is slow, nobody comes or goes."""
        self._is_healed = True
        if self._churn is not None:
            self._churn.stop()
        self._simulation.network.partition = None
        self._simulation.network.change(loss=0.0, duplication=0.0, reordering=0.0)
        for peer in self._simulation.alive:
            peer.pause_s = 0.0

    @property
    def replaced(self) -> int:
        """How many peers churn has replaced."""
        return self._churn.replaced if self._churn is not None else 0

    def _shape(self, peer: Peer) -> None:
        """What a new peer is like. The same dice are thrown for each, whatever the scenario says of them."""
        scenario, rng = self._scenario, self._rng
        skew, drift, nat, slow, shift = (rng.random() for _ in range(5))
        peer.clock_offset_s += (2 * skew - 1) * scenario.clocks.skew_s
        peer.clock_rate = 1.0 + (2 * drift - 1) * scenario.clocks.drift_ppm / 1e6
        symmetric = scenario.nat.symmetric
        peer.nat = SYMMETRIC if nat < symmetric else CONE if nat < symmetric + scenario.nat.cone else OPEN
        if slow < scenario.slow.share and not self._is_healed:
            peer.pause_s, peer.pause_every_s = scenario.slow.pause_s, scenario.slow.every_s
            peer.pause_shift_s = shift * (peer.pause_s + peer.pause_every_s)

    def _cut(self, table: "PartitionTable") -> None:
        if self._is_healed:
            return
        network = self._simulation.network
        network.partition = partition = cut(table.kind, self._simulation.alive, self._rng)

        def mend() -> None:
            if network.partition is partition:  # and not a later one
                network.partition = None

        def sever() -> None:
            if network.partition is partition:
                self._simulation.sever()

        self._simulation.call_after(SILENCE_S, sever)
        self._simulation.call_after(table.for_s, mend)

    def _fail(self, table: "MassFailure") -> None:
        mortal = [peer for peer in self._simulation.alive if peer not in self._immortal]
        for peer in self._rng.sample(mortal, min(round(table.share * len(self._simulation.alive)), len(mortal))):
            self._simulation.crash(peer)

    def _invite(self, crowd: "FlashCrowd", make: Callable[[], Any]) -> None:
        count = round(crowd.share * self._nodes)
        for at in range(count):
            self._simulation.call_at(crowd.at_s + crowd.over_s * at / count, make)
