"""Walks: whom they ask, when they are over, and that liars do not keep them from the honest."""

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.overlay.kademlia.network import contact, endpoint

from nearcast.overlay.kademlia.keys import SPACE, node_id
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.walk import Candidate, Walk
from nearcast.transport.base import PeerAddress

SETTINGS = KademliaSettings()
OWN = endpoint(0)
TARGET = node_id(endpoint(99_999))


def by_distance(peers: list[PeerAddress]) -> list[PeerAddress]:
    return sorted(peers, key=lambda peer: node_id(peer.endpoint_id) ^ TARGET)


class World:
    """Peers that answer a walk at once. `knows`: whom each of them names."""

    def __init__(self, count: int, seed: int = 1, far_known: int = 60) -> None:
        self.far_known = far_known
        self.rng = random.Random(seed)
        self.peers = [contact(number) for number in range(1, count + 1)]
        self.dead: set[bytes] = set()
        self.lies: dict[bytes, list[PeerAddress]] = {}

    def named_by(self, peer: PeerAddress) -> list[PeerAddress]:
        if peer.endpoint_id in self.lies:
            return self.lies[peer.endpoint_id]
        own = node_id(peer.endpoint_id)
        near = sorted(self.peers, key=lambda other: node_id(other.endpoint_id) ^ own)[:40]
        far = self.rng.sample(self.peers, min(self.far_known, len(self.peers)))
        return by_distance(list(dict.fromkeys([*near, *far])))[:20]

    def walk(self, start: list[PeerAddress], settings: KademliaSettings = SETTINGS) -> Walk:
        walk = Walk(TARGET, by_distance(start), OWN, settings)
        waiting: list[Candidate] = []
        while True:
            due = walk.next()
            waiting += due
            if not waiting:
                assert walk.is_over()
                return walk
            candidate = waiting.pop(0)
            if candidate.address.endpoint_id in self.dead:
                if self.rng.random() < 0.5:
                    walk.is_late(candidate)
                walk.failed(candidate)
            else:
                walk.answered(candidate, self.named_by(candidate.address))


def closest_of(walk: Walk) -> list[PeerAddress]:
    return [candidate.address for candidate in walk.closest_answered(20)]


def test_a_walk_finds_the_closest_of_all() -> None:
    world = World(500)
    walk = world.walk(world.rng.sample(world.peers, 20))
    assert closest_of(walk) == by_distance(world.peers)[:20]
    assert walk.asked < 60


def test_the_dead_are_passed_over() -> None:
    world = World(500)
    world.dead = {peer.endpoint_id for peer in world.rng.sample(world.peers, 200)}
    living = [peer for peer in world.peers if peer.endpoint_id not in world.dead]
    walk = world.walk(world.rng.sample(world.peers, 20))
    assert closest_of(walk)[:10] == by_distance(living)[:10]


def test_nobody_is_asked_twice_and_no_more_than_may_be() -> None:
    world = World(400)
    world.dead = {peer.endpoint_id for peer in world.peers}
    for peer in world.peers:
        world.lies[peer.endpoint_id] = world.peers[:20]
    assert world.walk(world.peers[:20]).asked == 20
    world.dead.clear()
    ever_closer = by_distance(world.peers)[::-1]
    for at, peer in enumerate(ever_closer):
        world.lies[peer.endpoint_id] = ever_closer[at + 1 : at + 3]
    assert world.walk(ever_closer[:3]).asked == SETTINGS.requests_per_lookup_max


def test_who_names_the_dead_is_not_believed_any_longer() -> None:
    world = World(300)
    invented = by_distance([contact(number) for number in range(10_000, 30_000)])[:200]
    world.dead = {peer.endpoint_id for peer in invented}
    liars = world.rng.sample(world.peers, 60)
    for liar in liars:
        world.lies[liar.endpoint_id] = world.rng.sample(invented, 20)
    walk = world.walk(world.rng.sample(world.peers, 20))
    honest = [peer for peer in by_distance(world.peers)[:20] if peer not in liars]
    assert len(set(closest_of(walk)) & set(honest)) >= 0.9 * len(honest)
    assert walk.asked < 65  # without that about twice as many


def test_a_crowd_of_close_ids_beside_the_target_does_not_stop_a_walk() -> None:
    world = World(2000, far_known=10)  # who is far from the target knows nobody who is closer than the crowd
    tenth = node_id(by_distance(world.peers)[10].endpoint_id) ^ TARGET
    crowd_at = TARGET ^ (tenth & ~((1 << 240) - 1))
    ids = sorted((endpoint(n) for n in range(50_000, 90_000)), key=lambda each: node_id(each) ^ crowd_at)[:40]
    crowd = [PeerAddress(each, ()) for each in ids]
    for member in crowd:
        world.lies[member.endpoint_id] = world.rng.sample(crowd, 20)
    start = [*world.rng.sample(world.peers, 15), *crowd[:5]]  # what a table lets in of them
    walk = world.walk(start)
    assert set(by_distance(world.peers)[:5]) <= set(closest_of(walk))


def test_a_walk_whose_closest_are_a_crowd_by_chance_soon_believes_it() -> None:
    world = World(2000)
    bound = node_id(by_distance(world.peers)[60].endpoint_id) ^ TARGET
    world.peers = [peer for peer in world.peers if node_id(peer.endpoint_id) ^ TARGET > bound // 2]
    walk = world.walk(world.rng.sample(world.peers, 20))
    assert closest_of(walk) == by_distance(world.peers)[:20]
    assert walk.asked <= 60  # without a bound all that one walk may ask, 160


def test_paths_are_disjoint() -> None:
    settings = KademliaSettings(paths=3)
    start = by_distance([contact(number) for number in range(1, 7)])
    walk = Walk(TARGET, start, OWN, settings)
    first = walk.next()
    assert [candidate.path for candidate in first] == [0, 1, 2]
    same = contact(50)
    walk.answered(first[0], [same])
    walk.answered(first[1], [same, PeerAddress(OWN, ())])
    named = walk.next()
    assert sum(candidate.address == same for candidate in named) <= 1
    assert all(candidate.address.endpoint_id != OWN for candidate in named)


def test_when_everybody_is_late_it_waits() -> None:
    walk = Walk(TARGET, [contact(1), contact(2)], OWN, SETTINGS)
    asked = walk.next()
    for candidate in asked:
        walk.is_late(candidate)
    assert walk.next() == []
    assert not walk.is_over()
    walk.answered(asked[0], [contact(3)])
    assert [candidate.address for candidate in walk.next()] == [contact(3)]


@given(st.randoms(use_true_random=False), st.integers(0, 60))
def test_the_living_are_counted_rightly_whatever_comes(rng: random.Random, count: int) -> None:
    walk = Walk(TARGET, [contact(number) for number in range(1, count + 1)], OWN, SETTINGS)
    open_ones: list[Candidate] = []
    for _ in range(120):
        open_ones += walk.next()
        if not open_ones:
            break
        candidate = open_ones.pop(rng.randrange(len(open_ones)))
        match rng.randrange(4):
            case 0:
                walk.failed(candidate)
            case 1:
                walk.is_late(candidate)
                open_ones.append(candidate)
            case _:
                walk.answered(candidate, [contact(rng.randrange(1, 200)) for _ in range(rng.randrange(5))])
        states = [each.state.name for each in walk._candidates.values()]
        assert walk.count_within(SPACE) == states.count("NEW") + states.count("ASKED") + states.count("ANSWERED")
        assert walk.answered_count == states.count("ANSWERED")
        assert sum(walk._under_way) == states.count("ASKED") <= SETTINGS.paths
