"""What a whole node of the overlay is made of, so that upkeep and views can look at all of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.overlay.bootstrap import Doors
from nearcast.overlay.cells import Cell
from nearcast.overlay.failure.choosing import Detector
from nearcast.overlay.gossip.machine import Gossip
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC
from nearcast.overlay.heard import HeardPeers
from nearcast.overlay.kademlia.machine import Kademlia
from nearcast.overlay.locating import Locating
from nearcast.overlay.settings import MeshSettings
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

SHARE_PRIOR = 6  # as if ours were one of six regions, while little is known; guess: regions are continents


@dataclass(slots=True)
class Parts:
    """`region_topic` None: the node does not say where it is. `received`: messages, by protocol."""

    own: PeerAddress
    is_client: bool
    region: str
    region_topic: str | None
    settings: MeshSettings
    rng: "random.Random"
    kademlia: Kademlia
    gossip: Gossip
    detector: Detector
    locating: Locating
    cell: Cell
    heard: HeardPeers
    doors: Doors
    received: dict[str, int]

    def has_neighbours(self, topic: str = GLOBAL_TOPIC) -> bool:
        """Whether there is anybody in this topic who would tell us news."""
        return bool(self.gossip.member(topic).membership.active)

    def is_member(self) -> bool:
        """Whether this node knows others, and is told the news."""
        return len(self.kademlia.table) > 0 and self.has_neighbours()

    def is_inside(self, endpoint_id: bytes) -> bool:
        """Whether a node is met inside: it is in the hash table, a neighbour, or watched."""
        is_neighbour = endpoint_id in self.gossip.member(GLOBAL_TOPIC).membership.active
        return is_neighbour or self.kademlia.knows(endpoint_id) or self.detector.state_of(endpoint_id) == "alive"

    def nodes(self) -> float:
        """About how many nodes there are in all."""
        return self.kademlia.table.nodes_estimated()

    def region_share(self, now_s: float) -> float:
        """Which share of all nodes is of our region, by those that announced themselves to everybody."""
        known = self.gossip.member(GLOBAL_TOPIC).directory.current(now_s)
        ours = sum(announcement.facts.region == self.region for announcement in known)
        return (ours + 1) / (len(known) + SHARE_PRIOR)

    def region_nodes(self) -> float:
        """About how many our region has: those who announce themselves there, never more than there are in all."""
        if self.region_topic is None:
            return self.nodes()
        return min(self.nodes(), self.gossip.member(self.region_topic).pace.nodes())
