"""Slow members, and who is wrongly declared dead because of them: detectors beside each other, with the same seed.

Lifeguard's experiment (section V): of n = 128 members some are blocked for D s every I s. Counted are healthy members
that anybody declared dead (FP), those that healthy ones declared dead (FP-), and members of any kind. The same members
are slow at the same moments, on the same network, for each detector. `kind` "blocked" is Lifeguard's anomaly, "still"
lets a member stand still as a whole.

A slow member that is silent for longer than a suspicion lasts is declared dead in any detector, and rightly so: it
does not answer. So the improvement is counted over members that are healthy, as the paper does.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.overlay.failure.choosing import DETECTORS
from nearcast.sim.figures.failure_anomaly import Blocking
from nearcast.sim.figures.failure_group import Group, forget, new_group, preset_maker
from nearcast.sim.tables import bounded, one_of

if TYPE_CHECKING:
    from nearcast.overlay.failure.choosing import Detector
    from nearcast.overlay.machine import Machine
    from nearcast.sim.run import Run

HEEDS = ("network", "nat", "clocks", "slow")  # beside its own slow members
NODES_LEAST = 4
WARM_UP_S = 15.0  # before the first member becomes slow (the paper waits for the group to be quiet)
KINDS = ("blocked", "still")


@dataclass(frozen=True, slots=True)
class SlowSettings:
    """Each of `detectors` meets each pair of `blocked_s` and `running_s`; the first is what others are compared to."""

    detectors: tuple[str, ...] = one_of(("plain_swim", "lan", "wan"), DETECTORS)
    share: float = bounded(0.1, most=1.0)
    blocked_s: tuple[float, ...] = (8.0, 32.0)
    running_s: tuple[float, ...] = (4.0,)
    kind: str = one_of("blocked", KINDS)


def run(run: "Run") -> None:
    """Every detector, every anomaly."""
    settings = run.settings(SlowSettings)
    totals = {name: [0, 0, 0] for name in settings.detectors}
    sent_bytes_per_s = dict.fromkeys(settings.detectors, 0.0)
    anomalies = [(blocked, running) for blocked in settings.blocked_s for running in settings.running_s]
    for blocked_s, running_s in anomalies:
        counts = []
        for name in settings.detectors:
            group = slow_group(run, name, settings, blocked_s, running_s)
            run.until(run.duration_s)
            counted = (group.false_of_healthy(), group.false_at_healthy(), len(group.false_deaths))
            totals[name] = [total + count for total, count in zip(totals[name], counted, strict=True)]
            bytes_per_s = sum(peer.sent_bytes for peer in group.peers) / len(group.peers) / run.duration_s
            sent_bytes_per_s[name] = max(sent_bytes_per_s[name], bytes_per_s)
            counts.append(f"{name} {counted[0]} / {counted[1]} / {counted[2]}")
            forget(run, group)
        run.report.note(f"{blocked_s:g} s of {blocked_s + running_s:g} s: {', '.join(counts)}")
    report(run, settings, totals, sent_bytes_per_s)


def slow_group(run: "Run", name: str, settings: SlowSettings, blocked_s: float, running_s: float) -> Group:
    """A group in which the first members are slow, each from a moment of its own within one period on."""
    slow_count = round(settings.share * run.nodes)

    def wrap(machine: "Detector", number: int) -> "Machine":
        if number >= slow_count or settings.kind != "blocked":
            return machine
        return Blocking(machine, first_s(number), blocked_s, running_s)

    def first_s(number: int) -> float:
        return WARM_UP_S + (blocked_s + running_s) * number / slow_count

    label = f"{blocked_s}/{running_s}"  # not the detector's name: the same dice for each of them
    group = new_group(run, run.nodes, preset_maker(run, name, run.nodes), label=label, wrap=wrap)
    for number, peer in enumerate(group.peers[:slow_count]):
        group.slow[peer.endpoint_id] = None
        if settings.kind == "still":
            peer.pause_shift_s = -first_s(number)
            peer.pause_s, peer.pause_every_s = blocked_s, running_s
    return group


def report(
    run: "Run", settings: SlowSettings, totals: dict[str, list[int]], sent_bytes_per_s: dict[str, float]
) -> None:
    """Counts, and how many times fewer than those of the first detector; half a death where there is none."""
    first = settings.detectors[0]
    for name in settings.detectors:
        of_healthy, at_healthy, of_any = totals[name]
        run.report.figure(f"false_deaths_{name}", of_healthy)
        run.report.figure(f"false_deaths_at_healthy_{name}", at_healthy)
        run.report.figure(f"deaths_with_slow_{name}", of_any)
        run.report.figure(f"sent_bytes_per_s_{name}", sent_bytes_per_s[name], "B/s")
        if name != first:
            run.report.figure(f"times_fewer_{name}", totals[first][0] / max(of_healthy, 0.5))
            run.report.figure(f"times_fewer_at_healthy_{name}", totals[first][1] / max(at_healthy, 0.5))
            run.report.figure(f"times_fewer_with_slow_{name}", totals[first][2] / max(of_any, 0.5))
