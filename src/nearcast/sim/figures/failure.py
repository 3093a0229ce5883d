"""Failure detection in groups of several sizes: how soon, how wrongly, at what cost.

Each group lives for the scenario's duration on its lossy network, which must not kill anybody; then some members crash
one after the other. SWIM's promise is that the first to miss a member takes as long in any group (1.58 intervals on
average), at a load per member that does not grow: `first_missed_growth` and `first_dead_growth` compare the sizes, the
slowest over the fastest.
"""

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from nearcast.overlay.failure.choosing import DEFAULT, DETECTORS
from nearcast.sim.figures.failure_group import Group, forget, new_group, preset_maker
from nearcast.sim.tables import bounded, one_of

if TYPE_CHECKING:
    from nearcast.sim.run import Run


@dataclass(frozen=True, slots=True)
class FailureSettings:
    """`sizes` empty: one group of the run's nodes."""

    detector: str = one_of(DEFAULT, DETECTORS)
    sizes: tuple[float, ...] = ()
    crashes: int = bounded(100, least=1)  # per size; the mean is then good to a twentieth
    crash_every_s: float = bounded(2.0, least=0.1)
    watch_s: float = bounded(120.0)  # after the last crash


def run(run: "Run") -> None:
    """One group after the other."""
    settings = run.settings(FailureSettings)
    sizes = [int(size) for size in settings.sizes] or [run.nodes]
    missed: list[float] = []
    dead: list[float] = []
    for size in sizes:
        suffix = f"_{size}" if len(sizes) > 1 else ""
        maker = preset_maker(run, settings.detector, size)
        group = new_group(run, size, maker, label=str(size))
        run.until(run.duration_s)
        report_peace(run, group, suffix)
        crash_some(group, settings)
        report_crashes(run, group, suffix)
        found = list(group.found.values())
        forget(run, group)
        while len(found) < settings.crashes and len(group.peers) > 3:  # a small group is too small for so many
            group = new_group(run, size, maker, label=f"{size}/{len(found)}", is_weighed=False)
            crash_some(group, settings)
            found += group.found.values()
            forget(run, group)
        missed.append(_mean([each.first_missed_s for each in found]))
        dead.append(_mean([each.first_dead_s for each in found]))
        run.report.figure(f"first_missed_mean{suffix}", missed[-1], "s")
        run.report.figure(f"first_dead_mean{suffix}", dead[-1], "s")
    run.report.figure("first_missed_growth", max(missed) / min(missed))
    run.report.figure("first_dead_growth", max(dead) / min(dead))


def report_peace(run: "Run", group: Group, suffix: str) -> None:
    """What happened while nobody had crashed."""
    simulation, report = group.simulation, run.report
    size = len(group.peers)
    report.figure(f"false_deaths{suffix}", len(group.false_deaths))
    report.figure(f"false_suspicions_per_member_hour{suffix}", group.false_suspicions / size / simulation.now_s * 3600)
    report.figure(f"sent_bytes_per_s{suffix}", sum(p.sent_bytes for p in group.peers) / size / simulation.now_s, "B/s")
    report.figure(f"sent_bytes_per_s_max{suffix}", max(p.sent_bytes for p in group.peers) / simulation.now_s, "B/s")
    report.figure(f"messages_per_s{suffix}", sum(p.sent_messages for p in group.peers) / size / simulation.now_s)


def crash_some(group: Group, settings: FailureSettings) -> None:
    """One after the other, at most a twentieth of the group, then wait: more would be another experiment."""
    simulation = group.simulation
    for peer in group.peers[: max(1, min(settings.crashes, len(group.peers) // 20))]:
        group.crash(peer)
        simulation.run_until(simulation.now_s + settings.crash_every_s)
    simulation.run_until(simulation.now_s + settings.watch_s)


def report_crashes(run: "Run", group: Group, suffix: str) -> None:
    """How soon the first, and how soon all, knew."""
    report, found = run.report, list(group.found.values())
    report.figure(f"all_know_mean{suffix}", _mean([each.last_dead_s for each in found]), "s")
    known = sum(each.deaths for each in found) / (len(found) * len(group.simulation.alive)) if found else math.nan
    report.figure(f"known_to{suffix}", min(known, 1.0), "share")
    report.figure(f"false_deaths_while_crashing{suffix}", len(group.false_deaths))
    values = [each.first_dead_s for each in found if each.first_dead_s is not None]
    label = f"{len(group.peers)} members"
    report.distribution("first declared dead", values, x="seconds after the crash", label=label)


def _mean(values: list[float | None]) -> float:
    """NaN, which passes no check, when one was not found at all."""
    found = [value for value in values if value is not None]
    return fmean(found) if found and len(found) == len(values) else math.nan
