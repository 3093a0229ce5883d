"""The numbers of a whole node of the overlay, and of each protocol in it."""

from dataclasses import dataclass, field, replace

from nearcast.config import OverlayConfig
from nearcast.overlay.coordinates import DEFAULT_SYSTEM
from nearcast.overlay.failure.choosing import DEFAULT as DEFAULT_DETECTOR
from nearcast.overlay.gossip.settings import GossipSettings
from nearcast.overlay.kademlia.settings import KademliaSettings

_DETECTORS = {"swim": DEFAULT_DETECTOR, "van-renesse": "van_renesse"}  # the configuration's names


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """All durations in seconds. The defaults are the product's."""

    kademlia: KademliaSettings = field(default_factory=KademliaSettings)
    gossip: GossipSettings = field(default_factory=GossipSettings)
    detector: str = DEFAULT_DETECTOR  # failure/choosing.py DETECTORS
    coordinates: str = DEFAULT_SYSTEM  # coordinates/choose.py COORDINATE_SYSTEMS

    members_max: int = 48  # watched by the detector; a cell splits when it would be larger. Each is a connection
    heard_max: int = 512  # peers whose round-trip time is remembered, 250 bytes each

    tick_s: float = 10.0  # between two looks at how we are doing; guess: nothing here is in a hurry once one is in
    knock_s: float = 2.0  # the same while alone; guess: two slow round trips and a dial
    knock_s_max: float = 15.0  # while alone for long; guess: what a person waits who has plugged the cable in
    doors: int = 8  # asked at once; guess: with 8 of 9 seeds dead the living one is among the first 16
    entrances: int = 2  # doors gone through at once: one may be a liar's, more are a crowd's load
    settling_s: float = 120.0  # after getting in, seeds that are not met inside are knocked at each tick; guess
    lost_knock_s: float = 60.0  # between two knocks at lost doors; guess: halves meet again within minutes

    far_probe_s: float = 300.0  # between two measurements of somebody far away: a dial costs 48 KB (links.py)
    warm_probes: int = 16  # soon after joining, one per tick; guess: half of the 32 references of a fit
    settled_samples: int = 64  # round trips after which our coordinate is settled: twice its 32 references
    settled_sample_s: float = 900.0  # then a peer counts once in so long: 48 of them, a fit (1 ms) in three minutes
    arrange_s: float = 300.0  # between two elections of landmarks; guess: announcements change no faster
    electorate_max: int = 64  # announced coordinates that are looked at then; 12 landmarks at most
    resize_s: float = 60.0  # between two looks at how many nodes there are


def mesh_settings(config: OverlayConfig) -> MeshSettings:
    """As the operator wants them."""
    defaults = MeshSettings()
    return replace(
        defaults,
        kademlia=replace(defaults.kademlia, provided_max=config.provided_max),
        detector=_DETECTORS.get(config.detector, config.detector),
        coordinates=config.coordinates,
        members_max=config.members_max,
    )
