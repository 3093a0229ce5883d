"""Whom to measure: half of them anywhere, half of them near (Vivaldi, SIGCOMM 2004, section 4.4 and figure 6).

Those anywhere hold the space together. Those near are what choosing the closest depends on: between peers that are
2 ms and 6 ms away, an error of 5 ms is everything, and only samples among neighbours tell them apart. Near is what
the coordinates say; the better they get, the better the choice.
"""

import heapq
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nearcast.overlay.coordinates.coordinate import Coordinate, estimate_s

if TYPE_CHECKING:
    import random

NEAR_SHARE = 0.5  # Vivaldi's mix


def choose(own: Coordinate, known: Mapping[bytes, Coordinate], count: int, rng: "random.Random") -> list[bytes]:
    """At most `count` of the known, each once: half of them the nearest (a quarter, and a quarter of our cluster)."""
    if count >= len(known):
        return list(known)
    near_count = int(count * NEAR_SHARE)
    if own.local is not None:
        near_count //= 2
    chosen = dict.fromkeys(heapq.nsmallest(near_count, known, key=lambda peer: estimate_s(own, known[peer])))
    if own.local is not None:
        mates = [peer for peer in known if known[peer].cluster == own.cluster and peer not in chosen]
        chosen.update(dict.fromkeys(rng.sample(mates, min(near_count, len(mates)))))
    others = [peer for peer in known if peer not in chosen]
    chosen.update(dict.fromkeys(rng.sample(others, min(count - len(chosen), len(others)))))
    return list(chosen)
