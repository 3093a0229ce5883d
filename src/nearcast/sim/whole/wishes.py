"""What a simulated world is to be like: how many of whom, how large things are, what is done how often."""

from dataclasses import dataclass, field
from typing import Final

PRICES: Final = {"origin": 500_000, "cache": 1_000_000}  # units per GiB; a relay pays less than it asks
PRICE_MAX: Final = 10_000_000  # what payers would pay per GiB


@dataclass(frozen=True, slots=True)
class Roles:
    """Shares of the nodes. Origins and caches are paid, payers pay, friends neither; liars are origins that lie, takers
    payers that do not pay."""

    origin: float = 0.15
    cache: float = 0.20
    payer: float = 0.30
    taker: float = 0.05
    friend: float = 0.25
    liar: float = 0.05

    def count(self, nodes: int) -> dict[str, int]:
        """How many of each among so many nodes, one of each at least; the rest are friends."""
        names = ("origin", "cache", "payer", "taker", "liar")
        counts = {name: max(1, round(getattr(self, name) * nodes)) for name in names}
        return counts | {"friend": max(1, nodes - sum(counts.values()))}


@dataclass(frozen=True, slots=True)
class Acts:
    """How often something is done in the whole world: per node and simulated minute, all together."""

    publish: float = 0.05
    get: float = 1.0
    take: float = 0.03
    crash: float = 0.05
    crash_at_disk: float = 0.05
    stop: float = 0.02
    partition: float = 0.02
    reset: float = 0.05
    bad_disk: float = 0.02
    no_chain: float = 0.02
    blacklist: float = 0.01


@dataclass(frozen=True, slots=True)
class Wishes:
    """One world. Times in simulated seconds."""

    nodes: int = 12
    duration_s: float = 120.0
    roles: Roles = field(default_factory=Roles)
    acts: Acts = field(default_factory=Acts)
    size_bytes_min: int = 1
    size_bytes_max: int = 3 << 20
    large: int = 0  # things of origins that are there from the start, read by takers and payers from their holders
    large_bytes_min: int = 6 << 20
    large_bytes_max: int = 16 << 20
    jitter: float = 0.1
    loss: float = 0.01
    up_mbps: float = 50.0
    down_mbps: float = 200.0
    cone: float = 0.0  # shares of the hosts behind a NAT
    symmetric: float = 0.0
    skew_s_max: float = 5.0
    drift_max: float = 1e-4
    away_s: float = 20.0  # mean of how long a crashed node stays down, and of how long a partition lasts
    sites: int = 64
    overlay: bool = False  # nodes find each other: the hash table, the gossip and the failure detection run in each
    liveness_s: float = 600.0  # after the heal, until everything is fetched and settled
