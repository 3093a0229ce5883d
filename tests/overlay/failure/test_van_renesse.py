"""The heartbeats of van Renesse: the published numbers, the same group, and what a list from strangers may do."""

import random

import pytest
from tests.overlay.failure.groups import GroupRun, events, person, rng, sent

from nearcast.errors import UsageError
from nearcast.overlay.failure.choosing import DETECTORS, detector
from nearcast.overlay.failure.events import MemberAlive, MemberDead
from nearcast.overlay.failure.heartbeat_analysis import (
    PUBLISHED_BYTES_PER_S,
    PUBLISHED_ENTRY_BYTES,
    fail_after_intervals,
    fail_after_intervals_about,
    interval_s,
)
from nearcast.overlay.failure.messages import HEARTBEAT_MAX, Heartbeats, fields, parse
from nearcast.overlay.failure.van_renesse import BEAT, HEARTBEAT_STEP_MAX, HeartbeatSettings, VanRenesse
from nearcast.transport.base import PeerAddress
from nearcast.wire import encode_message


@pytest.mark.parametrize(
    ("members", "intervals", "detection_s"), [(20, 33.6, 21), (50, 36.0, 58), (100, 38.0, 122), (150, 39.2, 188)]
)
def test_the_analysis_gives_the_published_times(members: int, intervals: float, detection_s: float) -> None:
    found = fail_after_intervals(members)
    assert found == pytest.approx(intervals, abs=0.1)
    assert found * interval_s(members, PUBLISHED_BYTES_PER_S, PUBLISHED_ENTRY_BYTES) == pytest.approx(
        detection_s, rel=0.03
    )


def test_large_groups_are_continued_from_smaller_ones() -> None:
    for members in (3, 60, 128, 200):
        exact = fail_after_intervals(members)
        assert fail_after_intervals_about(members, 1e-9, 1.0) == pytest.approx(exact, rel=0.01)


def test_the_analysis_refuses_what_makes_no_sense() -> None:
    for members, arrival in ((1, 1.0), (5, 0.0), (5, 1.5)):
        with pytest.raises(ValueError, match="members"):
            fail_after_intervals(members, arrival=arrival)


def heartbeats(settings: HeartbeatSettings) -> GroupRun:
    def make(address: PeerAddress, dice: random.Random) -> VanRenesse:
        return VanRenesse(address, dice, settings)

    return GroupRun(20, seed=3, loss=0.05, make=make)


def test_who_crashes_is_failed_everywhere_after_fail_s_and_nobody_else() -> None:
    run = heartbeats(HeartbeatSettings())
    run.simulation.run_until(100)
    assert run.told == []
    victim = run.peers[0]
    machine = run.peers[1].machine
    assert isinstance(machine, VanRenesse)
    fail_s = machine.fail_s
    run.simulation.crash(victim)
    run.simulation.run_until(100 + fail_s + 20)
    told = run.tellings(MemberDead)
    assert {event.endpoint_id for _, _, event in told} == {victim.endpoint_id}
    assert len(told) == 19
    assert all(fail_s - 1 <= now_s - 100 <= fail_s + 20 for now_s, _, _ in told)
    assert run.states(victim) == {"dead"}
    run.simulation.run_until(100 + 2 * fail_s + 20)
    assert run.states(victim) == {"unknown"}


def test_at_a_fixed_bandwidth_the_interval_grows_with_the_list() -> None:
    member = VanRenesse(person(1), rng(), HeartbeatSettings(bytes_per_s=600))
    member.know([person(number) for number in range(2, 11)], 0.0)
    arms = [effect.after_s for effect in member.on_timer(BEAT, 1.0) if hasattr(effect, "after_s")]
    assert arms == [10 * 60 / 600]


def test_strangers_meet_through_a_seed() -> None:
    run = GroupRun(8, is_acquainted=False, make=lambda address, dice: VanRenesse(address, dice))
    for peer in run.peers[1:]:
        assert isinstance(peer.machine, VanRenesse)
        run.simulation.give(peer, peer.machine.join([run.peers[0].address], 0.0))
    run.simulation.run_until(20)
    for peer in run.peers:
        assert isinstance(peer.machine, VanRenesse)
        assert len(peer.machine.members()) == 7


def test_an_old_list_does_not_bring_back_the_failed() -> None:
    member = VanRenesse(person(1), rng(), HeartbeatSettings(fail_s=5.0))
    old = Heartbeats(((person(2), 7),))
    assert events(member.on_message(person(3), old, 0.0)) == [MemberAlive(person(2), 7)]
    assert events(member.on_timer(BEAT, 6.0)) == [MemberDead(person(2).endpoint_id, 7, person(1).endpoint_id)]
    assert events(member.on_message(person(3), old, 7.0)) == []
    assert events(member.on_message(person(2), Heartbeats(((person(2), 8),)), 8.0)) == [MemberAlive(person(2), 8)]
    assert sent(member.on_timer(BEAT, 9.0))[0].message.entries == ((person(1), 2), (person(2), 8))


def test_counters_made_up_are_not_believed_and_ones_own_is_passed() -> None:
    member = VanRenesse(person(1), rng(), HeartbeatSettings(members_max=4))
    member.know([person(2)], 0.0)
    member.on_message(person(3), Heartbeats(((person(2), HEARTBEAT_MAX), (person(1), HEARTBEAT_MAX))), 1.0)
    member.on_message(person(2), Heartbeats(((person(2), HEARTBEAT_STEP_MAX), (person(1), 10))), 2.0)
    entries = dict(sent(member.on_timer(BEAT, 3.0))[0].message.entries)
    assert entries == {person(1): 12, person(2): HEARTBEAT_STEP_MAX}
    member.on_message(person(3), Heartbeats(tuple((person(number), 0) for number in range(10, 30))), 4.0)
    assert len(member.members()) == 3


def test_a_list_that_is_too_long_is_told_in_parts() -> None:
    member = VanRenesse(person(1), rng(), HeartbeatSettings(fail_s=1e9))
    member.know([PeerAddress(number.to_bytes(32, "big"), ("192.0.2.1:4433",)) for number in range(3000)], 0.0)
    told: set[bytes] = set()
    for beat in range(40):
        message = sent(member.on_timer(BEAT, float(beat)))[0].message
        assert len(encode_message(fields(message))) <= 61 << 10
        assert parse(fields(message)) == message
        told |= {contact.endpoint_id for contact, _ in message.entries}
    assert len(told) == 3001


def test_a_detector_is_chosen_by_name() -> None:
    for name in DETECTORS:
        made = detector(name, person(1), rng(), members_max=8)
        made.know([person(2)], 0.0)
        made.coordinate = b"here"
        assert made.members() == [person(2)]
        assert made.state_of(person(2).endpoint_id) == "alive"
        assert made.snapshot()["members"] == 1
        assert list(made.leave(1.0)) is not None
        assert list(made.on_timer(BEAT, 2.0)) == []
    with pytest.raises(UsageError, match="no failure detector"):
        detector("crystal ball", person(1), rng())
