"""The numbers of SWIM and Lifeguard, as presets: what was published, and what a node here uses."""

from dataclasses import dataclass, replace
from math import inf, log10

from nearcast.overlay.failure.suspicion import spread_s

STALL_SHARE = 0.5  # of the probe's timeout; guess: less than that, and its answers still come in time
MEMBERS_MAX = 1024  # of a node's group by default; guess: a region's nodes, some 100 KiB


@dataclass(frozen=True, slots=True)
class SwimSettings:
    """Defaults are memberlist's for a LAN (config.go, DefaultLANConfig), unless another source is named."""

    probe_interval_s: float = 1.0
    probe_timeout_s: float = 0.5
    indirect_probes: int = 3
    retransmit_multiplier: int = 4
    gossip_interval_s: float = 0.2
    gossip_fanout: int = 3  # 0: rumours travel only on probes, as in SWIM
    sync_interval_s: float = 30.0  # push-pull; times 1 + log2(n / 32) in larger groups; 0: never
    suspicion_multiplier: int = 8  # memberlist: 4 * log10 n. Members that pause for 8 s are not dead; guess
    suspicion_confirmations: int = 3  # that bring a suspicion to its shortest time (Lifeguard, section IV.A: K = 3)
    suspicion_max_multiplier: int = 6  # 1: a fixed timeout, no confirmations
    grows_with_spread: bool = True
    """The shortest suspicion is `multiplier` intervals and twice the time a rumour takes, there and back. False: as
    published, `multiplier * log10 n` intervals, which makes detection slower in larger groups by more than it needs."""
    has_local_health: bool = True  # Lifeguard: score, NACKs
    has_buddy: bool = True  # Lifeguard: whoever is suspected hears so in every message from us
    has_second_ping: bool = True  # beside the indirect probes one that the transport repeats (memberlist: TCP)
    has_stall_guard: bool = True
    """Ours: a timer that rings late shows that this node stood still. What it missed says nothing of others."""
    doubts_deaths: bool = True
    """Ours: a death by hearsay counts only of whom we suspect for half the shortest time; until then it is a suspicion.
    So a single liar kills nobody who answers."""
    members_max: int = MEMBERS_MAX
    rumours_bytes_max: int = 1000  # in one message; with the rest it fits a QUIC packet of 1,200 bytes
    tombstones_max: int = 1024  # members remembered as dead; guess
    tombstone_s: float = 3600.0  # and for how long; guess, serf: 24 h

    @property
    def stall_s(self) -> float:
        """A timer that rings later than this shows that we stood still."""
        return self.probe_timeout_s * STALL_SHARE if self.has_stall_guard else inf

    def suspicion_min_s(self, group_size: int) -> float:
        """What a suspected member has at least, in a group of this size, for contradicting."""
        if self.grows_with_spread and self.gossip_fanout:
            there_and_back_s = 2 * spread_s(group_size, self.gossip_fanout, self.gossip_interval_s)
            return self.suspicion_multiplier * self.probe_interval_s + there_and_back_s
        return self.suspicion_multiplier * max(1.0, log10(max(group_size, 1))) * self.probe_interval_s

    def retransmissions(self, group_size: int) -> int:
        """How often one member tells one rumour: multiplier * ceil(log10(n + 1)) (memberlist, util.go)."""
        digits = len(str(group_size))  # = ceil(log10(n + 1)), exactly
        return self.retransmit_multiplier * digits


def lan() -> SwimSettings:
    """Nodes within milliseconds: detection in seconds, for some hundred bytes per second."""
    return SwimSettings()


def wan() -> SwimSettings:
    """The default of a node: quiet. memberlist's DefaultWANConfig, except for the probe's timeout.

    There it is 3 s of 5, so that NACKs (after 80 % of a timeout) come when the probe is already judged; 2 s leaves them
    time, and is four times the longest round trip of PlanetLab's matrix but a few outliers.
    """
    return replace(
        SwimSettings(),
        probe_interval_s=5.0,
        probe_timeout_s=2.0,
        gossip_interval_s=0.5,
        gossip_fanout=4,
        sync_interval_s=60.0,
        suspicion_multiplier=6,
    )


def plain_swim() -> SwimSettings:
    """SWIM without Lifeguard, at the pace of `lan`: what Lifeguard's authors compared with (section IV.A: alpha 5)."""
    return replace(
        SwimSettings(),
        suspicion_multiplier=5,
        suspicion_max_multiplier=1,
        suspicion_confirmations=0,
        grows_with_spread=False,
        has_local_health=False,
        has_buddy=False,
        has_second_ping=False,
        has_stall_guard=False,
        doubts_deaths=False,
    )
