"""Runs a scenario with one seed and judges it: its driver, the checks, the one line that runs it again.

A driver is `nearcast.sim.figures.<driver>` with `run(run: Run) -> None`. One that does not heed `run.duration_s` says
so with `HAS_DURATION = False`; heeding.py has what else it may say.
"""

import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import IO, Any

from nearcast.errors import NearcastError, UsageError
from nearcast.sim import heeding, swarm
from nearcast.sim.report import Curve, Figure, Report, broken
from nearcast.sim.run import Run
from nearcast.sim.scenario import Check, Scenario, lasting

_DRIVER = re.compile(r"[a-z][a-z0-9_]*")


class ScenarioFailedError(NearcastError):
    """A simulated scenario did not do what its checks demand. The same seed fails the same way."""

    exit_code = 15


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed gave. `events` are simulated steps; `trace` is their hash."""

    scenario: str
    seed: int
    nodes: int
    figures: dict[str, Figure]
    curves: list[Curve]
    failures: list[str]
    notes: list[str]
    trace: str
    events: int
    simulated_s: float
    wall_s: float
    replay: str  # the command that does it again
    drawn: dict[str, float] = field(default_factory=dict)  # what swarm mode drew

    @property
    def is_good(self) -> bool:
        return not self.failures


def run_seed(
    scenario: Scenario,
    seed: int,
    nodes: int | None = None,
    *,
    duration_s: float | None = None,
    all_faults: bool = False,
    source: str | None = None,
    trace_file: IO[str] | None = None,
    on_progress: Callable[[float, int], None] | None = None,
) -> Outcome:
    """One run. Errors of simulated code become failures of the outcome; a mistake in the scenario is a UsageError.

    `duration_s`: simulated seconds, in place of the scenario's. `source`: how the scenario was named, for the line that
    replays it.
    """
    function, module = driver_of(scenario), _module_of(scenario)
    nodes = nodes or scenario.nodes
    heeding.refuse_unheeded(scenario, module)
    heeding.refuse_nodes(scenario, module, nodes)
    replay_s = None if duration_s == scenario.duration_s else duration_s
    if duration_s is not None:
        scenario = for_seconds(scenario, duration_s)
    of_seed = swarm.drawn(scenario, seed, all_faults=all_faults, heeds=lambda path: heeding.is_heeded(path, module))
    report = Report()
    run = Run(of_seed, seed, nodes, report=report, trace_file=trace_file, on_progress=on_progress)
    begin_s = time.perf_counter()
    try:
        function(run)
    except UsageError:
        raise
    except NearcastError as error:
        report.fail(error.message)
    except AssertionError as error:
        report.fail(f"an assertion of the driver does not hold: {error}")
    wall_s = time.perf_counter() - begin_s
    if not all_faults:  # a bound for a calm network says nothing of a storm: there, only liveness and errors count
        _judge(of_seed, report)
    _add_load(run, report)
    return Outcome(
        scenario=scenario.name,
        seed=seed,
        nodes=nodes,
        figures=report.figures,
        curves=report.curves,
        failures=report.failures,
        notes=[*_where_from(run), *report.notes],
        trace=report.trace or "-".join(each.trace.digest() for each in run.simulations),
        events=report.events or sum(each.trace.steps for each in run.simulations),
        simulated_s=report.simulated_s or sum(each.now_s for each in run.simulations),
        wall_s=wall_s,
        replay=replay_command(source or scenario.name, seed, nodes, replay_s, all_faults=all_faults),
        drawn=swarm.draws(scenario, of_seed),
    )


def driver_of(scenario: Scenario) -> Callable[[Run], None]:
    """Raises UsageError when there is none of that name."""
    function: Callable[[Run], None] = _module_of(scenario).run
    return function


def check_nodes(scenario: Scenario, nodes: int) -> None:
    """Raises UsageError where so many nodes, as told by --nodes, make no sense."""
    module = _module_of(scenario)
    heeding.refuse_nodes(scenario, module, nodes)
    heeding.refuse_other_nodes(scenario, module, nodes)


def for_seconds(scenario: Scenario, duration_s: float) -> Scenario:
    """The scenario with that duration. Raises UsageError where that makes no sense."""
    if not getattr(_module_of(scenario), "HAS_DURATION", True):
        raise UsageError(
            f"--duration: {scenario.name} takes as long as its rounds do", fix="its [settings] say how many there are"
        )
    return lasting(scenario, duration_s)


def _module_of(scenario: Scenario) -> ModuleType:
    name = scenario.driver
    module = f"nearcast.sim.figures.{name}"
    unknown = UsageError(f"{scenario.name}: no driver {name!r}", fix="drivers are the files of nearcast/sim/figures")
    if not _DRIVER.fullmatch(name):
        raise unknown
    try:
        driver = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise unknown from None
    if not hasattr(driver, "run"):  # a part of another one
        raise unknown
    return driver


def replay_command(
    source: str, seed: int, nodes: int, duration_s: float | None = None, *, all_faults: bool = False
) -> str:
    """What to type to see the same again. `duration_s`: None where the scenario's own was used."""
    lasts = "" if duration_s is None else f" --duration {repr(float(duration_s)).removesuffix('.0')}"  # to the last bit
    return f"nearcast sim {source} --seed {seed} --nodes {nodes}{lasts}" + (" --swarm" if all_faults else "")


def summary(outcomes: Sequence[Outcome], scenario: Scenario, *, judges: bool = True) -> list[dict[str, Any]]:
    """One row per figure: its median over the seeds and its worst value: the one that is furthest from the check.

    Without a check the worst is the largest. `good`: whether every seed passes; `judges` False leaves checks out.
    """
    rows = []
    for name, first in outcomes[0].figures.items():
        figures = [each.figures[name] for each in outcomes if name in each.figures]
        check = scenario.check_of(name) if judges else None
        row: dict[str, Any] = {"figure": name, "median": statistics.median(each.value for each in figures)}
        row |= {"worst": _worst(figures, check), "unit": first.unit}
        if check is not None:
            good = all(broken(each, check) is None for each in figures)
            row |= {"at_least": check.at_least, "at_most": check.at_most, "good": good}
        rows.append(row)
    return rows


def _worst(figures: Sequence[Figure], check: Check | None) -> float:
    values = [each.value for each in figures]
    if any(math.isnan(value) for value in values):
        return math.nan
    if check is None or check.at_least is None:
        return max(values)
    if check.at_most is None:
        return min(values)
    middle = (check.at_least + check.at_most) / 2
    return max(values, key=lambda value: abs(value - middle))


def _judge(scenario: Scenario, report: Report) -> None:
    ended_early = bool(report.failures)
    for name in scenario.checks:
        check = scenario.check_of(name)
        assert check is not None
        if name not in report.figures:
            if not ended_early:  # else the run may not have come to this figure
                report.fail(f"the figure {name} is checked, but the driver reports none of that name")
        elif (why := broken(report.figures[name], check)) is not None:
            report.fail(why)


def _add_load(run: Run, report: Report) -> None:
    """How much was sent, by itself a figure."""
    peers_s = sum(_peer_seconds(each) for each in run.simulations)
    if not peers_s:
        return
    messages = sum(sum(each.sent_of_kind.values()) for each in run.simulations)
    report.figure("messages_per_peer_s", messages / peers_s, "/s")
    if any(each.bytes_of_kind for each in run.simulations):
        sent_bytes = sum(sum(each.bytes_of_kind.values()) for each in run.simulations)
        report.figure("bytes_per_peer_s", sent_bytes / peers_s, "B/s")


def _peer_seconds(simulation: Any) -> float:
    return float(simulation.lived_s + sum(simulation.now_s - peer.joined_s for peer in simulation.alive))


def _where_from(run: Run) -> list[str]:
    """What the latencies are: a generated matrix is not the measured one."""
    names = dict.fromkeys(each.network.latency.name for each in run.simulations)
    return [f"latencies: {name}" for name in names]
