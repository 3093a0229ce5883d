"""How much a node holds of everything that has a bound, and what the bound is. Invariant 11 is that none is passed.

`glance` costs little and is taken of a node whenever something has reached it; `store_bounds` asks its store.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from nearcast.config import OverlayConfig
from nearcast.node.running import Node
from nearcast.node.serving import CONNECTIONS_MAX as ACCEPTED_MAX
from nearcast.overlay.bootstrap import REMEMBERED_MAX
from nearcast.overlay.failure.rumours import RUMOURS_QUEUED_MAX
from nearcast.overlay.failure.settings import SwimSettings
from nearcast.overlay.gossip.member import Member as Topic
from nearcast.overlay.gossip.plumtree import QUEUE_MAX as IDS_QUEUED_MAX
from nearcast.overlay.gossip.settings import GossipSettings
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC
from nearcast.overlay.mesh import Mesh
from nearcast.overlay.peers import PEERS_MAX
from nearcast.payments.till import CUSTOMERS_MAX
from nearcast.transport.base import STREAMS_PER_CONNECTION_MAX
from nearcast.transport.memory import MemoryEndpoint
from nearcast.transport.memory_pipe import STREAM_BUFFER_BYTES
from nearcast.transport.pool import CONNECTIONS_MAX

if TYPE_CHECKING:
    from nearcast.sim.whole.member import Member

QUOTA_ROUND_S: Final = 4.0  # a cache overshoots its quota by what arrives in two rounds of its upkeep
COUNTERS_MAX: Final = 1_000  # of telemetry, by name

Bound = tuple[str, int, int]
"""What, how much of it there is, the most there may be."""


def glance(node: Node) -> Iterator[Bound]:
    """Whatever is in memory."""
    endpoint = node.endpoint
    assert isinstance(endpoint, MemoryEndpoint)
    yield "connections", len(endpoint.connections), ACCEPTED_MAX + CONNECTIONS_MAX + 1
    yield "dialled connections", node.finder.pool.count, CONNECTIONS_MAX + 1
    yield "known peers", len(node.peers.known()), PEERS_MAX
    yield "counters", len(node.telemetry.counters), COUNTERS_MAX
    for connection in endpoint.connections:
        streams, held_bytes = connection.load()
        yield "streams of a connection", streams, STREAMS_PER_CONNECTION_MAX
        yield "unread bytes of a stream", held_bytes, STREAM_BUFFER_BYTES
    earning = None if node.money is None else node.money.earning
    if earning is not None:
        yield "customers", len(earning.till.customers()), CUSTOMERS_MAX
    service = None if node.meshing is None else node.meshing.service
    if service is not None:
        yield "overlay links", len(service.links.snapshot()), node.config.overlay.links_max
        yield from mesh_bounds(service.mesh, node.config.overlay)


def store_bounds(member: "Member", node: Node, size_bytes_max: int) -> Iterator[Bound]:
    """What only its disk knows."""
    usage = node.store.usage()
    spare_bytes = int(QUOTA_ROUND_S * member.host.down_bytes_per_s) + 2 * size_bytes_max
    yield "bytes of cached content", usage.cached_bytes, usage.quota_bytes + spare_bytes


def mesh_bounds(mesh: Mesh, config: OverlayConfig) -> Iterator[Bound]:
    """Of the overlay's machines."""
    parts, swim = mesh.parts, SwimSettings()
    table, watched, settings = parts.kademlia.snapshot(), parts.detector.snapshot(), parts.settings.kademlia
    yield "contacts of the hash table", table["contacts"], settings.contacts_max
    yield "spare contacts", table["spares"], settings.spares_max
    yield "records of others", table["records"], settings.records_max
    yield "provided roots", table["provided"], config.provided_max
    yield "lookups", table["lookups"], settings.lookups_max + settings.publishing_max + 1  # callers', its own, a join
    yield "watched members", watched["members"], config.members_max
    yield "suspicions", watched.get("suspected", 0), config.members_max + swim.tombstones_max
    yield "remembered dead", watched.get("dead", 0), swim.tombstones_max
    yield "rumours", watched.get("rumours", 0), RUMOURS_QUEUED_MAX
    yield "heard peers", len(parts.heard), parts.settings.heard_max
    yield "doors", parts.doors.count, PEERS_MAX + REMEMBERED_MAX
    for topic in filter(None, (GLOBAL_TOPIC, parts.region_topic)):
        yield from _topic_bounds(parts.gossip.member(topic), parts.settings.gossip)


def _topic_bounds(topic: Topic, settings: GossipSettings) -> Iterator[Bound]:
    views, tree = topic.membership, topic.tree
    neighbours_max = settings.membership.active_max + settings.membership.listeners_max
    yield "neighbours of a topic", len(views.active), settings.membership.active_max
    yield "passive contacts of a topic", len(views.passive), settings.membership.passive_max
    yield "listeners of a topic", len(views.listeners), settings.membership.listeners_max
    yield "announcements kept", len(topic.directory), settings.directory_max
    yield "ids seen", len(tree.seen), 2 * settings.seen_max
    yield "payloads kept for grafts", tree.kept, settings.tree.recent_max
    yield "ids announced and missing", tree.missing, settings.tree.missing_max
    yield "links of a tree", len(tree.links), neighbours_max
    for link in tree.links.values():
        yield "ids waiting on a link", len(link.queue) + len(link.late), 2 * IDS_QUEUED_MAX
