"""Failure detection in groups of several sizes: how soon, how wrongly, at what cost.

Each group lives for the scenario's duration on its lossy network, which must not kill anybody; then some members crash
one after the other. SWIM's promise is that the first to miss a member takes as long in any group (1.58 intervals on
average), at a load per member that does not grow: `first_missed_growth` and `first_dead_growth` compare the sizes, the
slowest over the fastest.

Other detectors are put on the same network, with the same dice, beside the first one; only in small groups, because
whoever sends whole lists costs the cube of the group's size to simulate.
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

HEEDS = ("network", "nat", "clocks", "slow")  # crashes are its own
NODES_LEAST = 4  # the last three never crash


@dataclass(frozen=True, slots=True)
class FailureSettings:
    """The first of `detectors` in all `sizes` (none: one group of the run's nodes), the others up to `beside_max`."""

    detectors: tuple[str, ...] = one_of((DEFAULT,), DETECTORS)
    sizes: tuple[float, ...] = ()
    beside_max: int = bounded(100)  # members
    beside_crashes: int = bounded(20, least=1)  # as `crashes`, for the others
    crashes: int = bounded(100, least=1)  # per size; the mean is then good to a twentieth
    crash_every_s: float = bounded(2.0, least=0.1)
    watch_s: float = bounded(120.0)  # after the last crash


def run(run: "Run") -> None:
    """One group after the other."""
    settings = run.settings(FailureSettings)
    sizes = [int(size) for size in settings.sizes] or [run.nodes]
    first, *others = settings.detectors
    means: list[tuple[float, float]] = []
    for size in sizes:
        suffix = f"_{size}" if len(sizes) > 1 else ""
        means.append(watch(run, first, size, suffix, settings, settings.crashes))
        for name in others if size <= settings.beside_max else ():
            watch(run, name, size, f"{suffix}_{name}", settings, settings.beside_crashes)
    for name, of_sizes in zip(("first_missed_growth", "first_dead_growth"), zip(*means, strict=True), strict=True):
        run.report.figure(name, max(of_sizes) / min(of_sizes))


def watch(
    run: "Run", detector: str, size: int, suffix: str, settings: FailureSettings, crashes: int
) -> tuple[float, float]:
    """A group in peace, then its crashes: how long the first took to miss one, and to declare it dead, on average."""
    maker = preset_maker(run, detector, size)
    group = new_group(run, size, maker, label=str(size))  # not the detector's name: the same dice for each of them
    run.until(run.duration_s)
    report_peace(run, group, suffix)
    crash_some(group, settings)
    report_crashes(run, group, detector, suffix)
    found = list(group.found.values())
    forget(run, group)
    while len(found) < crashes and len(group.peers) > 3:  # a small group is too small for so many
        group = new_group(run, size, maker, label=f"{size}/{len(found)}", is_weighed=False)
        crash_some(group, settings)
        found += group.found.values()
        forget(run, group)
    missed_s = _mean([each.first_missed_s for each in found])
    dead_s = _mean([each.first_dead_s for each in found])
    run.report.figure(f"first_missed_mean{suffix}", missed_s, "s")
    run.report.figure(f"first_dead_mean{suffix}", dead_s, "s")
    return missed_s, dead_s


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


def report_crashes(run: "Run", group: Group, detector: str, suffix: str) -> None:
    """How soon the first, and how soon all, knew."""
    report, found = run.report, list(group.found.values())
    report.figure(f"all_know_mean{suffix}", _mean([each.last_dead_s for each in found]), "s")
    known = sum(each.deaths for each in found) / (len(found) * len(group.simulation.alive)) if found else math.nan
    report.figure(f"known_to{suffix}", min(known, 1.0), "share")
    report.figure(f"false_deaths_while_crashing{suffix}", len(group.false_deaths))
    values = [each.first_dead_s for each in found if each.first_dead_s is not None]
    label = f"{detector}, {len(group.peers)} members"
    report.distribution("first declared dead", values, x="seconds after the crash", label=label)


def _mean(values: list[float | None]) -> float:
    """NaN, which passes no check, when one was not found at all."""
    found = [value for value in values if value is not None]
    return fmean(found) if found and len(found) == len(values) else math.nan
