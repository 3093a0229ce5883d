"""Nodes that start together find one of the others first: the islands that they are then must become one network."""

import random

from tests.overlay.test_mesh import KEY, World, mesh

from nearcast.overlay.gossip.topics import GLOBAL_TOPIC
from nearcast.overlay.kademlia.events import ProviderFound
from nearcast.sim.figures.mesh import components
from nearcast.sim.peer import Peer


def parts_of(peers: list[Peer]) -> int:
    """How many parts the gossip's links leave the network in."""
    members = [mesh(peer).parts.gossip.member(GLOBAL_TOPIC) for peer in peers]
    links = [list(member.membership.active) for member in members]
    return components({peer.endpoint_id: active for peer, active in zip(peers, links, strict=True)})


def test_all_who_start_at_once_with_a_few_seeds_each_are_one_network() -> None:
    world, rng = World(rtt_s=None), random.Random(3)
    peers = [world.add() for _ in range(40)]
    for peer in peers:
        seeds = [each.address for each in rng.sample(peers, 3)]
        world.simulation.give(peer, mesh(peer).add_seeds(seeds, world.simulation.now_s))
    world.run(90)
    assert world.members(peers) == 40
    assert parts_of(peers) == 1
    assert min(mesh(peer).contacts_count for peer in peers) >= 20


def test_a_seed_of_another_island_that_is_told_late_joins_both_and_what_was_told_is_found() -> None:
    world = World()
    islands = [world.grow(6), world.grow(6)]
    simulation = world.simulation
    simulation.give(islands[0][1], mesh(islands[0][1]).provide(KEY, simulation.now_s))
    world.run(200)
    peers = [*islands[0], *islands[1]]
    assert parts_of(peers) == 2
    joiner = islands[1][3]
    simulation.give(joiner, mesh(joiner).add_seeds([islands[0][4].address], simulation.now_s))
    world.run(200)
    assert parts_of(peers) == 1
    assert all(mesh(peer).contacts_count == 11 for peer in peers)
    found: list[bytes] = []
    simulation.observe(ProviderFound, lambda peer, event, now_s: found.append(event.record.owner))
    for asker in islands[1]:
        _, effects = mesh(asker).find_providers(KEY, 1, simulation.now_s)
        simulation.give(asker, effects)
    world.run(10)
    assert found == [islands[0][1].endpoint_id] * 6


def test_a_seed_that_is_met_inside_is_not_knocked_at() -> None:
    world = World()
    peers = world.grow(5)
    world.run(60)
    joiner = peers[4]
    simulation = world.simulation
    inside = [peer.address for peer in peers if peer is not joiner]
    simulation.give(joiner, mesh(joiner).add_seeds(inside, simulation.now_s))
    assert any(mesh(joiner).parts.doors.is_unmet(address.endpoint_id) for address in inside)
    assert mesh(joiner).parts.doors.unmet(mesh(joiner).parts.is_inside, simulation.now_s) is None
    assert not any(mesh(joiner).parts.doors.is_unmet(address.endpoint_id) for address in inside)


def test_a_dead_seed_is_left_alone_for_longer_and_longer() -> None:
    world = World()
    peers = world.grow(5)
    world.run(10)
    joiner, simulation = peers[4], world.simulation
    simulation.give(joiner, mesh(joiner).add_seeds(world.dead(1), simulation.now_s))
    asked = 0
    while simulation.now_s < 1200:
        world.run(10)
        asked += mesh(joiner).parts.doors.unmet(mesh(joiner).parts.is_inside, simulation.now_s) is not None
    assert asked <= 1200 / 120 + 8
