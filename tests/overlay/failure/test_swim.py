"""A group finds out who is gone, who only seems to be, and who comes and goes."""

import pytest
from tests.overlay.failure.groups import GroupRun, rng

from nearcast.overlay.failure.events import MemberAlive, MemberDead, MemberLeft, MemberSuspect
from nearcast.overlay.failure.messages import Gossip, SyncAnswer, fields, parse
from nearcast.overlay.failure.rumours import Alive
from nearcast.overlay.failure.settings import lan, plain_swim, wan
from nearcast.overlay.failure.swim import Swim
from nearcast.sim.partition import cut
from nearcast.wire import decode_message, encode_message


def test_whoever_crashes_is_found_dead_by_all() -> None:
    run = GroupRun(40)
    run.simulation.run_until(10)
    run.simulation.crash(run.peers[0])
    run.simulation.run_until(40)
    assert run.states(run.peers[0]) == {"dead"}
    assert {peer for _, peer, _ in run.tellings(MemberDead)} == set(run.peers[1:])
    assert min(now_s for now_s, _, _ in run.tellings(MemberSuspect)) < 10 + 8


@pytest.mark.parametrize("preset", [lan, wan, plain_swim])
def test_nobody_who_lives_dies_of_lost_messages(preset: type) -> None:
    run = GroupRun(60, preset(), loss=0.05)
    run.simulation.run_until(200)
    assert run.simulation.network.lost > 300
    assert run.tellings(MemberDead) == []


def test_the_first_to_miss_somebody_takes_as_long_in_any_group() -> None:
    """SWIM, section 3: 1.58 intervals on average, whatever the size."""
    means = []
    for count in (20, 80):
        run = GroupRun(count)
        delays = []
        for victim in run.peers[:10]:
            crashed_s = run.simulation.now_s
            run.simulation.crash(victim)
            run.simulation.run_until(crashed_s + 8)
            delays.append(min(now_s for now_s, _, _ in run.tellings(MemberSuspect, victim)) - crashed_s)
        means.append(sum(delays) / len(delays))
    assert 0.8 < means[0] < 3.2
    assert 0.8 < means[1] < 3.2


def test_who_leaves_has_left_and_is_not_dead() -> None:
    run = GroupRun(30)
    run.simulation.run_until(5)
    leaver = run.peers[3]
    machine = leaver.machine
    assert isinstance(machine, Swim)
    run.simulation.leave(leaver, machine.leave(run.simulation.now_s))
    run.simulation.run_until(6)
    assert run.states(leaver) <= {"left", "suspect"}
    run.simulation.run_until(90)
    assert run.states(leaver) == {"left"}
    assert len(run.tellings(MemberLeft)) == 29
    assert run.tellings(MemberDead) == []


def test_a_newcomer_knows_all_and_is_known_to_all_within_seconds() -> None:
    run = GroupRun(30)
    run.simulation.run_until(5)
    address = run.simulation.new_address()
    newcomer = Swim(address, rng("newcomer"), lan())
    peer = run.simulation.add(newcomer, address)
    run.simulation.give(peer, newcomer.join([run.peers[7].address], run.simulation.now_s))
    run.simulation.run_until(10)
    assert len(newcomer.members()) == 30
    assert run.states(peer) == {"alive"}
    assert len([1 for _, who, event in run.told if isinstance(event, MemberAlive) and who is not peer]) == 30


def test_a_newcomer_to_a_large_group_asks_in_pieces() -> None:
    run = GroupRun(600)
    address = run.simulation.new_address()
    newcomer = Swim(address, rng("newcomer"), lan())
    peer = run.simulation.add(newcomer, address)
    run.simulation.give(peer, newcomer.join([run.peers[7].address], run.simulation.now_s))
    run.simulation.run_until(6)
    assert len(newcomer.members()) == 600
    assert run.simulation.sent_of_kind[SyncAnswer] >= 3


def test_strangers_who_all_know_one_seed_become_a_group() -> None:
    run = GroupRun(25, is_acquainted=False)
    for peer in run.peers:
        assert isinstance(peer.machine, Swim)
        run.simulation.give(peer, peer.machine.join([run.peers[0].address], 0.0))
    run.simulation.run_until(30)
    for peer in run.peers:
        assert isinstance(peer.machine, Swim)
        assert len(peer.machine.members()) == 24
    assert run.tellings(MemberDead) == []


def test_a_seed_that_comes_late_is_asked_again() -> None:
    run = GroupRun(2, is_acquainted=False)
    seed, other = run.peers
    run.simulation.crash(seed)
    assert isinstance(other.machine, Swim)
    run.simulation.give(other, other.machine.join([seed.address], 0.0))
    run.simulation.run_until(12)
    run.simulation.add(Swim(seed.address, rng("seed"), lan()), seed.address)
    run.simulation.run_until(40)
    assert other.machine.state_of(seed.endpoint_id) == "alive"


def test_who_restarts_comes_back_above_its_former_incarnation() -> None:
    run = GroupRun(20)
    run.simulation.run_until(5)
    victim = run.peers[4]
    run.simulation.crash(victim)
    run.simulation.run_until(40)
    assert run.states(victim) == {"dead"}
    again = Swim(victim.address, rng("again"), lan())
    peer = run.simulation.add(again, victim.address)
    run.simulation.give(peer, again.join([run.peers[0].address], run.simulation.now_s))
    run.simulation.run_until(60)
    assert run.states(victim) == {"alive"}
    assert again.incarnation == 1


@pytest.mark.parametrize("is_dead", [True, False])
@pytest.mark.parametrize("former", [1000, 60_000])
def test_who_restarts_far_below_its_former_incarnation_is_soon_alive_for_all(former: int, is_dead: bool) -> None:
    run = GroupRun(20)
    run.simulation.run_until(5)
    victim = run.peers[4]
    for peer in run.peers:
        if peer is not victim:
            rumour = Alive(victim.address, former)
            run.simulation.give(peer, peer.machine.on_message(victim.address, Gossip(former, (rumour,)), 5.0))
    run.simulation.crash(victim)
    run.simulation.run_until(45 if is_dead else 5.5)
    assert run.states(victim) == {"dead" if is_dead else "alive"}
    again = Swim(victim.address, rng("again"), lan())
    peer = run.simulation.add(again, victim.address)
    run.simulation.give(peer, again.join([run.peers[0].address], run.simulation.now_s))
    run.simulation.run_until(run.simulation.now_s + 20)
    assert run.states(victim) == {"alive"}
    assert again.incarnation >= former
    run.simulation.run_until(run.simulation.now_s + 40)
    assert run.states(victim) == {"alive"}


def test_a_parted_group_grows_together_again() -> None:
    run = GroupRun(20)
    run.simulation.run_until(5)
    run.simulation.network.partition = cut("split", run.peers, rng())
    run.simulation.run_until(150)
    assert run.tellings(MemberDead)
    run.simulation.network.partition = None
    run.simulation.run_until(400)
    for peer in run.peers:
        assert run.states(peer) == {"alive"}


def test_a_member_that_stood_still_for_a_minute_comes_back() -> None:
    run = GroupRun(30)
    run.simulation.run_until(5)
    slow = run.peers[2]
    slow.pause_s, slow.pause_every_s, slow.pause_shift_s = 60.0, 1000.0, -5.0
    run.simulation.run_until(60)
    assert run.states(slow) == {"dead"}
    run.simulation.run_until(100)
    assert run.states(slow) == {"alive"}
    assert {peer for _, peer, event in run.tellings(MemberDead)} == set(run.peers) - {slow}


def test_what_travels_is_what_is_read() -> None:
    """Every message of a lively group, encoded and read back."""
    kinds = set()

    def size_of(message: object) -> int:
        payload = encode_message(fields(message))  # type: ignore[arg-type]
        assert parse(decode_message(payload[4:])) == message
        kinds.add(type(message).__name__)
        if not isinstance(message, SyncAnswer | Gossip):
            assert len(payload) <= 1200
        return len(payload)

    run = GroupRun(30, loss=0.1, size_of=size_of)
    address = run.simulation.new_address()
    newcomer = Swim(address, rng("newcomer"), lan())
    newcomer.coordinate = bytes(100)
    peer = run.simulation.add(newcomer, address)
    run.simulation.give(peer, newcomer.join([run.peers[7].address], 0.0))
    run.simulation.crash(run.peers[0])
    run.simulation.run_until(40)
    assert kinds == {
        "Ping", "Ack", "PingRequest", "IndirectAck", "Nack", "Gossip", "SyncRequest", "SyncAnswer",
    }  # fmt: skip
    assert sum(p.sent_bytes for p in run.peers) / 30 / 40 < 1000


def test_the_same_seed_gives_the_same_trace() -> None:
    hashes = []
    for _ in range(2):
        run = GroupRun(20, loss=0.1, seed=9)
        run.simulation.crash(run.peers[0])
        run.simulation.run_until(30)
        hashes.append((run.simulation.trace.steps, [(now_s, event) for now_s, _, event in run.told]))
    assert hashes[0] == hashes[1]
