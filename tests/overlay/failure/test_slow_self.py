"""A member that doubts itself first: local health, NACKs, and timers that ring late."""

import pytest
from tests.overlay.failure.groups import armed, events, person, sent, swim

from nearcast.overlay.failure.beliefs import SWEEP
from nearcast.overlay.failure.events import MemberDead, MemberSuspect
from nearcast.overlay.failure.messages import Ack, IndirectAck, Nack, Ping, PingRequest
from nearcast.overlay.failure.probing import PROBE, AckDue, NackDue
from nearcast.overlay.failure.rumours import Suspect
from nearcast.overlay.failure.swim import Swim
from nearcast.overlay.machine import Send


def begin(member: Swim, now_s: float = 0.0) -> tuple[Send, int]:
    """A probe begins: the ping, and its number."""
    list(member.start(now_s))
    member._prober._due_s = now_s
    ping = sent(member.on_timer(PROBE, now_s), Ping)[0]
    return ping, ping.message.sequence


@pytest.mark.parametrize(("answers", "score"), [(0, 3), (1, 2), (2, 1), (3, 0)])
def test_each_missing_nack_is_a_sign_that_it_is_us(answers: int, score: int) -> None:
    member = swim(1, (2, 3, 4, 5))
    _, sequence = begin(member)
    asked = sent(member.on_timer(AckDue(sequence), 0.5), PingRequest)
    for send in asked[:answers]:
        member.on_message(send.to, Nack(sequence), 0.9)
    effects = list(member.on_timer(PROBE, 1.0))
    assert member.local_health == score
    assert armed(effects, PROBE) == [1.0 + score]
    assert [type(event) for event in events(effects)] == [MemberSuspect]


def test_an_answer_heals_and_one_through_others_too() -> None:
    member = swim(1, (2, 3, 4, 5))
    member._beliefs.health.change(+2)
    ping, sequence = begin(member)
    member.on_message(ping.to, Ack(sequence, 0), 0.1)
    member.on_message(ping.to, Ack(sequence, 0), 0.1)
    assert member.local_health == 1
    _, sequence = begin(member, 2.0)
    proxy = sent(member.on_timer(AckDue(sequence), 3.0), PingRequest)[0].to
    member.on_message(proxy, IndirectAck(sequence), 3.1)
    assert member.local_health == 0
    assert events(member.on_timer(PROBE, 4.0)) == []


def test_with_the_indirect_probes_goes_one_that_the_transport_repeats() -> None:
    member = swim(1, (2, 3, 4, 5))
    ping, sequence = begin(member)
    again = sent(member.on_timer(AckDue(sequence), 0.5), Ping)[0]
    assert again.to == ping.to
    assert again.is_reliable
    assert again.message.is_reliable
    other = swim(int(ping.to.endpoint_id[0]), (1,))
    ack = sent(other.on_message(person(1), again.message, 0.6), Ack)[0]
    assert ack.is_reliable
    member.on_message(ping.to, ack.message, 0.7)
    assert events(member.on_timer(PROBE, 1.0)) == []


def test_who_is_unreachable_is_tried_through_others_at_once() -> None:
    member = swim(1, (2, 3, 4, 5))
    ping, sequence = begin(member)
    assert len(sent(member.on_unreachable(ping.to.endpoint_id, 0.1), PingRequest)) == 3
    assert sent(member.on_timer(AckDue(sequence), 0.5)) == []


def test_who_pings_for_others_says_when_there_is_no_answer_and_when_there_is_one_late() -> None:
    member = swim(1, (2, 3))
    effects = list(member.on_message(person(2), PingRequest(77, 0, person(3).endpoint_id), 0.0))
    sequence = sent(effects, Ping)[0].message.sequence
    assert armed(effects, NackDue(sequence)) == [0.4]
    assert [send.message for send in sent(member.on_timer(NackDue(sequence), 0.4))] == [Nack(77)]
    answers = list(member.on_message(person(3), Ack(sequence, 0), 0.6))
    assert [(send.to, send.message) for send in sent(answers)] == [(person(2), IndirectAck(77))]


def test_a_probe_across_a_pause_of_ours_accuses_nobody() -> None:
    member = swim(1, (2, 3, 4, 5))
    begin(member)
    assert events(member.on_timer(PROBE, 9.0)) == []
    assert member.local_health == 1
    plain = swim(1, (2, 3, 4, 5), has_stall_guard=False)
    begin(plain)
    assert [type(event) for event in events(plain.on_timer(PROBE, 9.0))] == [MemberSuspect]


def test_a_suspicion_across_a_pause_of_ours_has_its_time_all_the_same() -> None:
    member = swim(1, (2, 3, 4, 5))
    rumour = Suspect(person(2).endpoint_id, 0, person(3).endpoint_id)
    member.on_message(person(3), Ping(1, 0, (rumour,)), 0.0)
    deadline_s = member._beliefs.suspicions[person(2).endpoint_id].deadline_s
    effects = list(member.on_timer(SWEEP, deadline_s + 100))
    assert events(effects) == []
    left_s = armed(effects, SWEEP)[0]
    assert left_s == pytest.approx(member.settings.suspicion_min_s(5) / 2)
    assert [type(event) for event in events(member.on_timer(SWEEP, deadline_s + 100 + left_s))] == [MemberDead]


def test_whoever_is_suspected_hears_so_from_us_and_contradicts() -> None:
    member = swim(1, (2, 3, 4, 5))
    rumour = Suspect(person(2).endpoint_id, 0, person(3).endpoint_id)
    member.on_message(person(3), Ping(1, 0, (rumour,)), 0.0)
    while member._beliefs.queue:
        member.on_timer("gossip", 0.1)
    answer = sent(member.on_message(person(2), Ping(5, 0), 0.2), Ack)[0].message
    assert answer.rumours == (rumour,)
    suspect = swim(2, (1, 3))
    suspect.on_message(person(1), answer, 0.3)
    assert suspect.incarnation == 1
    assert suspect.local_health == 1
    silent = swim(1, (2, 3), has_buddy=False)
    silent.on_message(person(3), Ping(1, 0, (rumour,)), 0.0)
    while silent._beliefs.queue:
        silent.on_timer("gossip", 0.1)
    assert sent(silent.on_message(person(2), Ping(5, 0), 0.2), Ack)[0].message.rumours == ()
