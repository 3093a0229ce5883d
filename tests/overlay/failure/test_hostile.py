"""What members can do to a group by lying, and what they cannot."""

from typing import Any

from tests.overlay.failure.groups import GroupRun, events, person, rng, sent, swim

from nearcast.overlay.failure.beliefs import INTRODUCTIONS_MAX, STEPS_MAX
from nearcast.overlay.failure.events import MemberAlive, MemberDead, MemberSuspect
from nearcast.overlay.failure.messages import (
    BUCKETS,
    DIGEST_BYTES,
    Ack,
    Gossip,
    IndirectAck,
    Nack,
    Ping,
    PingRequest,
    SyncAnswer,
    SyncRequest,
)
from nearcast.overlay.failure.probing import ERRANDS_MAX, PROBE, AckDue
from nearcast.overlay.failure.rumours import (
    INCARNATION_MAX,
    INCARNATION_STEP_MAX,
    LEAP_MAX,
    RUMOURS_QUEUED_MAX,
    Alive,
    Dead,
    Left,
    Suspect,
)
from nearcast.overlay.failure.settings import SwimSettings, lan
from nearcast.overlay.failure.swim import Swim
from nearcast.overlay.failure.syncing import ANSWERS_MAX, PIECE_BYTES_MAX
from nearcast.sim.peer import Peer
from nearcast.transport.base import PeerAddress

ME, LIAR, VICTIM = person(1), person(9), person(2)


def incarnation_of(peer: Peer) -> int:
    assert isinstance(peer.machine, Swim)
    return peer.machine.incarnation


def fake(number: int) -> Alive:
    return Alive(PeerAddress(number.to_bytes(32, "big"), ("203.0.113.1:1",)), 0)


def test_a_forged_death_is_a_suspicion_and_is_contradicted() -> None:
    run = GroupRun(30)
    run.simulation.run_until(5)
    liar, victim = run.peers[0], run.peers[1]
    for at in range(10):
        forged = Dead(victim.endpoint_id, at, run.peers[2].endpoint_id)
        for peer in run.peers[1:]:
            message = Gossip(0, (Suspect(victim.endpoint_id, at, liar.endpoint_id), forged))
            run.simulation.give(peer, peer.machine.on_message(liar.address, message, run.simulation.now_s))
        run.simulation.run_until(run.simulation.now_s + 5)
    assert run.tellings(MemberSuspect, victim)
    assert run.tellings(MemberDead) == []
    assert run.states(victim) == {"alive"}


def test_nobody_is_driven_to_contradictions_that_others_do_not_believe() -> None:
    """An outsider has the victim leap, then has all others suspect and bury what it was before."""
    run = GroupRun(20)
    run.simulation.run_until(5)
    victim, accuser = run.peers[0], run.peers[1].endpoint_id

    def say(to: Peer, *rumours: Any) -> None:
        run.simulation.give(to, to.machine.on_message(person(99), Gossip(0, rumours), run.simulation.now_s))

    say(victim, Suspect(victim.endpoint_id, INCARNATION_STEP_MAX, accuser))
    for peer in run.peers[1:]:
        say(peer, Suspect(victim.endpoint_id, 0, accuser))
    for at_s in range(6, 30):
        run.simulation.run_until(at_s)
        say(victim, Suspect(victim.endpoint_id, incarnation_of(victim) + LEAP_MAX, accuser))
        for peer in run.peers[1:]:
            say(peer, *(Dead(victim.endpoint_id, at, accuser) for at in (0, incarnation_of(victim))))
    assert run.tellings(MemberDead) == []
    run.simulation.run_until(40)
    assert run.states(victim) == {"alive"}


def test_our_incarnation_rises_by_what_we_are_told_no_faster_than_others_can_follow() -> None:
    member = swim(1, (2, 9))
    pace_s = lan().suspicion_min_s(3) / 8
    for _ in range(3 * STEPS_MAX):
        far = Suspect(ME.endpoint_id, member.incarnation + INCARNATION_STEP_MAX, LIAR.endpoint_id)
        member.on_message(LIAR, Gossip(0, (far,)), 10.0)
    most = LEAP_MAX + STEPS_MAX
    assert member.incarnation == most
    member.on_message(LIAR, Gossip(0, (Suspect(ME.endpoint_id, most, LIAR.endpoint_id),)), 10.0 + pace_s)
    assert member.incarnation == most + 1


def test_a_suspicion_is_no_further_ahead_than_its_victim_may_leap() -> None:
    member = swim(1, (2, 9))
    for kind in (Suspect, Dead):
        member.on_message(LIAR, Gossip(0, (kind(VICTIM.endpoint_id, LEAP_MAX + 1, LIAR.endpoint_id),)), 1.0)
    member.on_message(LIAR, Gossip(0, (Left(VICTIM.endpoint_id, LEAP_MAX + 1),)), 1.0)
    assert member.state_of(VICTIM.endpoint_id) == "alive"
    member.on_message(LIAR, Gossip(0, (Suspect(VICTIM.endpoint_id, LEAP_MAX, LIAR.endpoint_id),)), 2.0)
    assert member.state_of(VICTIM.endpoint_id) == "suspect"
    victim = swim(2, (1, 9))
    ack = sent(member.on_message(VICTIM, Ping(1, 0), 3.0), Ack)[0].message
    victim.on_message(ME, ack, 3.0)
    assert victim.incarnation == LEAP_MAX + 1


def test_who_is_above_its_death_is_alive_at_its_next_word() -> None:
    member = swim(1, (2, 9), doubts_deaths=False)
    member.on_message(LIAR, Gossip(0, (Dead(VICTIM.endpoint_id, 4, LIAR.endpoint_id),)), 1.0)
    assert events(member.on_message(VICTIM, Ping(1, 4), 2.0)) == []
    assert member.state_of(VICTIM.endpoint_id) == "dead"
    assert events(member.on_message(VICTIM, Ping(2, 7), 3.0)) == [MemberAlive(VICTIM, 7)]
    moved = PeerAddress(VICTIM.endpoint_id, ("198.51.100.2:1",))
    member.on_message(LIAR, Gossip(0, (Alive(moved, 7),)), 4.0)
    assert member.members() == [LIAR, moved]


def test_who_is_not_of_our_group_any_more_does_not_come_back_from_the_dead() -> None:
    member = Swim(
        ME, rng(), SwimSettings(doubts_deaths=False), admits=lambda endpoint_id: endpoint_id != VICTIM.endpoint_id
    )
    member.know([VICTIM], 0.0)
    member.on_message(LIAR, Gossip(0, (Dead(VICTIM.endpoint_id, 0, LIAR.endpoint_id),)), 1.0)
    member.on_message(VICTIM, Ping(1, 7), 2.0)
    assert member.state_of(VICTIM.endpoint_id) == "dead"


def test_a_forged_farewell_is_contradicted_too() -> None:
    run = GroupRun(20)
    run.simulation.run_until(5)
    liar, victim = run.peers[0], run.peers[1]
    for peer in run.peers[2:]:
        message = Gossip(0, (Left(victim.endpoint_id, 0),))
        run.simulation.give(peer, peer.machine.on_message(liar.address, message, 5.0))
    run.simulation.run_until(30)
    assert run.states(victim) == {"alive"}


def test_plain_swim_believes_a_forged_death_for_a_while_and_then_the_victim() -> None:
    member = swim(1, (2, 9), doubts_deaths=False)
    told = events(member.on_message(LIAR, Gossip(0, (Dead(VICTIM.endpoint_id, 0, LIAR.endpoint_id),)), 1.0))
    assert told == [MemberDead(VICTIM.endpoint_id, 0, LIAR.endpoint_id)]
    answer = sent(member.on_message(VICTIM, Ping(1, 0), 2.0), Ack)[0].message
    assert answer.rumours[0] == Dead(VICTIM.endpoint_id, 0, LIAR.endpoint_id)
    told = events(member.on_message(VICTIM, Gossip(1, (Alive(VICTIM, 1),)), 3.0))
    assert told == [MemberAlive(VICTIM, 1)]


def test_fake_members_are_bounded_in_number_and_known_as_hearsay() -> None:
    member = swim(1, (2, 9), members_max=100)
    for start in range(0, 5000, 250):
        member.on_message(LIAR, Gossip(0, tuple(fake(number) for number in range(1000 + start, 1250 + start))), 1.0)
    assert len(member.members()) <= 100
    assert len(member._beliefs.queue) <= RUMOURS_QUEUED_MAX
    member.on_message(person(5), SyncRequest(Alive(person(5), 0), bytes(BUCKETS * DIGEST_BYTES)), 2.0)
    states = [member.state_of(person(number).endpoint_id) for number in (2, 5, 9)]
    assert states == ["alive"] * 3


def test_one_sender_introduces_so_many_a_minute() -> None:
    member = swim(1, (2, 9), members_max=10_000)
    for start in range(1000, 3000, 200):
        member.on_message(LIAR, Gossip(0, tuple(fake(number) for number in range(start, start + 200))), 1.0)
    assert len(member.members()) == 2 + INTRODUCTIONS_MAX


def test_only_those_admitted_become_members_by_hearsay() -> None:
    admitted = fake(77).endpoint_id
    member = Swim(ME, rng(), lan(), admits=lambda endpoint_id: endpoint_id == admitted)
    member.on_message(LIAR, Gossip(0, tuple(fake(number) for number in range(70, 90))), 1.0)
    assert [contact.endpoint_id for contact in member.members()] == [admitted]


def test_fakes_that_do_not_answer_are_gone_soon() -> None:
    run = GroupRun(10)
    member = run.peers[0]
    message = Gossip(0, tuple(fake(number) for number in range(100, 110)))
    run.simulation.give(member, member.machine.on_message(run.peers[1].address, message, 0.0))
    run.simulation.run_until(120)
    for peer in run.peers:
        assert isinstance(peer.machine, Swim)
        assert len(peer.machine.members()) == 9


def test_replayed_rumours_change_nothing_and_are_not_told_on() -> None:
    member = swim(1, (2, 9))
    old = (Alive(VICTIM, 1), Suspect(VICTIM.endpoint_id, 1, LIAR.endpoint_id), Dead(VICTIM.endpoint_id, 1, bytes(32)))
    member.on_message(VICTIM, Gossip(2, (Alive(VICTIM, 2),)), 1.0)
    while member._beliefs.queue:
        member.on_timer("gossip", 1.5)
    for at in range(20):
        assert events(member.on_message(LIAR, Gossip(0, old), 2.0 + at)) == []
    assert not member._beliefs.queue
    assert member.state_of(VICTIM.endpoint_id) == "alive"


def test_an_incarnation_beyond_any_honest_step_is_not_believed() -> None:
    member = swim(1, (2, 9))
    far = INCARNATION_STEP_MAX + 5
    for lie in (
        Alive(VICTIM, far),
        Suspect(VICTIM.endpoint_id, far, bytes(32)),
        Suspect(ME.endpoint_id, far, bytes(32)),
    ):
        assert events(member.on_message(LIAR, Gossip(0, (lie,)), 1.0)) == []
    assert member.incarnation == 0


def test_a_made_up_record_of_a_stranger_goes_at_its_own_word() -> None:
    member = swim(1, (9,))
    member.on_message(LIAR, Gossip(0, (Alive(PeerAddress(VICTIM.endpoint_id), INCARNATION_MAX),)), 1.0)
    assert member.state_of(VICTIM.endpoint_id) == "alive"
    member.on_message(VICTIM, Ping(1, 0), 2.0)
    assert member.state_of(VICTIM.endpoint_id) == "unknown"
    member.on_message(LIAR, Gossip(0, (Alive(VICTIM, 0),)), 3.0)
    assert VICTIM in member.members()


def test_answers_count_only_from_whom_they_were_asked() -> None:
    member = swim(1, (2, 3, 4, 5))
    effects = list(member.on_timer(PROBE, 0.0))
    ping = sent(effects, Ping)[0]
    target, sequence = ping.to, ping.message.sequence
    others = [contact for contact in member.members() if contact != target]
    for other in others:
        member.on_message(other, Ack(sequence, 0), 0.1)
        member.on_message(other, IndirectAck(sequence), 0.1)
        member.on_message(other, Nack(sequence), 0.1)
    asked = sent(member.on_timer(AckDue(sequence), 0.5), PingRequest)
    assert {send.to for send in asked} <= set(others)
    told = events(member.on_timer(PROBE, 1.0))
    assert [event.endpoint_id for event in told if isinstance(event, MemberSuspect)] == [target.endpoint_id]


def test_pings_for_others_are_bounded_and_only_for_members() -> None:
    member = swim(1, (2, 9))
    assert sent(member.on_message(person(7), PingRequest(1, 0, VICTIM.endpoint_id), 1.0)) == []
    assert sent(member.on_message(LIAR, PingRequest(1, 0, person(8).endpoint_id), 1.0)) == []
    for sequence in range(3 * ERRANDS_MAX):
        assert sent(member.on_message(LIAR, PingRequest(sequence, 0, VICTIM.endpoint_id), 1.0))[0].to == VICTIM
    assert len(member._prober._errands) == ERRANDS_MAX


def test_tables_are_told_so_often_in_pieces_of_so_much_and_only_for_oneself() -> None:
    member = swim(1, (9,), members_max=10_000)
    member.on_message(LIAR, Gossip(0, tuple(fake(number) for number in range(200, 400))), 0.0)
    request = SyncRequest(Alive(LIAR, 0), bytes(BUCKETS * DIGEST_BYTES))
    answers = [sent(member.on_message(LIAR, request, 1.0), SyncAnswer) for _ in range(100)]
    told = [send.message for sends in answers for send in sends]
    assert len(told) == ANSWERS_MAX
    assert all(sum(rumour.size_bytes for rumour in answer.rumours) <= PIECE_BYTES_MAX + 200 for answer in told)
    other = swim(1, (9,))
    assert sent(other.on_message(LIAR, SyncRequest(Alive(VICTIM, 0), bytes(512)), 1.0)) == []


def test_an_answer_that_nobody_asked_for_is_ignored() -> None:
    member = swim(1, (9,))
    member.on_message(LIAR, SyncAnswer(0, b"", (fake(50),), True), 1.0)
    assert len(member.members()) == 1


def test_liars_cannot_slow_a_member_down_faster_than_once_per_interval() -> None:
    member = swim(1, (9,))
    for _ in range(100):
        lie = Suspect(ME.endpoint_id, member.incarnation, LIAR.endpoint_id)
        member.on_message(LIAR, Gossip(0, (lie,)), 10.0)
    assert member.local_health == 1
    assert member.incarnation == 100
