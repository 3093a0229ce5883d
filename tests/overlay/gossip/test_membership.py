"""HyParView: bounded views at every instant, and links with two ends once all is quiet."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day
from tests.overlay.gossip.pump import Pump

from nearcast.overlay.gossip.events import Isolated
from nearcast.overlay.gossip.lost import LOST_MAX, TRIES_MAX, Lost
from nearcast.overlay.gossip.messages import Walk
from nearcast.overlay.gossip.passive_view import PassiveView
from nearcast.overlay.gossip.settings import MembershipSettings
from nearcast.transport.base import PeerAddress

BOUNDS = MembershipSettings()


def views_of(pump: Pump) -> dict[bytes, list[bytes]]:
    return {known: list(peer.member("global").membership.active) for known, peer in pump.peers.items()}


def one_ended(pump: Pump) -> list[tuple[bytes, bytes]]:
    views = views_of(pump)
    return [(own, other) for own, active in views.items() for other in active if own not in views.get(other, [])]


def components(pump: Pump) -> int:
    views, seen, count = views_of(pump), set[bytes](), 0
    for start in views:
        count += start not in seen
        frontier = [start]
        while frontier:
            known = frontier.pop()
            if known not in seen:
                seen.add(known)
                frontier.extend(other for other in views[known] if other in views)
    return count


def check_bounds(pump: Pump) -> None:
    for own, peer in pump.peers.items():
        membership = peer.member("global").membership
        assert len(membership.active) <= membership.links_max
        assert len(membership.passive) <= BOUNDS.passive_max
        assert own not in membership.active
        assert own not in membership.passive
        assert not [known for known in membership.active if known in membership.passive]
        links = sorted(peer.member("global").tree.links)
        assert links == sorted([*membership.active, *membership.listeners])
        assert links == sorted(pump.kept[own]), "what is kept is what is linked"


ACTS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "crash", "leave", "wait"]), st.integers(0, 10**6)),
    min_size=3,
    max_size=40,
)


@given(seed=st.integers(0, 2**32), acts=ACTS, is_ordered=st.booleans())
@by_day(20)
def test_links_have_two_ends_after_any_history(seed: int, acts: list[tuple[str, int]], is_ordered: bool) -> None:
    pump = Pump(seed, is_ordered=is_ordered)
    pump.grow(6)
    for act, number in acts:
        ids = list(pump.peers)
        chosen = ids[number % len(ids)]
        match act:
            case "add":
                newcomer = pump.add(len(pump.addresses) + 1)
                pump.give(newcomer, pump.peers[newcomer].join([pump.addresses[chosen]], pump.now_s))
            case "crash" if len(ids) > 3:
                pump.crash(chosen)
            case "leave" if len(ids) > 3:
                pump.give(chosen, pump.peers[chosen].leave(pump.now_s))
                pump.crash(chosen)
            case "wait":
                pump.run(number % 1000 / 100)
        check_bounds(pump)
    pump.run(120)
    for own in list(pump.peers):  # what is said over a link with one end tells its end
        pump.give(own, pump.peers[own].broadcast("global", own, pump.now_s)[1])
    pump.run(60)
    check_bounds(pump)
    assert one_ended(pump) == []
    lonely = [known for known, active in views_of(pump).items() if not active]
    assert all(Isolated("global") in pump.told[known] for known in lonely), "its one seed died before it came"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_network_grows_together(seed: int) -> None:
    pump = Pump(seed)
    pump.grow(150)
    pump.run(60)
    assert components(pump) == 1
    assert one_ended(pump) == []
    active = [len(view) for view in views_of(pump).values()]
    assert sum(active) / len(active) >= 4.7, "nearly every place is taken"
    passive = [len(peer.member("global").membership.passive) for peer in pump.peers.values()]
    assert sum(passive) / len(passive) >= 0.9 * BOUNDS.passive_max


def test_one_seed_for_everybody_sends_a_crowd_on() -> None:
    pump = Pump(4)
    (seed_id,) = pump.grow(1)
    for number in range(2, 101):
        newcomer = pump.add(number)
        pump.give(newcomer, pump.peers[newcomer].join([pump.addresses[seed_id]], pump.now_s))
    pump.run(20)
    assert components(pump) == 1
    assert all(views_of(pump).values())


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_survivors_stay_together(share: float) -> None:
    pump = Pump(5)
    pump.grow(200)
    pump.run(60)
    for endpoint_id in pump.rng.sample(list(pump.peers), int(share * 200)):
        pump.crash(endpoint_id)
    pump.run(60)
    assert components(pump) == 1
    assert one_ended(pump) == []


def test_the_sides_of_a_partition_find_each_other() -> None:
    pump = Pump(12)
    ids = pump.grow(60)
    pump.run(60)
    left = set(ids[::2])
    pump.partition = lambda one, other: (one in left) != (other in left)
    pump.run(600)
    assert components(pump) == 2
    assert not [other for own in left for other in views_of(pump)[own] if other not in left], "each side is by itself"
    pump.partition = None
    pump.run(400)
    assert components(pump) == 1
    assert one_ended(pump) == []


def test_a_single_loss_is_not_followed_up() -> None:
    lost = Lost()
    lost.note(PeerAddress(b"a" * 32), 0.0)
    lost.note(PeerAddress(b"b" * 32), 200.0)
    assert len(lost) == 0
    for number in range(100):
        lost.note(PeerAddress(bytes([number]) * 32), 300.0)
    assert len(lost) <= LOST_MAX
    assert lost.next(301.0) is None, "a pause comes first"
    asked = [lost.next(300.0 + 60.0 * minute) for minute in range(1, 600)]
    assert 0 < len([peer for peer in asked if peer is not None]) <= LOST_MAX * TRIES_MAX
    assert len(lost) == 0


def test_who_leaves_is_replaced_at_once() -> None:
    pump = Pump(6)
    ids = pump.grow(60)
    pump.run(60)
    neighbours = views_of(pump)[ids[0]]
    pump.give(ids[0], pump.peers[ids[0]].leave(pump.now_s))
    pump.crash(ids[0])
    pump.run(2)
    assert all(len(views_of(pump)[neighbour]) >= 4 for neighbour in neighbours)


def test_a_newcomer_is_a_member_within_seconds() -> None:
    pump = Pump(7)
    ids = pump.grow(100)
    pump.run(60)
    newcomer = pump.add(1000)
    pump.give(newcomer, pump.peers[newcomer].join([pump.addresses[ids[50]]], pump.now_s))
    pump.run(3)
    assert len(views_of(pump)[newcomer]) >= 3
    assert one_ended(pump) == []


def test_who_knows_nobody_says_so_and_is_found_by_seeds() -> None:
    pump = Pump(8)
    ids = pump.grow(20)
    lonely = pump.add(500)
    gone = PeerAddress(b"\xff" * 32, ("10.9.9.9:1",))
    pump.give(lonely, pump.peers[lonely].join([gone], pump.now_s))
    pump.run(30)
    assert Isolated("global") in pump.told[lonely]
    pump.give(lonely, pump.peers[lonely].join([pump.addresses[ids[0]]], pump.now_s))
    pump.run(10)
    assert views_of(pump)[lonely]


def test_all_neighbours_but_the_oldest_can_be_replaced() -> None:
    """Whoever comes with ever new identities gets the young links of a node, never its two oldest."""
    pump = Pump(9)
    ids = pump.grow(30)
    pump.run(60)
    victim = ids[0]
    oldest = views_of(pump)[victim][: BOUNDS.protected]
    for number in range(200):
        newcomer = pump.add(1000 + number)
        pump.give(newcomer, pump.peers[newcomer].join([pump.addresses[victim]], pump.now_s))
        pump.run(1)
        assert views_of(pump)[victim][: BOUNDS.protected] == oldest


def test_one_source_cannot_fill_the_passive_view() -> None:
    view = PassiveView(30, 10, random.Random(1))
    for number in range(25):
        view.add(PeerAddress(bytes([number]) * 32), bytes([number % 5]) * 32)
    for number in range(1000):
        view.add(PeerAddress(number.to_bytes(32, "big")), b"mallory")
    assert len(view) <= 30
    honest = [peer for peer in view.peers() if peer.endpoint_id == peer.endpoint_id[:1] * 32]
    assert len(honest) >= 20


def test_a_stranger_does_not_change_what_is_known() -> None:
    view = PassiveView(30, 10, random.Random(1))
    view.add(PeerAddress(b"a" * 32, ("192.0.2.1:1",)), b"x")
    view.add(PeerAddress(b"a" * 32, ("203.0.113.9:9",)), b"y")
    assert view.peers() == [PeerAddress(b"a" * 32, ("192.0.2.1:1",))]


def test_a_walk_ends() -> None:
    """However many hops a stranger writes on it: walks are cut, and those of no neighbour are not taken."""
    pump = Pump(10)
    ids = pump.grow(40)
    pump.run(60)
    victim = ids[3]
    neighbour = views_of(pump)[victim][0]
    before = pump.sent["Walk"]
    invented = PeerAddress(b"\x01" * 32, ("10.1.1.1:1",))
    walk = Walk("global", invented, 60_000)
    pump.give(victim, pump.peers[victim].on_message(pump.addresses[neighbour], walk, pump.now_s))
    pump.run(5)
    assert pump.sent["Walk"] - before <= BOUNDS.walk_hops
    before = pump.sent["Walk"]
    pump.give(victim, pump.peers[victim].on_message(PeerAddress(b"\x02" * 32), walk, pump.now_s))
    pump.run(5)
    assert pump.sent["Walk"] == before


def test_a_small_network_does_not_go_on_telling_what_everybody_knows() -> None:
    """Too few nodes to half fill a passive view: the quick shuffles of a newcomer end all the same."""
    pump = Pump(10)
    ids = pump.grow(12)
    pump.run(60)
    before = pump.sent["Shuffle"]
    pump.run(240)
    walks = (pump.sent["Shuffle"] - before) / MembershipSettings().walk_hops
    assert walks / len(ids) < 240 / MembershipSettings().shuffle_period_s * 1.5
