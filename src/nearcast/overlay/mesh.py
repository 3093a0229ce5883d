"""Mesh: one node of the overlay, all its protocols as one machine.

What it does. It holds the hash table (kademlia/), the gossip (gossip/), the failure detector (failure/) and the network
coordinates (coordinates/) of one node, hands each message and timer to whom it belongs, and lets what one finds out
feed the others (mesh_upkeep.py): whoever answers at the door is the door to all of them; announcements say who is of
our region and who is to be watched; every measured round trip feeds our coordinate, which rides on probes and
announcements.

Goals: given any living contact among dead ones, a full member within seconds; alone again, in again through contacts
that were alive; halves of a cut network find each other. A client finds and listens and is in nobody's tables.
Non-goals: it opens no connection and reads no clock (service.py), and judges nobody's content or price (client/).

Invariants: each message class belongs to one protocol (codec.py), each timer to one; nothing here grows without a
bound, all of them are in settings.py. `now_s` is unix time: records and announcements are dated by it.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from nearcast.overlay.bootstrap import Doors
from nearcast.overlay.cells import Cell
from nearcast.overlay.codec import DHT, GOSSIP, PROTOCOL_OF, RTT, SWIM
from nearcast.overlay.directory import ContactView
from nearcast.overlay.failure.choosing import detector
from nearcast.overlay.failure.events import Measured, MemberDead, MemberLeft
from nearcast.overlay.gossip.announcement import NodeFacts
from nearcast.overlay.gossip.events import (
    Announced,
    AnnounceDue,
    AnswerDue,
    FlushDue,
    MissingDue,
    NeighbourUp,
    RepairDue,
    ShuffleDue,
)
from nearcast.overlay.gossip.machine import Gossip
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC, region_topic
from nearcast.overlay.heard import HeardPeers
from nearcast.overlay.kademlia.core import Timer as KademliaTimer
from nearcast.overlay.kademlia.events import Joined
from nearcast.overlay.kademlia.machine import Kademlia
from nearcast.overlay.kademlia.records import ValueRecord
from nearcast.overlay.locating import Locating
from nearcast.overlay.machine import Effect, Send, Tell
from nearcast.overlay.measuring import Echo, Probe
from nearcast.overlay.mesh_events import MeshTimer
from nearcast.overlay.mesh_upkeep import Upkeep
from nearcast.overlay.mesh_views import contact_view, nearest_views, snapshot
from nearcast.overlay.parts import Parts
from nearcast.overlay.peers import Origin
from nearcast.overlay.settings import MeshSettings
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]

_GOSSIP_TIMERS = {ShuffleDue, RepairDue, AnswerDue, FlushDue, MissingDue, AnnounceDue}


class Mesh:
    """One node. `facts()` says what is to be announced of it now; its coordinate and region are filled in here.

    `sign(message)` signs as `own`; `verify(endpoint_id, message, signature)` checks anybody's.
    """

    def __init__(
        self,
        own: PeerAddress,
        facts: Callable[[], NodeFacts],
        *,
        sign: Sign,
        verify: Verify,
        rng: "random.Random",
        settings: MeshSettings | None = None,
        is_client: bool = False,
    ) -> None:
        settings = settings or MeshSettings()
        region = facts().region
        topic = region_topic(region) if region else None
        topics = (GLOBAL_TOPIC,) if topic is None else (GLOBAL_TOPIC, topic)
        cell = Cell(own.endpoint_id, settings.members_max * 2 // 3)
        self.parts = Parts(
            own,
            is_client,
            region,
            topic,
            settings,
            rng,
            Kademlia(own, sign, verify, rng, settings.kademlia, unix_clock=_unix, is_client=is_client),
            Gossip(
                own, sign=sign, verify=verify, rng=rng, settings=settings.gossip, topics=topics, is_client=is_client
            ),
            detector(settings.detector, own, rng, members_max=settings.members_max, admits=cell.admits),
            Locating(settings, rng),
            cell,
            HeardPeers(settings.heard_max),
            Doors(own.endpoint_id, rng),
            {DHT: 0, GOSSIP: 0, SWIM: 0, RTT: 0},
        )
        self.upkeep = Upkeep(self.parts, facts)

    # -- the machine ---------------------------------------------------------------------------------------------

    def start(self, now_s: float) -> Iterable[Effect]:
        parts = self.parts
        out: list[Effect] = []
        self.upkeep.start(now_s, out)
        out += parts.kademlia.start(now_s)
        out += parts.gossip.start(now_s)
        if not parts.is_client:
            out += parts.detector.start(now_s)
        self.upkeep.knock(now_s, out)
        return out

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        parts = self.parts
        protocol = PROTOCOL_OF.get(message.__class__)
        if protocol is None:
            return ()
        parts.received[protocol] += 1
        parts.heard.heard(sender, now_s)
        if protocol is GOSSIP:
            return self._heed(parts.gossip.on_message(sender, message, now_s), now_s)
        if protocol is SWIM:
            if parts.is_client:
                return ()
            return self._heed(parts.detector.on_message(sender, message, now_s), now_s)
        if protocol is DHT:
            return self._heed(parts.kademlia.on_message(sender, message, now_s), now_s)
        out: list[Effect] = []
        if isinstance(message, Probe):
            out.append(Send(sender, Echo(message.sequence, parts.locating.encoded()), is_reliable=False))
        else:
            self.upkeep.echoed(sender, message, now_s, out)
        return out

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        parts = self.parts
        kind = timer.__class__
        if kind in _GOSSIP_TIMERS:
            return self._heed(parts.gossip.on_timer(timer, now_s), now_s)
        if kind is KademliaTimer:
            return parts.kademlia.on_timer(timer, now_s)
        if kind is MeshTimer:
            out: list[Effect] = []
            self.upkeep.tick(now_s, out)
            return out
        return self._heed(parts.detector.on_timer(timer, now_s), now_s)

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        parts = self.parts
        parts.doors.lost(endpoint_id)
        out: list[Effect] = []
        out += parts.kademlia.on_unreachable(endpoint_id, now_s)
        out += self._heed(parts.gossip.on_unreachable(endpoint_id, now_s), now_s)
        out += self._heed(parts.detector.on_unreachable(endpoint_id, now_s), now_s)
        return out

    # -- verbs ---------------------------------------------------------------------------------------------------

    def add_seeds(self, seeds: Iterable[PeerAddress], now_s: float, origin: Origin = "lan") -> Iterable[Effect]:
        """Learn of doors to the network, at any time; they are used while this node is alone. "config" ones stay."""
        out: list[Effect] = []
        self.parts.doors.add_seeds(seeds, now_s, origin)
        self.upkeep.knock(now_s, out)
        return out

    def measured(self, peer: PeerAddress, rtt_s: float, now_s: float) -> Iterable[Effect]:
        """The transport's estimate of the round trip to a peer that we have a connection with."""
        announcement = self.parts.gossip.announcement(peer.endpoint_id, now_s)
        coordinate = announcement.facts.coordinate if announcement is not None else None
        self.upkeep.measured(peer, rtt_s, coordinate, now_s)
        return ()

    def moved(self, own: PeerAddress, now_s: float) -> Iterable[Effect]:
        """We are reachable elsewhere now."""
        parts = self.parts
        parts.own = own
        parts.kademlia.readdress(own)
        parts.gossip.moved(own)
        return list(parts.detector.move(own, now_s))

    def leave(self, now_s: float) -> Iterable[Effect]:
        """Say goodbye; nothing else should follow."""
        parts = self.parts
        return [*parts.gossip.leave(now_s), *parts.detector.leave(now_s)]

    def find_providers(self, key: bytes, limit: int, now_s: float) -> tuple[int, Iterable[Effect]]:
        """Who has the content with this 32-byte key? ProviderFound for each, Found at the end, with this lookup id.

        Raises UnavailableError when too many lookups are under way, UsageError when it is not a key.
        """
        way_in = self.upkeep.way_in(now_s)
        lookup_id, effects = self.parts.kademlia.find_providers(key, limit, now_s)
        return lookup_id, [*way_in, *effects]

    def find_value(self, key: bytes, now_s: float) -> tuple[int, Iterable[Effect]]:
        """The newest signed value under a key (kademlia/keys.py value_key): ValueFound at the end. Raises as above."""
        way_in = self.upkeep.way_in(now_s)
        lookup_id, effects = self.parts.kademlia.find_value(key, now_s)
        return lookup_id, [*way_in, *effects]

    def cancel(self, lookup_id: int) -> None:
        """Whoever asked has enough."""
        self.parts.kademlia.cancel(lookup_id)

    def provide(self, key: bytes, now_s: float) -> Iterable[Effect]:
        """Publish that this node has the content, until `stop_providing`; Stored tells each time. Raises UsageError."""
        return self.parts.kademlia.provide(key, now_s)

    def stop_providing(self, key: bytes) -> None:
        """It is published no more; what was published expires."""
        self.parts.kademlia.stop_providing(key)

    def put_value(self, record: ValueRecord, now_s: float) -> Iterable[Effect]:
        """Publish a signed value (kademlia/records.py signed_value), again and again until it expires."""
        return self.parts.kademlia.put_value(record, now_s)

    def broadcast(self, topic: str, body: bytes, now_s: float) -> tuple[bytes, Iterable[Effect]]:
        """Send to everybody in a topic: its id, and what to do. Raises UsageError from a client."""
        return self.parts.gossip.broadcast(topic, body, now_s)

    # -- over a restart ------------------------------------------------------------------------------------------

    def remembered(self) -> list[PeerAddress]:
        """At most bootstrap.REMEMBERED_MAX contacts that were alive, to be kept over a restart."""
        return self.parts.doors.remembered()

    def recall(self, contacts: Iterable[PeerAddress]) -> None:
        """Those of the last life, before `start`."""
        for contact in reversed(list(contacts)):
            self.parts.doors.remember(contact)

    # -- to look at ----------------------------------------------------------------------------------------------

    @property
    def is_member(self) -> bool:
        """Whether this node knows others and is told the news."""
        return self.parts.is_member()

    @property
    def contacts_count(self) -> int:
        """How many nodes the hash table knows, or could be asked by way of."""
        return len(self.parts.kademlia.table) or self.parts.doors.count

    def known(self, endpoint_id: bytes, now_s: float) -> ContactView | None:
        """What is known of a node; None: nothing."""
        return contact_view(self.parts, endpoint_id, now_s)

    def nearest(self, count: int, now_s: float) -> list[ContactView]:
        """Up to `count` of the nodes that are announced or were heard, the nearest first."""
        return nearest_views(self.parts, count, now_s)

    def snapshot(self, now_s: float) -> dict[str, Any]:
        """Everything, for people, as JSON."""
        return snapshot(self.parts, self.upkeep.entered_s, now_s)

    # -- what one finds out and another wants to know --------------------------------------------------------------

    def _heed(self, effects: Iterable[Effect], now_s: float) -> Iterable[Effect]:
        """Listen to what the protocols tell; it is passed up all the same."""
        out: list[Effect] | None = None
        for effect in effects:
            if effect.__class__ is Tell:
                event = effect.event
                kind = event.__class__
                if kind is Announced:
                    self.upkeep.announced(event.announcement, now_s)
                    out = out or []
                elif kind is NeighbourUp or kind is Joined:
                    out = out or []
                    self.upkeep.look(now_s, out)
                    if kind is Joined:
                        self.upkeep.slow_down(now_s)
                elif kind is Measured:
                    peer = self.parts.heard.get(event.endpoint_id)
                    if peer is not None:
                        self.upkeep.measured(peer.address, event.rtt_s, event.coordinate, now_s)
                elif kind is MemberDead or kind is MemberLeft:
                    self.parts.doors.lost(event.endpoint_id)
                    self.parts.locating.forget(event.endpoint_id)
        if out is None:
            return effects
        self.upkeep.use_found(now_s, out)
        return [*effects, *out] if out else effects


def _unix(now_s: float) -> float:
    return now_s
