"""What the network does to messages, each fault by itself, measured against what was asked for."""

import itertools
import random

import pytest
from tests.sim.toys import RTT_S, Note, Recorder, recorders, world

from nearcast.errors import UsageError
from nearcast.overlay.machine import Send
from nearcast.sim.dialling import IDLE_S, Dialling
from nearcast.sim.network import RESENT_FOR_S
from nearcast.sim.partition import ISOLATE, ONE_WAY, SPLIT, Partition, cut
from nearcast.sim.peer import CONE, OPEN, SYMMETRIC, Peer
from nearcast.sim.simulation import Simulation
from nearcast.transport.base import PeerAddress

ONE_WAY_S = RTT_S / 2
MANY = 4000


def flood(simulation: Simulation, *, is_reliable: bool, every_s: float = 0.01) -> tuple[Recorder, Recorder]:
    """One peer sends MANY messages to another, evenly."""
    (sender, target), (sender_peer, target_peer) = recorders(simulation, 2)
    for at in range(MANY):
        effects = [Send(target_peer.address, Note(number=at), is_reliable)]
        simulation.call_at(at * every_s, lambda effects=effects: simulation.give(sender_peer, effects))  # type: ignore[misc]
    simulation.run_until(MANY * every_s + 60.0)
    return sender, target


def delays_s(target: Recorder, every_s: float = 0.01) -> list[float]:
    return [now_s - message.number * every_s for now_s, _, message in target.messages]


@pytest.mark.parametrize("loss", [0.05, 0.3])
def test_a_share_of_unreliable_messages_is_lost_and_nobody_is_told(loss: float) -> None:
    sender, target = flood(world(loss=loss), is_reliable=False)
    assert 1 - len(target.messages) / MANY == pytest.approx(loss, abs=0.025)  # 3.4 standard deviations
    assert not sender.unreachable


def test_reliable_messages_survive_loss_later_by_a_probe_timeout() -> None:
    sender, target = flood(world(loss=0.1), is_reliable=True)
    assert len(target.messages) == MANY
    assert not sender.unreachable
    late = [delay_s for delay_s in delays_s(target) if delay_s > ONE_WAY_S + 1e-6]
    assert len(late) / MANY == pytest.approx(0.1, abs=0.02)
    assert min(late) == pytest.approx(RTT_S * 1.5 + 0.025 + ONE_WAY_S)


def test_a_link_that_loses_almost_everything_is_given_up() -> None:
    sender, target = flood(world(loss=0.9), is_reliable=True)
    assert 0 < len(target.messages) < MANY
    assert sender.unreachable
    assert max(delays_s(target)) <= RESENT_FOR_S + ONE_WAY_S


def test_jitter_adds_its_share_of_the_delay_on_the_mean() -> None:
    _, target = flood(world(jitter=0.2), is_reliable=False)
    delays = delays_s(target)
    assert min(delays) >= ONE_WAY_S
    assert sum(delays) / MANY == pytest.approx(ONE_WAY_S * 1.2, rel=0.02)


def test_unreliable_messages_are_repeated_and_reliable_ones_never() -> None:
    _, target = flood(world(duplication=0.25), is_reliable=False)
    assert len(target.messages) / MANY == pytest.approx(1.25, abs=0.025)
    _, target = flood(world(duplication=0.25), is_reliable=True)
    assert len(target.messages) == MANY


def test_reordered_messages_are_overtaken() -> None:
    _, target = flood(world(reordering=0.1, reorder_s=0.5), is_reliable=True)
    numbers = [message.number for _, _, message in target.messages]
    assert sorted(numbers) == list(range(MANY))
    overtaken = sum(later < earlier for earlier, later in itertools.pairwise(numbers))
    assert MANY * 0.05 < overtaken < MANY * 0.15
    _, target = flood(world(), is_reliable=True)
    assert [message.number for _, _, message in target.messages] == list(range(MANY)), "without faults: in order"


def test_a_line_takes_one_message_after_the_other() -> None:
    simulation = world(up_bytes_per_s=1000.0, down_bytes_per_s=500.0)
    simulation.size_of = lambda message: 100
    (_, target), (sender_peer, target_peer) = recorders(simulation, 2)
    simulation.give(sender_peer, [Send(target_peer.address, Note()) for _ in range(3)])
    simulation.run_until(5.0)
    # The first leaves after 0.1 s and is taken in 0.2 s; the line of the receiver is the narrower one.
    expected = [0.1 + ONE_WAY_S + 0.2 * count for count in (1, 2, 3)]
    assert [now_s for now_s, _, _ in target.messages] == pytest.approx(expected)


def test_knobs_are_checked() -> None:
    network = world().network
    network.change(loss=0.5)
    assert network.loss == 0.5
    with pytest.raises(UsageError, match="loss is a share"):
        network.change(loss=1.5)
    with pytest.raises(UsageError, match="no wind; it has jitter"):
        network.change(wind=1.0)


def cut_in_two(simulation: Simulation, *, is_one_way: bool) -> tuple[list[Recorder], list[Peer]]:
    """Peers 0 and 1 on one side, 2 and 3 on the other; everybody sends to everybody else."""
    machines, peers = recorders(simulation, 4)
    for peer in peers[2:]:
        peer.side = 1
    simulation.network.partition = Partition(is_one_way=is_one_way)
    for peer in peers:
        for reliable in (True, False):
            effects = [Send(other.address, Note(), reliable) for other in peers if other is not peer]
            simulation.give(peer, effects)
    simulation.run_until(30.0)
    return machines, peers


def test_a_partition_blocks_both_ways_and_tells_who_insists() -> None:
    machines, peers = cut_in_two(world(), is_one_way=False)
    for at, machine in enumerate(machines):
        friend = peers[at ^ 1].endpoint_id
        assert [sender for _, sender, _ in machine.messages] == [friend, friend]
        others = [peers[each].endpoint_id for each in range(4) if each // 2 != at // 2]
        assert [who for _, who in machine.unreachable] == others


def test_a_one_way_partition_lets_the_other_direction_through() -> None:
    machines, _ = cut_in_two(world(), is_one_way=True)
    assert [len(machine.messages) for machine in machines] == [2, 2, 6, 6]
    assert [len(machine.unreachable) for machine in machines] == [0, 0, 2, 2]


@pytest.mark.parametrize("kind", [SPLIT, ISOLATE, ONE_WAY])
def test_kinds_of_partition(kind: str) -> None:
    _, peers = recorders(world(), 20)
    sizes = set()
    for seed in range(200):
        partition = cut(kind, peers, random.Random(seed))
        assert partition.is_one_way == (kind == ONE_WAY)
        sizes.add(sum(peer.side for peer in peers))
    assert sizes == ({1} if kind == ISOLATE else set(range(1, 20))), "every size comes up"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="sideways"):
        cut("sideways", [], random.Random(1))


def first_arrival_s(dialling_kind: int, dialled_kind: int, *, is_lenient: bool = True) -> float | None:
    simulation = world(dialling=Dialling(is_lenient=is_lenient))
    (_, target), (sender_peer, target_peer) = recorders(simulation, 2)
    sender_peer.nat, target_peer.nat = dialling_kind, dialled_kind
    simulation.give(sender_peer, [Send(target_peer.address, Note())])
    simulation.run_until(30.0)
    return target.messages[0][0] if target.messages else None


HANDSHAKE_S, PUNCHED_S = RTT_S + ONE_WAY_S, 2 * RTT_S + ONE_WAY_S


@pytest.mark.parametrize(
    ("dialling", "dialled", "arrival_s", "strictly_s"),
    [
        (OPEN, OPEN, HANDSHAKE_S, HANDSHAKE_S),
        (CONE, OPEN, HANDSHAKE_S, HANDSHAKE_S),
        (SYMMETRIC, OPEN, HANDSHAKE_S, HANDSHAKE_S),
        (OPEN, CONE, PUNCHED_S, PUNCHED_S),
        (OPEN, SYMMETRIC, PUNCHED_S, PUNCHED_S),
        (CONE, CONE, PUNCHED_S, PUNCHED_S),
        (CONE, SYMMETRIC, PUNCHED_S, None),
        (SYMMETRIC, CONE, PUNCHED_S, None),
        (SYMMETRIC, SYMMETRIC, None, None),
    ],
)
def test_who_can_dial_whom(dialling: int, dialled: int, arrival_s: float | None, strictly_s: float | None) -> None:
    assert first_arrival_s(dialling, dialled) == (None if arrival_s is None else pytest.approx(arrival_s))
    strict = first_arrival_s(dialling, dialled, is_lenient=False)
    assert strict == (None if strictly_s is None else pytest.approx(strictly_s))


def test_an_open_connection_serves_both_ways_until_it_is_idle() -> None:
    simulation = world(dialling=Dialling())
    (one, other), (one_peer, other_peer) = recorders(simulation, 2)
    other_peer.nat = OPEN
    one_peer.nat = SYMMETRIC
    gap_s = 5.0
    for at_s, sender, target in (
        (0.0, one_peer, other_peer),
        (gap_s, other_peer, one_peer),
        (2 * gap_s + IDLE_S, one_peer, other_peer),
    ):
        effects = [Send(target.address, Note())]
        simulation.call_at(at_s, lambda s=sender, e=effects: simulation.give(s, e))  # type: ignore[misc]
    simulation.run_until(60.0)
    assert one.messages[0][0] == pytest.approx(gap_s + ONE_WAY_S), "back over the connection: no dial"
    later_s = 2 * gap_s + IDLE_S
    assert [now_s for now_s, _, _ in other.messages] == pytest.approx([HANDSHAKE_S, later_s + HANDSHAKE_S])


def test_wrong_addresses_lead_nowhere_unless_a_connection_is_open() -> None:
    simulation = world(dialling=Dialling())
    (sender, target), (sender_peer, target_peer) = recorders(simulation, 2)
    false = PeerAddress(target_peer.endpoint_id, ("1.2.3.4:5",))
    simulation.give(sender_peer, [Send(false, Note("lost"))])
    simulation.run_until(10.0)
    assert [who for _, who in sender.unreachable] == [target_peer.endpoint_id]
    simulation.give(sender_peer, [Send(target_peer.address, Note("dialled")), Send(false, Note("on it"))])
    simulation.run_until(20.0)
    assert sorted(message.text for _, _, message in target.messages) == ["dialled", "on it"]
