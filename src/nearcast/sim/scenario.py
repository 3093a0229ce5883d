"""What a scenario says: the TOML file's tables, and where the files are.

Every table may be left out: then the network is perfect, and nobody comes, goes or lies. docs/simulator.md explains
each key with an example.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nearcast.errors import UsageError
from nearcast.sim import partition
from nearcast.sim.tables import bounded, one_of, read_table

SCENARIOS = Path(__file__).parent / "scenarios"
NODES_MAX = 100_000  # guess: 30 GB at 300 KB a peer
DURATION_S_MIN, DURATION_S_MAX = 0.001, 31 * 86_400.0  # guess: a month of ten peers takes hours
LATENCIES = ("planetlab", "generated", "constant")
LIFETIMES = ("exponential", "weibull", "pareto")
BEHAVIOURS = ("drop", "delay", "replay", "garble", "lie")


@dataclass(frozen=True, slots=True)
class NetworkTable:
    """[network]: what the links are like. `planetlab` falls back to `generated` where the data is absent."""

    latency: str = one_of("planetlab", LATENCIES)
    rtt_ms: float = bounded(100.0)  # of `constant`
    sites: int = bounded(490, least=1, most=2000)  # of `generated`; PlanetLab's matrix has 490
    jitter: float = bounded(0.0, most=10.0)  # mean, as a share of the one-way delay
    loss: float = bounded(0.0, most=0.9)
    duplication: float = bounded(0.0, most=1.0)
    reordering: float = bounded(0.0, most=1.0)
    reorder_ms: float = bounded(100.0, least=0.001)  # mean of what a reordered message waits
    up_mbps: float = bounded(0.0)  # of each peer's line; 0: without limit
    down_mbps: float = bounded(0.0)
    handshake: bool = True  # the first message to a peer waits for a round trip


@dataclass(frozen=True, slots=True)
class NatTable:
    """[nat]: which share of the peers stands behind what. The rest is open."""

    cone: float = bounded(0.0, most=1.0)
    symmetric: float = bounded(0.0, most=1.0)
    is_lenient: bool = True  # a cone lets a symmetric one through


@dataclass(frozen=True, slots=True)
class ClocksTable:
    """[clocks]: how wrong they are, each uniformly to both sides."""

    skew_s: float = bounded(0.0)
    drift_ppm: float = bounded(0.0, most=100_000.0)


@dataclass(frozen=True, slots=True)
class SlowTable:
    """[slow]: a share of the peers stands still for pause_s, then runs for every_s, and so on."""

    share: float = bounded(0.0, most=1.0)
    pause_s: float = bounded(1.0)
    every_s: float = bounded(1.0)


@dataclass(frozen=True, slots=True)
class ChurnTable:
    """[churn]: each peer lives for a random time and is replaced by a new one.

    `replaced_per_hour` = 0.5: half as many leave in an hour as there are peers, so that a life takes two hours on the
    mean. `shape`: of Weibull (below 1: most die young) or of Pareto (above 1).
    """

    replaced_per_hour: float = bounded(0.0)
    lifetimes: str = one_of("exponential", LIFETIMES)
    shape: float = bounded(1.5, least=0.1, most=20.0)
    crash_share: float = bounded(1.0, most=1.0)  # the rest says goodbye
    from_s: float = bounded(0.0)
    until_s: float | None = bounded(None)


@dataclass(frozen=True, slots=True)
class FlashCrowd:
    """[[flash_crowd]]: so many more peers, as a share of `nodes`, from then on."""

    at_s: float = bounded()
    share: float = bounded(1.0, most=10.0)
    over_s: float = bounded(1.0)


@dataclass(frozen=True, slots=True)
class MassFailure:
    """[[mass_failure]]: a share of the peers crashes at one instant."""

    at_s: float = bounded()
    share: float = bounded(0.5, most=1.0)


@dataclass(frozen=True, slots=True)
class PartitionTable:
    """[[partition]]: see partition.py."""

    at_s: float = bounded()
    for_s: float = bounded()
    kind: str = one_of(partition.SPLIT, partition.KINDS)


@dataclass(frozen=True, slots=True)
class ByzantineTable:
    """[byzantine]: a share of the peers does, with chance `often` per message, what `behaviours` lists."""

    share: float = bounded(0.0, most=1.0)
    behaviours: tuple[str, ...] = one_of(("drop",), BEHAVIOURS)
    often: float = bounded(1.0, most=1.0)
    delay_s: float = bounded(2.0)  # mean, of `delay` and `replay`


@dataclass(frozen=True, slots=True)
class LivenessTable:
    """[liveness]: after everything was healed, the driver's condition must hold within so many seconds."""

    within_s: float = bounded(60.0)


@dataclass(frozen=True, slots=True)
class Check:
    """[checks]: what a figure must be."""

    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. `settings` is the driver's own table."""

    title: str
    driver: str
    name: str = ""
    nodes: int = bounded(1000, least=1, most=NODES_MAX)
    duration_s: float = bounded(600.0, least=DURATION_S_MIN)
    network: NetworkTable = NetworkTable()
    nat: NatTable = NatTable()
    clocks: ClocksTable = ClocksTable()
    slow: SlowTable = SlowTable()
    churn: ChurnTable = ChurnTable()
    flash_crowd: tuple[FlashCrowd, ...] = ()
    mass_failure: tuple[MassFailure, ...] = ()
    partition: tuple[PartitionTable, ...] = ()
    byzantine: ByzantineTable = ByzantineTable()
    liveness: LivenessTable = LivenessTable()
    settings: Mapping[str, Any] = field(default_factory=dict)
    swarm: Mapping[str, Any] = field(default_factory=dict)  # "network.loss" = [0, 0.3]: drawn from the seed, swarm.py
    checks: Mapping[str, Any] = field(default_factory=dict)

    def check_of(self, figure: str) -> Check | None:
        check: Check | None = self.checks.get(figure)
        return check


def parse_scenario(text: str, name: str, where: str) -> Scenario:
    """Raises UsageError with one line that says what is wrong and in which table."""
    from nearcast.sim.swarm import parse_ranges

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not TOML: {error}") from error
    scenario = read_table(Scenario, {"name": name, **table}, where)
    if scenario.nat.cone + scenario.nat.symmetric > 1:
        raise UsageError(f"{where}: nat: cone and symmetric add up to more than 1")
    checks = {
        figure: read_table(Check, check, f"{where}: checks.{figure}") for figure, check in scenario.checks.items()
    }
    return replace(scenario, checks=checks, swarm=parse_ranges(scenario, f"{where}: swarm"))


def load_scenario(name: str) -> Scenario:
    """By the name of a packaged one, or by the path of a file. Raises UsageError."""
    path = Path(name) if name.endswith(".toml") or "/" in name else SCENARIOS / f"{name}.toml"
    try:
        return parse_scenario(path.read_text(encoding="utf-8"), path.stem, str(path.name))
    except FileNotFoundError:
        fix = "nearcast sim --list shows those that come with it; a file of your own ends in .toml"
        raise UsageError(f"no scenario {name}", fix=fix) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: cannot be read: {error}") from error


def lasting(scenario: Scenario, duration_s: float) -> Scenario:
    """The same for so many simulated seconds. Raises UsageError when a part of it would silently be left out."""
    if not DURATION_S_MIN <= duration_s <= DURATION_S_MAX:  # NaN is not, either
        raise UsageError(f"--duration is {DURATION_S_MIN:g} to {DURATION_S_MAX:,.0f} seconds, not {duration_s:g}")
    for what, at_s in _moments(scenario):
        if duration_s <= at_s < scenario.duration_s:
            raise UsageError(
                f"--duration {duration_s:g} ends before the {what} at {at_s:g} s of {scenario.name}",
                fix=f"--duration takes more than {at_s:g}, or change the scenario's file",
            )
    return replace(scenario, duration_s=duration_s)


def _moments(scenario: Scenario) -> Iterator[tuple[str, float]]:
    """When something of the scenario's own begins."""
    if scenario.churn.replaced_per_hour:
        yield "churn", scenario.churn.from_s
    for crowd in scenario.flash_crowd:
        yield "flash crowd", crowd.at_s
    for failure in scenario.mass_failure:
        yield "mass failure", failure.at_s
    for cut in scenario.partition:
        yield "partition", cut.at_s


def packaged_scenarios() -> list[Scenario]:
    """Those that come with Nearcast, by name."""
    return [load_scenario(path.stem) for path in sorted(SCENARIOS.glob("*.toml"))]
