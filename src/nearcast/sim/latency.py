"""How long a packet takes from one site to another: measured between PlanetLab hosts, generated, or the same for all.

A matrix holds one-way seconds between sites, half of the round-trip time; many peers may stand at one site.
The measured matrix (490 hosts, symmetric, complete; uofa-rzhu3/NetLatency-Data, MIT) is not part of this project: it
is read from the folder that NEARCAST_DATA names, or from `shared/data` beside the checkout. Where it is absent, one is
generated, and `Latency.name` says so.
"""

import gzip
import math
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nearcast.errors import UsageError

if TYPE_CHECKING:
    import random

Delays: TypeAlias = "array[float]"  # one-way seconds from one site to each

DATA_VARIABLE = "NEARCAST_DATA"
PLANETLAB_FILE = "planetlab-490-rtt-ms.txt.gz"
PLANETLAB_SITES = 490
SAME_SITE_S = 0.0005  # one way between two peers of one site: 1 ms there and back, a campus; guess

# The generated matrix: continents on a map where distance is RTT. Their places and shares are fitted by hand, so that
# the 10th, 50th and 90th percentile (about 37, 140 and 290 ms) come near the measured matrix's (32, 135 and 291 ms).
# Its noise is per pair: triangles are violated, as in the measured one.
CONTINENTS_MS = ((0.0, 0.0), (115.0, 20.0), (270.0, 110.0), (80.0, 210.0))
CONTINENT_SHARES = (0.39, 0.37, 0.15, 0.09)
CONTINENT_SPREAD_MS = 20.0  # standard deviation within a continent
HEIGHT_MS_MEDIAN = 4.0  # of the access line, as in Vivaldi's height; guess
HEIGHT_SPREAD = 0.9  # of its logarithm; guess
PAIR_NOISE = 0.18  # of the logarithm of each pair's RTT; guess
RTT_MS_MIN = 0.1


@dataclass(frozen=True, slots=True)
class Latency:
    """One-way seconds between sites. `name` says where they come from."""

    name: str
    rows: tuple[Delays, ...]

    @property
    def sites(self) -> int:
        return len(self.rows)

    def rtt_s(self, one: int, other: int) -> float:
        """There and back between two sites."""
        return self.rows[one][other] + self.rows[other][one]


def data_folder() -> Path | None:
    """Where measured data lies, if anywhere."""
    named = os.environ.get(DATA_VARIABLE)
    if named is not None:
        return Path(named)
    for parent in Path(__file__).resolve().parents:
        if (parent / "pyproject.toml").is_file():
            return parent.parent / "shared" / "data"
    return None


def planetlab() -> Latency | None:
    """The measured matrix; None where it is absent. Raises UsageError when the file is not such a matrix."""
    folder = data_folder()
    path = folder / PLANETLAB_FILE if folder else None
    return _read(path) if path is not None and path.is_file() else None


@lru_cache(maxsize=2)
def _read(path: Path) -> Latency:
    with gzip.open(path, "rt") as lines:
        rows = tuple(array("d", (float(cell) / 2000 for cell in line.split())) for line in lines)
    if any(len(row) != len(rows) for row in rows) or not rows:
        raise UsageError(f"{path}: not a square matrix of round-trip times")
    return Latency("PlanetLab", _same_site(rows))


def constant(rtt_s: float) -> Latency:
    """The same time between all: for figures of protocols by themselves."""
    return Latency(f"constant {rtt_s * 1000:g} ms", (array("d", [rtt_s / 2]),))


def generated(sites: int, rng: "random.Random") -> Latency:
    """A map of continents with access lines and noise per pair: symmetric, with violated triangles."""
    places = [_place(rng) for _ in range(sites)]
    rows = tuple(array("d", bytes(8 * sites)) for _ in range(sites))
    for one, (x, y, height) in enumerate(places):
        row = rows[one]
        for other in range(one):
            x2, y2, height2 = places[other]
            rtt_ms = (math.hypot(x - x2, y - y2) + height + height2) * rng.lognormvariate(0.0, PAIR_NOISE)
            row[other] = rows[other][one] = max(rtt_ms, RTT_MS_MIN) / 2000
    return Latency("generated", _same_site(rows))


def _place(rng: "random.Random") -> tuple[float, float, float]:
    (x,) = rng.choices(range(len(CONTINENTS_MS)), CONTINENT_SHARES)
    centre = CONTINENTS_MS[x]
    height = HEIGHT_MS_MEDIAN * rng.lognormvariate(0.0, HEIGHT_SPREAD)
    return rng.gauss(centre[0], CONTINENT_SPREAD_MS), rng.gauss(centre[1], CONTINENT_SPREAD_MS), height


def _same_site(rows: Sequence[Delays]) -> tuple[Delays, ...]:
    for site, row in enumerate(rows):
        row[site] = SAME_SITE_S
    return tuple(rows)
