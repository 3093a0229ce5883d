"""Regions for simulated peers: sites near to each other, as operators name theirs after where they are.

Centres are picked farthest first (Gonzalez 1985): each is the site that is farthest from all centres so far, and a site
is of the region whose centre is nearest.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearcast.sim.latency import Latency


def regions_of(latency: "Latency", count: int) -> Sequence[str]:
    """The region of each site: "r0", "r1"... of at most `count`."""
    sites = range(latency.sites)
    medians = [sorted(latency.rows[site])[latency.sites // 2] for site in sites]
    centres = [min(sites, key=medians.__getitem__)]  # the most central one; an outlier would be alone in its region
    while len(centres) < min(count, latency.sites):
        centres.append(max(sites, key=lambda site: _distance(latency, site, centres) if medians[site] < 1 else 0.0))
    regions = []
    for site in sites:
        away_s = [latency.rows[site][centre] for centre in centres]
        regions.append(f"r{away_s.index(min(away_s))}")
    return regions


def _distance(latency: "Latency", site: int, centres: Sequence[int]) -> float:
    row = latency.rows[site]
    return min(row[centre] for centre in centres)
