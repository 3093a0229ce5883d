"""A whole node of the overlay among others, in simulated time: getting in, staying in, finding, hostile neighbours."""

import random
from collections.abc import Callable

import pytest

from nearcast.config import OverlayConfig
from nearcast.errors import UsageError
from nearcast.overlay.failure.choosing import DETECTORS
from nearcast.overlay.failure.messages import Nack
from nearcast.overlay.gossip.announcement import NodeFacts
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC
from nearcast.overlay.kademlia.events import Found
from nearcast.overlay.kademlia.keys import node_id
from nearcast.overlay.machine import Send
from nearcast.overlay.measuring import Echo, Probe
from nearcast.overlay.mesh import Mesh
from nearcast.overlay.mesh_events import Alone, Entered
from nearcast.overlay.settings import MeshSettings, mesh_settings
from nearcast.sim.identities import Identities
from nearcast.sim.latency import constant, generated
from nearcast.sim.network import Network
from nearcast.sim.partition import Partition
from nearcast.sim.peer import Peer
from nearcast.sim.simulation import Simulation
from nearcast.transport.base import PeerAddress

KEY = bytes(range(32))


class World:
    """Meshes that know each other by what the test tells them. `entered`: how long each took to get in."""

    def __init__(self, seed: int = 1, *, rtt_s: float | None = 0.05) -> None:
        matrix = generated(20, random.Random(seed)) if rtt_s is None else constant(rtt_s)
        self.simulation = Simulation(seed, Network(matrix, random.Random(seed)))
        self.identities = Identities(seed)
        self.entered: dict[bytes, float] = {}
        self.alone: list[bytes] = []
        self.found: list[Found] = []
        self.simulation.observe(Entered, self._note_entered)
        self.simulation.observe(Alone, lambda peer, event, now_s: self.alone.append(peer.endpoint_id))
        self.simulation.observe(Found, lambda peer, event, now_s: self.found.append(event))

    def _note_entered(self, peer: Peer, event: Entered, now_s: float) -> None:
        self.entered[peer.endpoint_id] = event.duration_s

    def add(
        self,
        *seeds: PeerAddress,
        region: str = "eu",
        is_client: bool = False,
        recalled: list[PeerAddress] | None = None,
        settings: MeshSettings | None = None,
    ) -> Peer:
        identity = self.identities.new()
        mesh = Mesh(
            identity.address,
            lambda: NodeFacts(price_per_gib=5, load_permille=250, mbps=100, region=region),
            sign=identity.sign,
            verify=self.identities.verify,
            rng=random.Random(f"{self.simulation.seed}/{identity.address.endpoint_id.hex()}"),
            settings=settings,
            is_client=is_client,
        )
        mesh.recall(recalled or [])
        peer = self.simulation.add(mesh, identity.address)
        self.simulation.give(peer, mesh.add_seeds(seeds, self.simulation.now_s))
        return peer

    def grow(self, count: int, region: Callable[[int], str] = lambda at: "eu") -> list[Peer]:
        """One after the other, each with the first as its seed."""
        peers = [self.add(region=region(0))]
        for at in range(1, count):
            self.run(0.2)
            peers.append(self.add(peers[0].address, region=region(at)))
        return peers

    def dead(self, count: int) -> list[PeerAddress]:
        """Contacts where nobody is."""
        return [self.identities.new().address for _ in range(count)]

    def run(self, seconds: float) -> None:
        self.simulation.run_until(self.simulation.now_s + seconds)

    def members(self, peers: list[Peer]) -> int:
        return sum(mesh(peer).is_member for peer in peers)


def mesh(peer: Peer) -> Mesh:
    assert isinstance(peer.machine, Mesh)
    return peer.machine


def test_with_one_living_seed_among_many_dead_ones_a_node_is_in_within_seconds() -> None:
    world = World()
    peers = world.grow(10)
    world.run(10)
    for at in range(5):
        newcomer = world.add(*world.dead(12), peers[at].address, *world.dead(12))
        world.run(15)
        assert world.entered[newcomer.endpoint_id] < 12
    assert world.members(peers) == 10


def test_a_node_whose_seed_comes_late_waits_for_it() -> None:
    world = World()
    lonely = world.add(*world.dead(3))
    world.run(120)
    assert not mesh(lonely).is_member
    late = world.add(lonely.address)
    world.run(3)
    assert mesh(lonely).is_member
    assert mesh(late).is_member


def test_all_are_mutually_findable_and_know_what_the_others_announce() -> None:
    world = World(rtt_s=None)
    peers = world.grow(24)
    world.run(60)
    assert world.members(peers) == 24
    simulation = world.simulation
    for at, peer in enumerate(peers[:5]):
        key = bytes([at]) * 32
        simulation.give(peer, mesh(peer).provide(key, simulation.now_s))
        world.run(5)
        lookup_id, effects = mesh(peers[-1 - at]).find_providers(key, 3, simulation.now_s)
        simulation.give(peers[-1 - at], effects)
        world.run(5)
        assert [record.provider for record in world.found[-1].providers] == [peer.address]
        assert world.found[-1].lookup_id == lookup_id
    view = mesh(peers[3]).known(peers[20].endpoint_id, simulation.now_s)
    assert view is not None
    assert (view.price, view.load, view.mbps, view.region, view.state) == (5, 0.25, 100, "eu", "alive")
    assert view.rtt_s is not None
    assert view.as_json(simulation.now_s)["endpoint_id"] == peers[20].endpoint_id.hex()
    nearest = mesh(peers[3]).nearest(5, simulation.now_s)
    assert [known.rtt_s for known in nearest] == sorted(known.rtt_s or 9 for known in nearest)
    assert len(nearest) == 5
    assert mesh(peers[3]).known(bytes(32), simulation.now_s) is None


def test_each_region_has_its_own_topic_and_its_own_group() -> None:
    world = World()
    peers = world.grow(24, lambda at: ("eu", "us")[at % 2])
    world.run(200)
    for at, peer in enumerate(peers):
        parts = mesh(peer).parts
        members = {known.endpoint_id for known in parts.detector.members()}
        assert members == {other.endpoint_id for other in peers[at % 2 :: 2] if other is not peer}
        neighbours = parts.gossip.member(f"region/{('eu', 'us')[at % 2]}").membership.active
        assert set(neighbours) <= members


def test_a_region_with_many_nodes_falls_into_cells() -> None:
    world = World()
    settings = MeshSettings(members_max=9, resize_s=20.0)
    peers = [world.add(settings=settings)]
    for _ in range(31):
        world.run(0.2)
        peers.append(world.add(peers[0].address, settings=settings))
    world.run(240)
    by_cell: dict[tuple[int, int], set[bytes]] = {}
    for peer in peers:
        bits = mesh(peer).parts.cell.bits
        assert bits > 0
        by_cell.setdefault((bits, node_id(peer.endpoint_id) >> (256 - bits)), set()).add(peer.endpoint_id)
    for peer in peers:
        parts = mesh(peer).parts
        members = {known.endpoint_id for known in parts.detector.members()}
        own_cell = by_cell[parts.cell.bits, node_id(peer.endpoint_id) >> (256 - parts.cell.bits)]
        assert all(parts.cell.admits(member) for member in members)
        assert len(members) >= min(len(own_cell) - 1, 9) * 0.8


def test_who_has_lost_everybody_comes_back_through_whom_it_remembers() -> None:
    world = World()
    peers = world.grow(12)
    world.run(120)
    victim = peers[5]
    cut_off(world, victim)
    world.run(200)
    assert world.alone == [victim.endpoint_id]
    assert not mesh(victim).is_member
    world.simulation.network.partition = None
    world.run(30)
    assert mesh(victim).is_member


def test_two_halves_find_each_other_again() -> None:
    world = World()
    peers = world.grow(20)
    world.run(120)
    cut_off(world, *peers[::2])
    world.run(250)
    half = {peer.endpoint_id for peer in peers[::2]}
    assert all(set(neighbours(peer)) <= half for peer in peers[::2])
    world.simulation.network.partition = None
    world.run(150)
    reached = {peers[0].endpoint_id}
    wave = [peers[0].endpoint_id]
    while wave:
        found = [known for at in wave for known in neighbours(world.simulation.peers[at]) if known not in reached]
        reached.update(found)
        wave = list(dict.fromkeys(found))
    assert reached == {peer.endpoint_id for peer in peers}
    assert all(len(mesh(peer).parts.detector.members()) == 19 for peer in peers)


def test_a_client_finds_and_listens_and_is_in_nobodys_tables() -> None:
    world = World()
    peers = world.grow(12)
    world.run(30)
    client = world.add(peers[3].address, is_client=True)
    world.run(60)
    simulation = world.simulation
    assert mesh(client).is_member
    assert len(mesh(client).parts.gossip.announcements(simulation.now_s)) == 12
    simulation.give(peers[1], mesh(peers[1]).provide(KEY, simulation.now_s))
    world.run(3)
    simulation.give(client, mesh(client).find_providers(KEY, 1, simulation.now_s)[1])
    world.run(3)
    assert [record.provider for record in world.found[-1].providers] == [peers[1].address]
    for peer in peers:
        parts = mesh(peer).parts
        assert parts.kademlia.table.get(client.endpoint_id) is None
        assert parts.gossip.announcement(client.endpoint_id, simulation.now_s) is None
        assert parts.detector.state_of(client.endpoint_id) == "unknown"
        assert client.endpoint_id not in parts.gossip.member(GLOBAL_TOPIC).membership.active
    with pytest.raises(UsageError):
        mesh(client).broadcast(GLOBAL_TOPIC, b"text", simulation.now_s)


def test_a_client_finds_at_once_where_it_has_just_been_let_in() -> None:
    world = World()
    peers = world.grow(12)
    world.run(30)
    simulation = world.simulation
    simulation.give(peers[1], mesh(peers[1]).provide(KEY, simulation.now_s))
    world.run(3)
    client = world.add(*world.dead(2), peers[3].address, is_client=True)
    simulation.give(client, mesh(client).find_providers(KEY, 1, simulation.now_s)[1])
    world.run(5)
    assert [record.provider for record in world.found[-1].providers] == [peers[1].address]


def test_what_was_remembered_lets_a_node_in_after_a_restart() -> None:
    world = World()
    peers = world.grow(10)
    world.run(120)
    remembered = mesh(peers[4]).remembered()
    assert remembered
    world.simulation.crash(peers[4])
    again = world.add(recalled=[*world.dead(5), *remembered])
    world.run(15)
    assert mesh(again).is_member


def test_a_dead_member_is_noticed_and_one_that_left_is_gone() -> None:
    world = World()
    peers = world.grow(10)
    world.run(60)
    simulation = world.simulation
    simulation.crash(peers[3])
    simulation.leave(peers[4], mesh(peers[4]).leave(simulation.now_s))
    world.run(120)
    for peer in simulation.alive:
        for gone in (peers[3], peers[4]):
            view = mesh(peer).known(gone.endpoint_id, simulation.now_s)
            assert view is None or view.state == "dead"


def test_the_transports_word_on_distance_counts() -> None:
    world = World()
    peers = world.grow(6)
    world.run(60)
    now_s = world.simulation.now_s
    samples = mesh(peers[1]).snapshot(now_s)["coordinate"]["samples"]
    mesh(peers[1]).measured(peers[2].address, 0.3, now_s)
    view = mesh(peers[1]).known(peers[2].endpoint_id, now_s)
    assert view is not None
    assert view.is_measured
    assert view.rtt_s is not None
    assert view.rtt_s > 0.05
    assert mesh(peers[1]).snapshot(now_s)["coordinate"]["samples"] == samples + 1


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("coordinates", ["serf", "nearcast"])
def test_detector_and_coordinates_can_be_chosen(detector: str, coordinates: str) -> None:
    world = World(rtt_s=None)
    settings = MeshSettings(detector=detector, coordinates=coordinates)
    peers = [world.add(settings=settings)]
    for _ in range(5):
        peers.append(world.add(peers[0].address, settings=settings))
        world.run(1)
    world.run(90)
    world.simulation.crash(peers[2])
    world.run(90)
    for peer in world.simulation.alive:
        parts = mesh(peer).parts
        assert {known.endpoint_id for known in parts.detector.members()} == {
            other.endpoint_id for other in world.simulation.alive if other is not peer
        }
        assert detector == "van_renesse" or parts.locating.samples > 4


def test_the_operators_wishes_are_followed() -> None:
    config = OverlayConfig(detector="van-renesse", coordinates="pharos", members_max=12, provided_max=7)
    settings = mesh_settings(config)
    assert (settings.detector, settings.coordinates, settings.members_max) == ("van_renesse", "pharos", 12)
    assert settings.kademlia.provided_max == 7
    assert mesh_settings(OverlayConfig()).detector in DETECTORS


def test_a_settled_coordinate_hears_each_peer_seldom() -> None:
    world = World()
    peers = world.grow(4)
    world.run(10)
    upkeep, locating = mesh(peers[0]).upkeep, mesh(peers[0]).parts.locating
    settings, now_s = mesh(peers[0]).parts.settings, world.simulation.now_s
    coordinate = mesh(peers[1]).parts.locating.encoded()
    while not locating.is_settled:
        upkeep.measured(peers[1].address, 0.05, coordinate, now_s)
    settled = locating.samples
    upkeep.measured(peers[1].address, 0.05, coordinate, now_s + 1)
    assert locating.samples == settled
    upkeep.measured(peers[1].address, 0.05, coordinate, now_s + settings.settled_sample_s)
    assert locating.samples == settled + 1


def test_who_comes_into_a_large_network_announces_itself_as_seldom_as_its_size_demands() -> None:
    world = World()
    peers = world.grow(60)
    world.run(20)
    for peer in peers[30:]:
        pace = mesh(peer).parts.gossip.member(GLOBAL_TOPIC).pace
        assert pace.nodes() > 12  # long before so many have announced themselves
    announced = len(mesh(peers[0]).parts.gossip.announcements(world.simulation.now_s))
    assert announced < 60


def test_messages_out_of_nowhere_change_nothing_and_raise_nothing() -> None:
    world = World()
    peers = world.grow(4)
    world.run(10)
    stranger = PeerAddress(bytes(32))
    now_s = world.simulation.now_s
    target = mesh(peers[0])
    table = len(target.parts.kademlia.table)
    for message in (Echo(7, b"nonsense"), Nack(3), object()):
        assert not list(target.on_message(stranger, message, now_s))
    [answer] = target.on_message(stranger, Probe(9), now_s)
    assert isinstance(answer, Send)
    assert isinstance(answer.message, Echo)
    assert len(target.parts.kademlia.table) == table


def test_the_same_seed_gives_the_same_trace() -> None:
    def digest(seed: int) -> str:
        world = World(seed, rtt_s=None)
        peers = world.grow(8)
        world.run(30)
        world.simulation.crash(peers[2])
        world.run(60)
        return world.simulation.trace.digest()

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_nothing_raises_under_churn_and_loss() -> None:
    world = World()
    peers = world.grow(10)
    world.simulation.network.change(loss=0.1, duplication=0.05, reordering=0.1)
    dice = random.Random(1)
    for _ in range(20):
        world.run(5)
        world.simulation.crash(dice.choice(world.simulation.alive))
        peers.append(world.add(*world.dead(4), dice.choice(world.simulation.alive).address))
    world.simulation.network.change(loss=0, duplication=0, reordering=0)
    world.run(60)
    assert world.members(world.simulation.alive) == 10


def neighbours(peer: Peer) -> list[bytes]:
    return list(mesh(peer).parts.gossip.member(GLOBAL_TOPIC).membership.active)


def cut_off(world: World, *side: Peer) -> None:
    """Nobody on this side and nobody on the other hears the other's."""
    for peer in side:
        peer.side = 1
    world.simulation.network.partition = Partition()
