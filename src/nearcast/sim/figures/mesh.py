"""Whole nodes of the overlay together: they join by way of a few contacts, announce themselves, look for content.

Each newcomer knows a few nodes, of which some no longer exist. After the growth, nodes at random publish a root each,
others look for them, and some announcements are followed: whom do they reach? At the end everything is healed, and all
nodes must be members of one network again: joined to the hash table, with neighbours, and connected through them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nearcast.overlay import codec
from nearcast.overlay.gossip.announcement import NodeFacts
from nearcast.overlay.gossip.events import Announced
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC
from nearcast.overlay.kademlia.events import Found, ProviderFound
from nearcast.overlay.mesh import Mesh
from nearcast.overlay.mesh_events import Alone, Entered
from nearcast.sim.byzantine import Byzantine, machine_of
from nearcast.sim.peer import Peer
from nearcast.sim.regions import regions_of
from nearcast.sim.run import Run
from nearcast.sim.sizes import SampledSizes
from nearcast.sim.tables import bounded
from nearcast.transport.base import PeerAddress
from nearcast.wire import HEADER_BYTES

UNIX_S = 1_767_225_600.0  # 2026-01-01: records are dated
SETTLED_S = 30.0  # who came so long ago is expected to work
ANSWER_S = 20.0  # before the end: the last lookup is over by then
FRESH_S = 2.0  # an announcement is first heard within so long
REACH_S = 30.0  # within which a followed announcement should be everywhere; guess: ten times what a tree needs


@dataclass(frozen=True, slots=True)
class MeshScenario:
    """[settings]. `dead_seeds` of a newcomer's `seeds` no longer exist. `every`: one message in so many is weighed."""

    join_over_s: float = bounded(120.0, least=0.1)
    seeds: int = bounded(4, least=1, most=64)
    dead_seeds: int = bounded(1, most=64)
    regions: int = bounded(6, least=1, most=32)
    keys: int = bounded(200, least=1)
    lookups: int = bounded(500, least=1)
    followed: int = bounded(20)
    every: int = bounded(64, least=1)


@dataclass(slots=True)
class Asked:
    """A lookup: who asked when, for which provider; what came of it."""

    at_s: float
    provider: bytes
    asker: Peer
    hops: int | None = None
    first_s: float = 0.0
    is_over: bool = False


@dataclass(slots=True)
class Followed:
    """One announcement, since it was first heard: the indices of those who have it."""

    issued_ms: int
    since_s: float
    reached: dict[int, None] = field(default_factory=dict)


class Measurement:
    """One network of one run."""

    def __init__(self, run: Run, settings: MeshScenario) -> None:
        self.run = run
        self.settings = settings
        self.simulation = simulation = run.new_simulation(size_of=SampledSizes(codec.size_bytes, settings.every))
        simulation.epoch_s = UNIX_S
        self.regions = regions_of(simulation.network.latency, settings.regions)
        self.entered_s: list[float] = []
        self.alone = 0
        self.providers: list[tuple[bytes, Peer]] = []
        self.asked: dict[tuple[int, int], Asked] = {}
        self.followed: dict[bytes, Followed | None] = {}  # by author; None: nothing of it was heard since
        self.follow_since_s = 0.0
        simulation.observe(Entered, lambda peer, event, now_s: self.entered_s.append(event.duration_s))
        simulation.observe(Alone, self._is_alone)
        simulation.observe(ProviderFound, self._provider_found)
        simulation.observe(Found, self._found)
        simulation.observe(Announced, self._announced)

    # -- peers ---------------------------------------------------------------------------------------------------

    def make(self) -> Peer:
        """A newcomer."""
        run, simulation = self.run, self.simulation
        identity = run.identities.new()
        site = run.rng.randrange(simulation.network.latency.sites)
        facts = NodeFacts(price_per_gib=run.rng.randrange(20_000), mbps=run.rng.choice((50, 200, 1000)))
        facts = NodeFacts(facts.price_per_gib, 0, facts.mbps, b"", self.regions[site])
        mesh = Mesh(
            identity.address,
            lambda: facts,
            sign=identity.sign,
            verify=run.identities.verify,
            rng=run.rng_of(identity.address.endpoint_id),
        )
        seeds = self._seeds()
        peer = simulation.add(run.wrap(mesh, through=_through_codec), identity.address, site=site)
        simulation.give(peer, mesh.add_seeds(seeds, peer.clock_s(simulation.now_s)))
        return peer

    def _seeds(self) -> list[PeerAddress]:
        alive, settings = self.simulation.alive, self.settings
        count = min(settings.seeds - settings.dead_seeds, len(alive))
        seeds = [self.run.rng.choice(alive).address for _ in range(max(count, min(1, len(alive))))]
        return [*(self.simulation.new_address() for _ in range(settings.dead_seeds)), *seeds]

    def honest(self) -> Peer:
        """A random one that has been here for a while and does not lie."""
        now_s, rng, alive = self.simulation.now_s, self.run.rng, self.simulation.alive
        for _ in range(1000):
            peer = rng.choice(alive)
            if now_s - peer.joined_s >= SETTLED_S and not isinstance(peer.machine, Byzantine):
                return peer
        return peer

    # -- what they do --------------------------------------------------------------------------------------------

    def publish(self) -> None:
        """Every key gets a provider, which stays."""
        for _ in range(self.settings.keys):
            key, peer = self.run.rng.randbytes(32), self.honest()
            self.providers.append((key, peer))
            self.simulation.give(peer, _mesh(peer).provide(key, peer.clock_s(self.simulation.now_s)))

    def look(self, begin_s: float, end_s: float) -> None:
        """Lookups, evenly from then to then; and in the first half, announcements to follow."""
        lookups, followed = self.settings.lookups, self.settings.followed
        for at in range(lookups):
            self.simulation.call_at(begin_s + (end_s - begin_s) * at / lookups, self._ask)
        self.simulation.call_at(begin_s, lambda: self._follow(followed))

    def _ask(self) -> None:
        simulation = self.simulation
        key, provider = self.run.rng.choice(self.providers)
        asker = self.honest()
        if asker is provider:
            return
        lookup_id, effects = _mesh(asker).find_providers(key, 20, asker.clock_s(simulation.now_s))
        self.asked[asker.index, lookup_id] = Asked(simulation.now_s, provider.endpoint_id, asker)
        simulation.give(asker, effects)

    def _follow(self, count: int) -> None:
        self.follow_since_s = self.simulation.now_s
        for _ in range(count):
            self.followed[self.honest().endpoint_id] = None

    # -- what they tell ------------------------------------------------------------------------------------------

    def _is_alone(self, peer: Peer, event: Alone, now_s: float) -> None:
        self.alone += 1

    def _provider_found(self, peer: Peer, event: ProviderFound, now_s: float) -> None:
        asked = self.asked.get((peer.index, event.lookup_id))
        if asked is not None and asked.hops is None and event.record.owner == asked.provider:
            asked.hops, asked.first_s = event.hops, now_s - asked.at_s

    def _found(self, peer: Peer, event: Found, now_s: float) -> None:
        asked = self.asked.get((peer.index, event.lookup_id))
        if asked is not None:
            asked.is_over = True

    def _announced(self, peer: Peer, event: Announced, now_s: float) -> None:
        announcement = event.announcement
        origin = announcement.contact.endpoint_id
        if origin not in self.followed or event.topic != GLOBAL_TOPIC:
            return
        followed = self.followed[origin]
        if followed is None:
            author = self.simulation.peers[origin]
            issued_s = announcement.issued_ms / 1000
            is_fresh = author.clock_s(now_s) - issued_s < FRESH_S and issued_s >= author.clock_s(self.follow_since_s)
            if not is_fresh or not author.is_alive or now_s > self.run.duration_s - REACH_S:
                return  # an old one that was handed on, one that was half way when we began, or too late to be judged
            followed = self.followed[origin] = Followed(announcement.issued_ms, now_s)
        if announcement.issued_ms == followed.issued_ms and now_s <= followed.since_s + REACH_S:
            followed.reached[peer.index] = None

    # -- what came of it -----------------------------------------------------------------------------------------

    def missing(self) -> str | None:
        """What keeps this from being one network in which every node is a member."""
        peers = [peer for peer in self.simulation.alive if self.simulation.now_s - peer.joined_s >= SETTLED_S]
        outside = sum(not _mesh(peer).is_member for peer in peers)
        if outside:
            return f"{outside} of {len(peers)} are no members"
        parts = components({peer.endpoint_id: neighbours(peer) for peer in self.simulation.alive})
        return f"the network is in {parts} parts" if parts > 1 else None

    def report(self) -> None:
        """The figures, as they are before healing."""
        report, simulation = self.run.report, self.simulation
        members = [peer for peer in simulation.alive if simulation.now_s - peer.joined_s >= SETTLED_S]
        report.figure("members", sum(_mesh(peer).is_member for peer in members) / max(len(members), 1), "share")
        report.quantiles("entered", self.entered_s, "s")
        judged = [asked for asked in self.asked.values() if asked.is_over or asked.asker.is_alive]
        good = [asked for asked in judged if asked.hops is not None]
        report.figure("lookup_success", len(good) / max(len(judged), 1), "share")
        report.quantiles("hops", [asked.hops for asked in good if asked.hops is not None], "hops")
        report.quantiles("first_provider", [asked.first_s for asked in good], "s")
        followed = [each for each in self.followed.values() if each is not None]
        if followed:
            reach = [len(each.reached) / max(len(members) - 1, 1) for each in followed]
            report.figure("announcement_reach_mean", min(sum(reach) / len(reach), 1.0), "share")
            report.figure("announcement_reach_worst", min(*reach, 1.0), "share")
        report.figure("announcements_followed", len(followed))
        report.quantiles("contacts", [_mesh(peer).contacts_count for peer in members], "contacts")
        report.figure("alone", self.alone)
        report.figure("replaced", self.run.replaced)
        report.distribution("entered", self.entered_s, x="seconds", is_log_x=True)
        report.distribution("first provider", [asked.first_s for asked in good], x="seconds")


def run(run: Run) -> None:
    """Grow, publish, look, heal."""
    settings = run.settings(MeshScenario)
    measurement = Measurement(run, settings)
    run.grow(measurement.make, over_s=settings.join_over_s)
    run.until(settings.join_over_s + SETTLED_S)
    measurement.publish()
    begin_s = run.simulation.now_s + SETTLED_S
    run.churn(measurement.make, immortal=[peer for _, peer in measurement.providers])
    measurement.look(begin_s, max(run.duration_s - ANSWER_S, begin_s))
    run.until(begin_s)
    quiet = _sent(run)
    run.until(max(run.duration_s, begin_s + ANSWER_S))
    measurement.report()
    sent_bytes, messages, peer_seconds = (after - before for before, after in zip(quiet, _sent(run), strict=True))
    run.report.figure("traffic", sent_bytes / peer_seconds, "B/s")
    run.report.figure("messages", messages / peer_seconds, "/s")
    run.liveness(measurement.missing, pardons=True)


def neighbours(peer: Peer) -> Iterable[bytes]:
    """Whom a peer has for neighbours in the global topic."""
    return list(_mesh(peer).parts.gossip.member(GLOBAL_TOPIC).membership.active)


def components(links: dict[bytes, Iterable[bytes]]) -> int:
    """How many parts a network has; links count in both directions."""
    part = {node: node for node in links}

    def root(node: bytes) -> bytes:
        while part[node] != node:
            part[node] = node = part[part[node]]
        return node

    for node, others in links.items():
        for other in others:
            if other in part:
                part[root(node)] = root(other)
    return sum(node == above for node, above in part.items())


def _through_codec(message: codec.Message) -> codec.Message:
    """As it arrives on the wire. Raises RemoteError when it would not."""
    return codec.parse_payload(codec.frame(message)[HEADER_BYTES:])


def _mesh(peer: Peer) -> Mesh:
    return machine_of(peer, Mesh)


def _sent(run: Run) -> tuple[float, float, float]:
    """Bytes and messages sent so far, and the seconds that all peers together have lived."""
    simulation = run.simulation
    lived_s = simulation.lived_s + sum(simulation.now_s - peer.joined_s for peer in simulation.alive)
    return sum(simulation.bytes_of_kind.values()), sum(simulation.sent_of_kind.values()), lived_s
