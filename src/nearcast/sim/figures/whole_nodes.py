"""Level two: whole nodes with their stores and their money in one process, under every fault at once (sim/whole/).

Each seed is a world: publishers, caches that relay, payers, liars; crashes with torn disks, partitions, a chain that is
out of reach. The promises are checked between any two steps; at the end everything is read and settled to the unit.
Of the scenario's own tables only jitter, loss and NAT are heeded; all else is in [settings].
"""

from dataclasses import dataclass, fields

from nearcast.sim.run import Run
from nearcast.sim.tables import bounded
from nearcast.sim.whole.wishes import Acts, Wishes
from nearcast.sim.whole.world import FailedError, run_world

HEEDS = ("network.jitter", "network.loss", "nat.cone", "nat.symmetric", "liveness")
# A block of 1 MiB is paid for when all of it is there, and its payee waits 10 s for a voucher (UNPAID_PATIENCE_S): so
# one answer needs 0.9 Mbit/s. Measured: with 1 Mbit/s for all that a node sends, payers are given up again and again.
LINE_MBPS_MIN = 3.0
SIZE_BYTES_MAX = 64 << 20  # of what is published; guess: a world keeps all of it in memory


@dataclass(frozen=True, slots=True)
class WholeScenario:
    """[settings]. Acts are per node and simulated minute; sizes are spread evenly over their logarithm."""

    publish: float = bounded(0.05)
    get: float = bounded(1.0)
    take: float = bounded(0.03)
    crash: float = bounded(0.05)
    crash_at_disk: float = bounded(0.05)
    stop: float = bounded(0.02)
    partition: float = bounded(0.005)
    reset: float = bounded(0.05)
    bad_disk: float = bounded(0.02)
    no_chain: float = bounded(0.02)
    blacklist: float = bounded(0.005)
    size_bytes_min: int = bounded(1, least=1, most=SIZE_BYTES_MAX)
    size_bytes_max: int = bounded(3 << 20, least=1, most=SIZE_BYTES_MAX)
    large: int = bounded(2, most=64)
    large_bytes_min: int = bounded(6 << 20, least=1, most=SIZE_BYTES_MAX)
    large_bytes_max: int = bounded(16 << 20, least=1, most=SIZE_BYTES_MAX)
    up_mbps: float = bounded(50.0, least=LINE_MBPS_MIN)
    down_mbps: float = bounded(200.0, least=LINE_MBPS_MIN)
    skew_s_max: float = bounded(5.0)
    away_s: float = bounded(20.0, least=0.1)
    overlay: bool = False


def run(run: Run) -> None:
    """One world; what it did becomes figures, a promise that does not hold a failure."""
    scenario, settings = run.scenario, run.settings(WholeScenario)
    wishes = Wishes(
        nodes=run.nodes,
        duration_s=run.duration_s,
        acts=Acts(**{field.name: getattr(settings, field.name) for field in fields(Acts)}),
        size_bytes_min=settings.size_bytes_min,
        size_bytes_max=settings.size_bytes_max,
        large=settings.large,
        large_bytes_min=settings.large_bytes_min,
        large_bytes_max=settings.large_bytes_max,
        jitter=scenario.network.jitter,
        loss=scenario.network.loss,
        up_mbps=settings.up_mbps,
        down_mbps=settings.down_mbps,
        cone=scenario.nat.cone,
        symmetric=scenario.nat.symmetric,
        skew_s_max=settings.skew_s_max,
        away_s=settings.away_s,
        liveness_s=scenario.liveness.within_s,
        overlay=settings.overlay,
    )
    try:
        outcome = run_world(wishes, run.seed, on_progress=run.on_progress, story_file=run.trace_file)
    except FailedError as error:
        run.report.trace = error.digest  # the same when it is replayed
        raise
    report, counts = run.report, outcome.counts
    report.trace, report.events, report.simulated_s = outcome.digest, outcome.steps, outcome.duration_s
    report.figure("reads", counts.get("read", 0))
    if settings.overlay:
        report.figure("reads_without_address", counts.get("found", 0))
    tried = counts.get("act get", 0)
    failed = sum(count for name, count in counts.items() if name.startswith("not read"))
    report.figure("reads_failed_first", failed / max(1, tried), "share")
    report.figure("crashes", sum(counts.get(f"act {name}", 0) for name in ("crash", "crash_at_disk")))
    report.figure("channels", counts.get("channels", 0))
    report.figure("earned", counts.get("units earned", 0), "units")
    report.figure("settled_after", outcome.healed_s, "s")
    report.figure("checks", sum(count for name, count in counts.items() if name.startswith("checked")))
