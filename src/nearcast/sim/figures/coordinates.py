"""How good network coordinates are: every system on one matrix of round-trip times, honest and among liars.

For each system and each lie (`none` first): the relative error over all honest pairs, median and 90th percentile, and
the loss of choosing the closest by coordinates. `<system>_<lie>_ratio_p90` is the error against the honest one.
Where PlanetLab's matrix is absent a generated one is used, and a note says so: its figures are not to be compared.
"""

import random
from dataclasses import dataclass
from hashlib import sha256

from nearcast.overlay.coordinates import COORDINATE_SYSTEMS, DEFAULT_SYSTEM, encode_coordinate, make_coordinates
from nearcast.overlay.coordinates.base import Coordinates
from nearcast.sim.figures.coordinate_field import Field, Quality
from nearcast.sim.figures.coordinate_lies import LIES
from nearcast.sim.run import Run, make_latency
from nearcast.sim.tables import bounded, one_of

HEEDS = ("network.latency", "network.rtt_ms", "network.sites")  # round trips are all that there is
NODES_LEAST = 3  # a neighbour, and another one to choose from
HAS_DURATION = False  # rounds of samples, each host once
HONEST = "none"


@dataclass(frozen=True, slots=True)
class CoordinatesSettings:
    """`rounds`: samples per host. `is_choosing`: neighbours chosen anew as a node does, or 32 drawn once."""

    systems: tuple[str, ...] = one_of((DEFAULT_SYSTEM,), COORDINATE_SYSTEMS)
    lies: tuple[str, ...] = one_of((), tuple(LIES))
    liars: float = bounded(0.2, most=0.5)
    rounds: int = bounded(2000, least=1)
    is_choosing: bool = True


def run(run: Run) -> None:
    """All systems of the settings, one after the other, on the first `nodes` sites of the matrix."""
    settings = run.settings(CoordinatesSettings)
    latency = make_latency(run.scenario.network, run.seed)
    if latency.name != "PlanetLab" and run.scenario.network.latency == "planetlab":
        run.report.note(f"PlanetLab's matrix is absent; the round trips are {latency.name}")
    sites = range(min(run.nodes, latency.sites))
    rtt_s = [[latency.rtt_s(one, other) for other in sites] for one in sites]
    digest = sha256()
    for system in settings.systems:
        honest: Quality | None = None
        for lie in (HONEST, *settings.lies):
            field = _field(system, lie, rtt_s, settings, run.seed)
            field.run(settings.rounds)
            for host in field.hosts:
                digest.update(encode_coordinate(host.own))
            quality = field.quality()
            honest = honest or quality
            _write(run, system, lie, quality, honest)
            run.report.events += len(sites) * settings.rounds
    run.report.trace = digest.hexdigest()
    run.report.simulated_s = float(settings.rounds)


def _field(system: str, lie: str, rtt_s: list[list[float]], settings: CoordinatesSettings, seed: int) -> Field:
    def make(rng: random.Random) -> Coordinates:
        return make_coordinates(system, rng)

    # The liars are drawn in honest runs as well, when there are lies to compare with: errors are over the same pairs.
    liars = int(len(rtt_s) * settings.liars) if settings.lies else 0
    return Field(rtt_s, make, seed, is_choosing=settings.is_choosing, liars=liars, lie=LIES.get(lie))


def _write(run: Run, system: str, lie: str, quality: Quality, honest: Quality) -> None:
    figure, name = run.report.figure, f"{system}_{lie}"
    figure(f"{name}_error_median", quality.error_median, "share")
    figure(f"{name}_error_p90", quality.error_90th, "share")
    figure(f"{name}_error_near_p90", quality.error_90th_near, "share")
    figure(f"{name}_loss_median", quality.loss_median_s * 1000, "ms")
    figure(f"{name}_loss_mean", quality.loss_mean_s * 1000, "ms")
    if quality is not honest:
        figure(f"{name}_ratio_median", quality.error_median / honest.error_median)
        figure(f"{name}_ratio_p90", quality.error_90th / honest.error_90th)
