"""Announcements in a network: everybody is known, at a rate that does not grow with it; clients only listen."""

import random
from dataclasses import replace

import pytest
from tests.overlay.gossip.pump import Pump

from nearcast.errors import UsageError
from nearcast.overlay.gossip.announcement import Announcement, NodeFacts
from nearcast.overlay.gossip.events import Delivered
from nearcast.overlay.gossip.messages import Snapshot
from nearcast.overlay.gossip.pace import Pace
from nearcast.overlay.gossip.settings import AnnouncingSettings, GossipSettings
from nearcast.transport.base import PeerAddress

FACTS = NodeFacts(price_per_gib=5, mbps=100, coordinate=bytes(60), region="eu")
SETTINGS = AnnouncingSettings()


def announcing(pump: Pump, count: int) -> list[bytes]:
    ids = pump.grow(count)
    for peer in pump.peers.values():
        peer.announce(FACTS)
    return ids


def test_everybody_hears_of_everybody() -> None:
    pump = Pump(1)
    ids = announcing(pump, 25)
    pump.run(6 * 25 / SETTINGS.per_s_max)
    for peer in pump.peers.values():
        assert len(peer.announcements(pump.now_s)) >= 0.9 * (len(ids) - 1)
        assert all(known.facts == FACTS for known in peer.announcements(pump.now_s))


def test_a_newcomer_gets_a_snapshot_and_is_heard_of_within_seconds() -> None:
    pump = Pump(2)
    ids = announcing(pump, 40)
    pump.run(600)
    newcomer = pump.add(900)
    pump.peers[newcomer].announce(FACTS)
    pump.give(newcomer, pump.peers[newcomer].join([pump.addresses[ids[7]]], pump.now_s))
    pump.run(10)
    assert len(pump.peers[newcomer].announcements(pump.now_s)) >= 25
    heard = [known for known in ids if pump.peers[known].announcement(newcomer, pump.now_s) is not None]
    assert len(heard) == len(ids)
    assert pump.peers[newcomer].member("global").pace.period_s == pytest.approx(40 / SETTINGS.per_s_max, rel=0.5)


def test_who_restarts_before_anybody_notices_gets_a_snapshot() -> None:
    pump = Pump(9)
    ids = announcing(pump, 20)
    pump.run(200)
    back, neighbour = ids[5], next(iter(pump.peers[ids[5]].member("global").membership.active))
    pump.start_again(back, 6)
    pump.give(back, pump.peers[back].join([pump.addresses[neighbour]], pump.now_s))
    pump.run(3)
    assert neighbour in pump.peers[back].member("global").membership.active
    assert len(pump.peers[back].announcements(pump.now_s)) >= 10


def test_a_second_snapshot_is_the_last() -> None:
    pump = Pump(3)
    ids = pump.grow(10)
    pump.run(30)
    victim = ids[-1]
    neighbour = next(iter(pump.peers[victim].member("global").membership.active))
    for _ in range(5):
        snapshot = Snapshot("global", (), 10_000.0, False)
        pump.give(victim, pump.peers[victim].on_message(pump.addresses[neighbour], snapshot, pump.now_s))
    assert pump.peers[victim].member("global").pace.period_s < 10_000


def announcement_of(number: int, issued_s: float, lifetime_s: int, *, is_first: bool = False) -> Announcement:
    contact = PeerAddress(number.to_bytes(32, "big"))
    return Announcement(contact, FACTS, int(issued_s * 1000), lifetime_s, is_first, b"")


@pytest.mark.parametrize("nodes", [100, 1000, 10_000])
def test_the_period_follows_the_number_of_nodes(nodes: int) -> None:
    """One node hears the others announce themselves as often as they should, and learns how often it should."""
    rng, pace, now_s = random.Random(nodes), Pace(SETTINGS, random.Random(1), 0.0), 0.0
    period_s = nodes / SETTINGS.per_s_max
    errors = []
    for number in range(600):
        now_s += rng.expovariate(SETTINGS.per_s_max)
        pace.heard(announcement_of(number, now_s, int(SETTINGS.lifetimes * period_s)), None, now_s)
        pace.is_due(now_s)
        errors.append(pace.period_s / period_s)
    settled = sorted(errors[300:])
    assert 0.7 <= settled[len(settled) // 2] <= 1.3
    assert settled[0] >= 0.4
    assert settled[-1] <= 2.0


def test_a_liar_does_not_silence_us() -> None:
    """One node that claims a period of a week, every five seconds, counts for a handful of nodes."""
    pace = Pace(SETTINGS, random.Random(1), 0.0)
    known = None
    for number in range(1000):
        announcement = announcement_of(7, number * 5.0, 3 * 7 * 86_400)
        pace.heard(announcement, known, number * 5.0)
        pace.is_due(number * 5.0)
        known = announcement
    assert pace.period_s == SETTINGS.period_s_min


def test_a_crowd_of_newcomers_waits_for_its_turn() -> None:
    pace = Pace(SETTINGS, random.Random(1), 0.0)
    for number in range(300):
        pace.heard(announcement_of(number, number / 10, 180, is_first=True), None, number / 10)
    assert not pace.is_due(30.0)
    alone = Pace(SETTINGS, random.Random(1), 0.0)
    assert alone.is_due(1.0)


def test_who_was_told_of_a_crowd_tells_newcomers_until_it_can_hear_for_itself() -> None:
    pace = Pace(SETTINGS, random.Random(1), 0.0)
    assert not pace.tells_crowd(0.0)
    pace.start_from(60.0, True, 10.0)
    pace.start_from(120.0, True, 30.0)  # a better estimate of the period is no news of a crowd
    assert pace.tells_crowd(10.0 + SETTINGS.burst_s - 1.0)
    assert not pace.tells_crowd(10.0 + SETTINGS.burst_s)
    for number in range(100):
        pace.heard(announcement_of(number, 50.0, 180, is_first=True), None, 50.0)
    assert pace.tells_crowd(50.0)


def test_nobody_is_overdue_when_the_network_shrinks() -> None:
    """The period falls from hours to minutes for all at once: they do not all speak in the same minute."""
    paces = [Pace(SETTINGS, random.Random(number), 0.0) for number in range(200)]
    for pace in paces:
        pace.start_from(20_000.0, True, 0.0)
        pace.is_due(0.0)
    known: dict[int, Announcement] = {}
    spoken = []
    for minute in range(1, 90):
        now_s = 60.0 * minute
        due = [number for number, pace in enumerate(paces) if pace.is_due(now_s)]
        for number in due:
            announcement = announcement_of(number, now_s, paces[number].lifetime_s())
            for pace in paces:
                pace.heard(announcement, known.get(number), now_s)
            known[number] = announcement
        spoken.append(len(due))
    assert max(spoken) <= 0.25 * len(paces)
    rate_per_s = sum(spoken[60:]) / 30 / 60
    assert 0.5 * SETTINGS.per_s_max <= rate_per_s <= 2 * SETTINGS.per_s_max


def test_clients_hear_everything_and_say_nothing() -> None:
    pump = Pump(4)
    ids = announcing(pump, 40)
    pump.run(60)
    clients = [pump.add(500 + number, is_client=True) for number in range(10)]
    for client in clients:
        pump.peers[client].announce(FACTS)
        pump.give(client, pump.peers[client].join([pump.addresses[pump.rng.choice(ids)]], pump.now_s))
    pump.run(60)
    pushed, heard = pump.sent["Push"], sum(map(len, pump.told.values()))
    for number in range(5):
        pump.give(ids[0], pump.peers[ids[0]].broadcast("global", bytes([number]), pump.now_s)[1])
        pump.run(2)
    pump.run(20)
    pushed, heard = pump.sent["Push"] - pushed, sum(map(len, pump.told.values())) - heard
    assert pushed <= 1.25 * heard, "also clients get a payload once"
    for client in clients:
        assert len([event for event in pump.told[client] if isinstance(event, Delivered)]) == 5
        assert len(pump.peers[client].announcements(pump.now_s)) >= 10
        with pytest.raises(UsageError):
            pump.peers[client].broadcast("global", b"x", pump.now_s)
    for known in ids:
        membership = pump.peers[known].member("global").membership
        assert not [client for client in clients if client in membership.active or client in membership.passive]
        assert all(client not in ids for client in membership.listeners)


def test_a_client_finds_other_nodes_when_its_own_fail() -> None:
    pump = Pump(5)
    ids = pump.grow(40)
    pump.run(60)
    client = pump.add(500, is_client=True)
    pump.give(client, pump.peers[client].join([pump.addresses[ids[3]]], pump.now_s))
    pump.run(30)
    first = list(pump.peers[client].member("global").membership.active)
    assert len(first) == GossipSettings().membership.listener_links
    for known in first:
        pump.crash(known)
    pump.run(60)
    second = list(pump.peers[client].member("global").membership.active)
    assert len(second) == len(first)
    assert not set(first) & set(second)


def test_topics_share_connections_but_nothing_else() -> None:
    pump = Pump(6)
    ids = pump.grow(12, topics=("global", "region/eu"))
    outsiders = pump.grow(6)
    pump.give(outsiders[0], pump.peers[outsiders[0]].join([pump.addresses[ids[0]]], pump.now_s))
    pump.run(60)
    pump.give(ids[0], pump.peers[ids[0]].broadcast("region/eu", b"x", pump.now_s)[1])
    pump.run(20)
    heard = [known for known in pump.peers for event in pump.told[known] if isinstance(event, Delivered)]
    assert sorted(heard) == sorted(ids[1:])
    member = pump.peers[ids[0]]
    both = [*member.member("global").tree.links, *member.member("region/eu").tree.links]
    assert pump.kept[ids[0]] == set(both)
    pump.give(ids[0], member.unsubscribe("region/eu", pump.now_s))
    assert pump.kept[ids[0]] == set(member.member("global").tree.links)
    assert member.topics == ("global",)


def test_an_idle_node_says_little() -> None:
    pump = Pump(7)
    ids = announcing(pump, 40)
    pump.run(300)
    pump.is_encoding = True
    pump.run(120)
    per_node_s = sum(pump.sent_bytes.values()) / len(ids) / 120
    assert per_node_s <= 500, "one topic; two of them and all else have 2 KB/s"
    assert pump.sent_bytes["Push"] > 0


def test_the_oldest_payloads_are_forgotten() -> None:
    settings = GossipSettings()
    small = replace(settings, tree=replace(settings.tree, recent_max=4))
    pump = Pump(8)
    ids = pump.grow(3, settings=small)
    pump.run(5)
    for number in range(10):
        pump.give(ids[0], pump.peers[ids[0]].broadcast("global", bytes([number]), pump.now_s)[1])
        pump.run(1)
    assert pump.peers[ids[1]].member("global").tree.kept <= 4
    assert len([event for event in pump.told[ids[1]] if isinstance(event, Delivered)]) == 10
