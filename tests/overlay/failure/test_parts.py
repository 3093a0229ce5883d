"""The parts of SWIM, one by one: rumours and their queue, suspicion's clock, local health, the group's table."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.overlay.failure.groups import person, rng

from nearcast.overlay.failure.awareness import SCORE_MAX, LocalHealth
from nearcast.overlay.failure.group import Group, Roster
from nearcast.overlay.failure.rumours import RUMOURS_QUEUED_MAX, Alive, Dead, RumourQueue, Suspect
from nearcast.overlay.failure.settings import SwimSettings, lan, plain_swim, wan
from nearcast.overlay.failure.suspicion import Suspicion, spread_s


def rumour(number: int, incarnation: int = 0) -> Suspect:
    return Suspect(number.to_bytes(32, "big"), incarnation, bytes(32))


def test_each_rumour_is_told_so_often_and_the_least_told_goes_first() -> None:
    queue = RumourQueue()
    queue.put(rumour(1))
    assert queue.take(1000, 3) == (rumour(1),)
    queue.put(rumour(2))
    assert queue.take(100, 3) == (rumour(2),)
    assert set(queue.take(1000, 3)) == {rumour(2), rumour(1)}
    assert set(queue.take(1000, 3)) == {rumour(2), rumour(1)}
    assert queue.take(1000, 3) == ()


def test_a_newer_rumour_takes_the_older_ones_place() -> None:
    queue = RumourQueue()
    queue.put(rumour(1))
    queue.take(1000, 9)
    queue.put(rumour(1, 5))
    assert len(queue) == 1
    assert queue.take(1000, 9) == (rumour(1, 5),)


def test_a_flood_of_rumours_is_bounded_and_messages_are_too() -> None:
    queue = RumourQueue()
    queue.put(rumour(0))
    queue.take(1000, 9)
    for number in range(1, 2 * RUMOURS_QUEUED_MAX):
        queue.put(rumour(number))
    assert len(queue) == RUMOURS_QUEUED_MAX
    taken = queue.take(1000, 9)
    assert sum(item.size_bytes for item in taken) <= 1000
    assert len(taken) == 12
    assert rumour(0) not in taken


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 200), st.integers(1, 4)), max_size=80))
def test_a_queue_tells_nothing_more_often_than_its_limit(acts: list[tuple[int, int, int]]) -> None:
    queue = RumourQueue()
    told: dict[bytes, int] = {}
    for number, size_bytes, limit in acts:
        queue.put(rumour(number))
        told[rumour(number).endpoint_id] = 0
        for item in queue.take(size_bytes, limit):
            told[item.endpoint_id] += 1
            assert told[item.endpoint_id] <= 4
    while taken := queue.take(10_000, 4):
        for item in taken:
            told[item.endpoint_id] += 1
    assert len(queue) == 0
    assert all(1 <= count <= 4 for count in told.values())


def test_a_suspicion_shortens_with_each_independent_confirmation() -> None:
    """Lifeguard, section III.B: max - (max - min) * ln(c + 1) / ln(k + 1)."""
    suspicion = Suspicion(0, b"a", 100.0, 10.0, 60.0, 3)
    assert suspicion.deadline_s == 160.0
    assert suspicion.confirm(b"b")
    assert isclose(suspicion.deadline_s, 100 + 60 - 50 * 0.5)
    assert not suspicion.confirm(b"b")
    assert not suspicion.confirm(b"a")
    assert suspicion.confirm(b"c")
    assert suspicion.confirm(b"d")
    assert suspicion.deadline_s == 110.0
    assert not suspicion.confirm(b"e")
    assert suspicion.deadline_s == 110.0


def test_without_confirmations_to_expect_the_short_time_counts() -> None:
    assert Suspicion(0, b"a", 100.0, 10.0, 60.0, 0).deadline_s == 110.0


def test_the_shortest_suspicion_hardly_grows_with_the_group() -> None:
    assert wan().suspicion_min_s(5000) / wan().suspicion_min_s(100) < 1.15
    assert lan().suspicion_min_s(5000) / lan().suspicion_min_s(100) < 1.3
    assert isclose(plain_swim().suspicion_min_s(1000), 15.0)
    assert spread_s(16, 3, 1.0) == 4.0  # ln 16 / ln 4 = 2 rounds, and 2 to spare


@pytest.mark.parametrize(("size", "count"), [(1, 4), (8, 4), (9, 4), (10, 8), (99, 8), (100, 12), (5000, 16)])
def test_rumours_are_told_a_multiple_of_log_n_times(size: int, count: int) -> None:
    """memberlist, util.go: multiplier * ceil(log10(n + 1))."""
    assert SwimSettings().retransmissions(size) == count


def test_local_health_stays_within_its_bounds() -> None:
    health = LocalHealth(is_on=True)
    health.change(-1)
    assert health.factor == 1
    health.change(100)
    assert health.score == SCORE_MAX
    off = LocalHealth(is_on=False)
    off.change(3)
    assert off.factor == 1


def group(*numbers: int, members_max: int = 100) -> Group:
    made = Group(rng(), members_max, 10)
    for number in numbers:
        made.put(Alive(person(number), 0), is_hearsay=False)
    return made


def test_every_round_visits_everybody_once_in_another_order() -> None:
    members = group(*range(1, 21))
    rounds = [[record.endpoint_id for record in (members.next() for _ in range(20)) if record] for _ in range(3)]
    assert [sorted(visited) for visited in rounds] == [sorted(members.members)] * 3
    assert rounds[0] != rounds[1] != rounds[2]


@given(st.lists(st.tuples(st.sampled_from(["put", "hear", "bury", "next"]), st.integers(1, 30)), max_size=200))
def test_nobody_waits_longer_than_two_rounds(acts: list[tuple[str, int]]) -> None:
    """SWIM, section 4.3: at most 2n - 1 probes between two of the same member, here for whoever came and stayed."""
    members = group(members_max=12)
    for act, number in acts:
        endpoint_id = person(number).endpoint_id
        if act == "next":
            record = members.next()
            assert (record is None) == (not members.members)
        elif act == "bury" and endpoint_id in members.members:
            members.bury(endpoint_id, 0, endpoint_id, is_left=False, now_s=0.0)
        elif act in ("put", "hear"):
            members.put(Alive(person(number), 0), is_hearsay=act == "hear")
        assert len(members.members) <= 12
        assert len(members.tombstones) <= 10
        assert not members.tombstones.keys() & members.members.keys()
    count = len(members.members)
    visited = {record.endpoint_id for record in (members.next() for _ in range(4 * count + 50)) if record}
    assert visited == set(members.members)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.booleans()), max_size=40))
def test_tables_with_the_same_members_have_the_same_digests(acts: list[tuple[int, int, bool]]) -> None:
    left = group()
    for number, incarnation, stays in acts:
        left.put(Alive(person(number), incarnation), is_hearsay=False)
        if not stays:
            left.remove(person(number).endpoint_id)
    right = group()
    for record in reversed(left.members.values()):
        right.put(record, is_hearsay=False)
    assert left.digests == right.digests


def test_a_roster_fills_a_group_without_its_owner() -> None:
    filled = group()
    own = Alive(person(2), 7)
    filled.fill(Roster(person(number) for number in (1, 2, 3)), own)
    other = group(1, 3)
    other.note(own)
    assert filled.digests == other.digests
    assert filled.members.keys() == other.members.keys()


def test_in_a_full_table_hearsay_gives_way_to_who_was_heard() -> None:
    members = group(1, 2, members_max=3)
    assert members.put(Alive(person(3), 0), is_hearsay=True)
    assert not members.put(Alive(person(4), 0), is_hearsay=True)
    assert members.put(Alive(person(5), 0), is_hearsay=False)
    assert set(members.members) == {person(number).endpoint_id for number in (1, 2, 5)}
    assert not members.put(Alive(person(6), 0), is_hearsay=False)


def test_the_dead_are_forgotten_in_time() -> None:
    members = group(1, 2)
    members.bury(person(1).endpoint_id, 0, b"", is_left=False, now_s=5.0)
    members.bury(person(2).endpoint_id, 0, b"", is_left=False, now_s=15.0)
    members.forget_dead(10.0)
    assert list(members.tombstones) == [person(2).endpoint_id]


def test_a_sample_is_of_different_members_and_without_those_excepted() -> None:
    members = group(*range(1, 11))
    without = {person(1).endpoint_id}
    for _ in range(50):
        chosen = [record.endpoint_id for record in members.sample(3, without)]
        assert len(set(chosen)) == len(chosen) <= 3
        assert not without & set(chosen)
    assert group().sample(3, ()) == []


def test_sizes_of_rumours_are_not_below_what_is_encoded() -> None:
    from nearcast.overlay.failure.messages import Gossip, fields
    from nearcast.transport.base import PeerAddress
    from nearcast.wire import encode_message

    everything = (
        Alive(PeerAddress(bytes(32), ("198.51.100.200:65535",) * 1, "https://relay.example/x"), 1 << 53),
        Alive(PeerAddress(bytes(32), tuple(f"[2001:db8::{n}]:44{n:02}" for n in range(16))), 0),
        Alive(PeerAddress(bytes(32), ("a" * 60 + ".example:1",)), 1),
        Suspect(bytes(32), 1 << 53, bytes(32)),
        Dead(bytes(32), 1 << 53, bytes(32)),
    )
    empty = len(encode_message(fields(Gossip(0, ())))) + 4
    for item in everything:
        encoded = len(encode_message(fields(Gossip(0, (item,)))))
        assert encoded - empty <= item.size_bytes <= encoded - empty + 32, item
