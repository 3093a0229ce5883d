"""What a scenario's driver is given: a simulation made as the scenario says, its phases, and a report to fill.

simulation.py shows how a driver uses it. A driver that needs several simulations (one per size of the group) asks for
`new_simulation` for each; grow, churn, until and liveness are about the newest.
"""

import random
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any, TypeVar

from nearcast.sim import latency
from nearcast.sim.byzantine import Byzantine
from nearcast.sim.dialling import Dialling
from nearcast.sim.faults import Faults
from nearcast.sim.identities import Identities
from nearcast.sim.network import Network
from nearcast.sim.report import Report
from nearcast.sim.simulation import Simulation
from nearcast.sim.tables import read_table
from nearcast.sim.trace import Trace

if TYPE_CHECKING:
    from nearcast.overlay.machine import Machine, Send
    from nearcast.sim.peer import Peer
    from nearcast.sim.scenario import NetworkTable, Scenario

LOOK_EVERY_S = 1.0  # of simulated time, between two looks whether a healed network has converged
BITS_PER_MBIT = 1e6
_Settings = TypeVar("_Settings")


class Run:
    """One seed of one scenario."""

    def __init__(
        self,
        scenario: "Scenario",
        seed: int,
        nodes: int,
        *,
        report: Report | None = None,
        trace_file: IO[str] | None = None,
        on_progress: Callable[[float, int], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.nodes = nodes
        self.duration_s = scenario.duration_s
        self.report = report or Report()
        self.rng = random.Random(f"{seed}/driver")
        self.identities = Identities(seed)
        self.simulations: list[Simulation] = []
        self.liars: list[Byzantine] = []
        self.trace_file = trace_file
        self.on_progress = on_progress
        self._faults: Faults | None = None
        self._lying = random.Random(f"{seed}/lying")

    def settings(self, kind: type[_Settings]) -> _Settings:
        """The scenario's [settings] as a frozen dataclass of the driver's (tables.py says what its fields may be)."""
        return read_table(kind, self.scenario.settings, f"{self.scenario.name}: settings")

    def rng_of(self, endpoint_id: bytes, purpose: str = "") -> random.Random:
        """Dice of one peer for one purpose: what others do does not change them."""
        return random.Random(f"{self.seed}/{purpose}/{endpoint_id.hex()}")

    @property
    def simulation(self) -> Simulation:
        """The newest one; the first is made when it is first asked for."""
        return self.simulations[-1] if self.simulations else self.new_simulation()

    def new_simulation(self, label: str = "", *, size_of: Callable[[Any], int] | None = None) -> Simulation:
        """Another one with the scenario's network and faults; `label` makes its dice its own."""
        seed: int | str = f"{self.seed}/{label}" if label else self.seed
        network = make_network(self.scenario, seed)
        simulation = Simulation(seed, network, size_of=size_of, trace=Trace(self.trace_file))
        simulation.on_progress = self.on_progress
        self.simulations.append(simulation)
        self._faults = Faults(simulation, self.scenario, self.nodes)
        return simulation

    def wrap(
        self,
        machine: "Machine",
        lie: "Callable[[Send, random.Random], Send | None] | None" = None,
        through: Callable[[Any], Any] | None = None,
    ) -> "Machine | Byzantine":
        """The machine, or, with the chance that [byzantine] gives, a hostile one around it: see byzantine.py."""
        if self._lying.random() >= self.scenario.byzantine.share:
            return machine
        rng = random.Random(f"{self.seed}/{len(self.liars)}/liar")
        liar = Byzantine(machine, self.scenario.byzantine, rng, lie, through)
        self.liars.append(liar)
        return liar

    # -- phases --------------------------------------------------------------------------------------------------

    def grow(self, make: Callable[[], Any], over_s: float, count: int | None = None) -> None:
        """Call `make` for each of `count` (default: all) peers, evenly over so many seconds, and let that time pass."""
        simulation, count = self.simulation, self.nodes if count is None else count
        begin_s = simulation.now_s
        for at in range(count):
            simulation.call_at(begin_s + over_s * at / count, make)
        simulation.run_until(begin_s + over_s)

    def churn(self, make: Callable[[], Any], immortal: Sequence["Peer"] = ()) -> None:
        """Begin what the scenario has in store: churn, partitions, failures, crowds. Those in `immortal` stay."""
        self._faults_now.start(make, immortal)

    def until(self, time_s: float) -> None:
        """Let it run until then."""
        self.simulation.run_until(time_s)

    def heal(self, *, pardons: bool = False) -> None:
        """End all trouble of the network, and with `pardons` all lying."""
        self._faults_now.heal()
        if pardons:
            for liar in self.liars:
                liar.is_pardoned = True

    def liveness(self, converged: Callable[[], str | None], *, pardons: bool = False) -> float:
        """Heal, then wait until `converged` returns None; else it says what is missing. Returns the seconds it took.

        The run fails when that is not within the scenario's liveness.within_s.
        """
        self.heal(pardons=pardons)
        simulation = self.simulation
        begin_s, end_s = simulation.now_s, simulation.now_s + self.scenario.liveness.within_s
        while (missing := converged()) is not None and simulation.now_s < end_s:
            simulation.run_until(min(simulation.now_s + LOOK_EVERY_S, end_s))
        took_s = simulation.now_s - begin_s
        self.report.figure("converged_after", took_s, "s")
        if missing is not None:
            self.report.fail(f"not converged {took_s:g} s after the network was healed: {missing}")
        return took_s

    @property
    def replaced(self) -> int:
        """How many peers churn has replaced in the newest simulation."""
        return self._faults_now.replaced

    @property
    def _faults_now(self) -> Faults:
        _ = self.simulation
        assert self._faults is not None
        return self._faults


def make_network(scenario: "Scenario", seed: int | str) -> Network:
    """The scenario's network."""
    table = scenario.network
    behind_nat = scenario.nat.cone + scenario.nat.symmetric > 0
    dialling = Dialling(is_lenient=scenario.nat.is_lenient) if table.handshake or behind_nat else None
    return Network(
        make_latency(table, seed),
        random.Random(f"{seed}/network"),
        dialling=dialling,
        jitter=table.jitter,
        loss=table.loss,
        duplication=table.duplication,
        reordering=table.reordering,
        reorder_s=table.reorder_ms / 1000,
        up_bytes_per_s=table.up_mbps * BITS_PER_MBIT / 8,
        down_bytes_per_s=table.down_mbps * BITS_PER_MBIT / 8,
    )


def make_latency(table: "NetworkTable", seed: int | str) -> latency.Latency:
    """The matrix that the table names, or a generated one where PlanetLab's is absent."""
    if table.latency == "constant":
        return latency.constant(table.rtt_ms / 1000)
    measured = latency.planetlab() if table.latency == "planetlab" else None
    return measured or latency.generated(table.sites, random.Random(f"{seed}/latency"))
