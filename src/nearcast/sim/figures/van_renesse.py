"""The growth of the gossip detector's detection time, as published, by analysis and by simulation, beside SWIM.

Van Renesse, Minsky, Hayden 1998, figure 2: every member has 250 B/s for its lists, an entry takes 8 B, and T_fail is
what makes a mistake as improbable as 1e-9. The list of n entries is then sent every n * 8 / 250 s, T_fail is 33 to 40
such intervals: between n and n log n (n times a constant plus a logarithm), which the paper calls about n log n.
`analysed` is T_fail from the recursion; `simulated` the mean time from a crash to the first member that declares it;
`swim` the same of the node's own detector on the same network, which does not grow.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from nearcast.overlay.failure.choosing import DEFAULT
from nearcast.overlay.failure.heartbeat_analysis import (
    PUBLISHED_BYTES_PER_S,
    PUBLISHED_ENTRY_BYTES,
    fail_after_intervals,
    interval_s,
)
from nearcast.overlay.failure.van_renesse import HeartbeatSettings, VanRenesse
from nearcast.sim.figures.failure_group import Group, forget, new_group, preset_maker
from nearcast.sim.tables import bounded

if TYPE_CHECKING:
    from nearcast.sim.run import Run
    from nearcast.transport.base import PeerAddress

HEEDS = ("network", "nat", "clocks", "slow")  # crashes are its own
HAS_NODES = False  # its sizes are the paper's
HAS_DURATION = False  # a crash after another, each watched for as long as its analysis says
PUBLISHED_S = {20: 21.0, 50: 58.0, 100: 122.0, 150: 188.0}  # detection time in s by group size, at 1e-9


@dataclass(frozen=True, slots=True)
class GrowthSettings:
    """The paper's numbers."""

    sizes: tuple[float, ...] = (20.0, 50.0, 100.0, 150.0)
    bytes_per_s: float = bounded(PUBLISHED_BYTES_PER_S, least=1.0)
    entry_bytes: float = bounded(PUBLISHED_ENTRY_BYTES, least=1.0)
    mistake: float = bounded(1e-9, least=1e-15, most=0.5)
    crashes: int = bounded(4, least=1)


def run(run: "Run") -> None:
    """Each size with both detectors."""
    settings = run.settings(GrowthSettings)
    simulated: dict[int, float] = {}
    for size in map(int, settings.sizes):
        intervals = fail_after_intervals(size, mistake=settings.mistake)
        analysed_s = intervals * interval_s(size, settings.bytes_per_s, settings.entry_bytes)
        heartbeats = HeartbeatSettings(
            bytes_per_s=settings.bytes_per_s, entry_bytes=settings.entry_bytes, fail_s=analysed_s
        )
        group = new_group(run, size, partial(_van_renesse, run, heartbeats), label=f"{size}", is_weighed=False)
        simulated[size] = crash_each(run, group, settings.crashes, 1.5 * analysed_s + 10)
        group = new_group(run, size, preset_maker(run, DEFAULT, size), label=f"{size}", is_weighed=False)
        swim_s = crash_each(run, group, settings.crashes, 90.0)
        run.report.figure(f"intervals_{size}", intervals)
        run.report.figure(f"analysed_{size}", analysed_s, "s")
        run.report.figure(f"simulated_{size}", simulated[size], "s")
        run.report.figure(f"swim_{size}", swim_s, "s")
        if size in PUBLISHED_S:
            run.report.figure(f"analysed_over_published_{size}", analysed_s / PUBLISHED_S[size])
    small, large = min(simulated), max(simulated)
    growth = simulated[large] / simulated[small]
    run.report.figure("growth_over_n", growth / (large / small))
    run.report.figure("growth_over_n_log_n", growth / (large * math.log(large) / (small * math.log(small))))
    run.report.series("detection", sorted(simulated.items()), x="members", y="seconds", label="simulated")


def crash_each(run: "Run", group: Group, count: int, watch_s: float) -> float:
    """Crash one after the other and wait each time; the mean time until the first declares it dead.

    A false death, which the analysis makes improbable, fails the run.
    """
    simulation = group.simulation
    simulation.run_until(10.0)
    for peer in group.peers[:count]:
        group.crash(peer)
        simulation.run_until(simulation.now_s + watch_s)
    if group.false_deaths:
        run.report.fail(f"{len(group.false_deaths)} false deaths in a group of {len(group.peers)}")
    times = [math.nan if found.first_dead_s is None else found.first_dead_s for found in group.found.values()]
    forget(run, group)
    return sum(times) / len(times)


def _van_renesse(run: "Run", settings: HeartbeatSettings, address: "PeerAddress") -> VanRenesse:
    return VanRenesse(address, run.rng_of(address.endpoint_id, "heartbeats"), settings)
