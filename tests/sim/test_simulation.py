"""What the simulation does to machines: when things happen to them, who lives, whose clock shows what."""

import pytest
from tests.sim.toys import RTT_S, Got, Note, Recorder, recorders, world

from nearcast.errors import NearcastError
from nearcast.overlay.machine import Arm, Drop, Keep, Send
from nearcast.sim.network import GIVE_UP_S
from nearcast.sim.simulation import SILENCE_S, MachineFailedError

ONE_WAY_S = RTT_S / 2


def test_a_message_takes_half_a_round_trip_and_names_its_sender() -> None:
    simulation = world()
    (_, ben), (anna_peer, ben_peer) = recorders(simulation, 2)
    simulation.give(anna_peer, [Send(ben_peer.address, Note("hello"))])
    simulation.run_until(1.0)
    assert ben.messages == [(ONE_WAY_S, anna_peer.endpoint_id, Note("hello"))]
    assert (anna_peer.sent_messages, ben_peer.received_messages) == (1, 1)
    assert simulation.sent_of_kind == {Note: 1}
    assert simulation.now_s == 1.0


def test_timers_ring_after_their_time_in_order_and_events_reach_their_observers() -> None:
    simulation = world()
    machine = Recorder(first=[Arm(2.0, "late"), Arm(1.0, "early"), Arm(1.0, "too")])
    peer = simulation.add(machine, simulation.new_address())
    heard: list[tuple[str, float]] = []
    simulation.observe(Got, lambda who, event, now_s: heard.append((event.text, now_s)))
    simulation.give(peer, [Send(peer.address, Note("to myself"))])
    simulation.run_until(5.0)
    assert machine.timers == [(1.0, "early"), (1.0, "too"), (2.0, "late")]
    assert heard == [("to myself", ONE_WAY_S)]


def test_who_does_not_exist_or_is_dead_is_unreachable_once_per_dial() -> None:
    simulation = world()
    (anna, _), (anna_peer, ben_peer) = recorders(simulation, 2)
    nobody = simulation.new_address()
    simulation.crash(ben_peer)
    simulation.give(anna_peer, [Send(ben_peer.address, Note(str(at))) for at in range(3)])
    simulation.give(anna_peer, [Send(nobody, Note())])
    simulation.run_until(60.0)
    assert anna.unreachable == [(GIVE_UP_S, ben_peer.endpoint_id), (GIVE_UP_S, nobody.endpoint_id)]


def test_a_message_under_way_to_a_peer_that_crashes_comes_back_as_unreachable() -> None:
    simulation = world()
    (anna, ben), (anna_peer, ben_peer) = recorders(simulation, 2)
    simulation.give(anna_peer, [Send(ben_peer.address, Note())])
    simulation.call_at(ONE_WAY_S / 2, lambda: simulation.crash(ben_peer))
    simulation.run_until(60.0)
    assert not ben.messages
    assert anna.unreachable == [(ONE_WAY_S + GIVE_UP_S, ben_peer.endpoint_id)]


def test_the_end_of_a_kept_connection_is_news() -> None:
    simulation = world()
    machines, peers = recorders(simulation, 4)
    for at in (1, 2):
        simulation.give(peers[at], [Keep(peers[0].address)])
    simulation.give(peers[2], [Drop(peers[0].endpoint_id)])
    simulation.call_at(1.0, lambda: simulation.crash(peers[0]))
    simulation.run_until(60.0)
    assert machines[1].unreachable == [(1.0 + SILENCE_S, peers[0].endpoint_id)]
    assert not machines[2].unreachable, "it had dropped the connection"
    assert not machines[3].unreachable, "it had none"


def test_who_leaves_closes_its_connections_and_may_say_goodbye() -> None:
    simulation = world()
    (_, ben), (anna_peer, ben_peer) = recorders(simulation, 2)
    simulation.give(ben_peer, [Keep(anna_peer.address)])
    simulation.leave(anna_peer, [Send(ben_peer.address, Note("goodbye"))])
    simulation.run_until(1.0)
    assert [message for _, _, message in ben.messages] == [Note("goodbye")]
    assert ben.unreachable == [(ONE_WAY_S, anna_peer.endpoint_id)]
    assert simulation.alive == [ben_peer]


def test_to_keep_somebody_who_is_not_there_fails_as_a_dial() -> None:
    simulation = world()
    (anna,), (peer,) = recorders(simulation, 1)
    nobody = simulation.new_address()
    simulation.give(peer, [Keep(nobody)])
    simulation.run_until(60.0)
    assert anna.unreachable == [(GIVE_UP_S, nobody.endpoint_id)]


def test_a_peer_that_comes_back_hears_nothing_of_its_former_life() -> None:
    simulation = world()
    machine = Recorder(first=[Arm(10.0, "from its first life")])
    first = simulation.add(machine, simulation.new_address())
    (_,), (other,) = recorders(simulation, 1)
    simulation.run_until(1.0)
    simulation.give(other, [Send(first.address, Note("to the first"))])
    simulation.crash(first)
    machine.first = [Arm(20.0, "from its second life")]
    second = simulation.add(machine, first.address)
    simulation.run_until(2.0)
    simulation.give(other, [Send(first.address, Note("to the second"))])
    simulation.run_until(60.0)
    assert machine.timers == [(21.0, "from its second life")]
    assert [message.text for _, _, message in machine.messages] == ["to the second"]
    assert simulation.peers[first.endpoint_id] is second
    with pytest.raises(ValueError, match="here already"):
        simulation.add(machine, first.address)


def test_each_machine_sees_its_own_clock_and_its_timers_run_by_it() -> None:
    simulation = world()
    machine = Recorder(first=[Arm(10.0, "ten of my seconds")])

    def shape(peer: object) -> None:
        setattr(peer, "clock_rate", 1.25)  # noqa: B010 - the hook is for any peer
        setattr(peer, "clock_offset_s", 100.0)  # noqa: B010

    simulation.on_added.append(shape)
    simulation.add(machine, simulation.new_address())
    assert machine.started_s == 100.0
    simulation.run_until(7.99)
    assert not machine.timers
    simulation.run_until(8.01)
    ((rang_s, timer),) = machine.timers
    assert rang_s == pytest.approx(110.0)
    assert timer == "ten of my seconds"


def test_clocks_may_begin_at_another_time_than_zero() -> None:
    simulation = world()
    simulation.epoch_s = 1000.0
    machine = Recorder(first=[Arm(2.0, "tick")])
    peer = simulation.add(machine, simulation.new_address())
    simulation.run_until(5.0)
    assert (machine.started_s, machine.timers) == (1000.0, [(1002.0, "tick")])
    assert peer.clock_s(simulation.now_s) == 1005.0


def test_a_slow_member_does_nothing_while_it_stands_still_and_then_everything_in_order() -> None:
    simulation = world()
    (_, ben), (anna_peer, ben_peer) = recorders(simulation, 2)
    ben_peer.pause_s, ben_peer.pause_every_s = 2.0, 3.0  # still from 0 to 2, from 5 to 7, ...
    for at_s in (0.5, 1.0, 3.0, 6.0):
        effects = [Send(ben_peer.address, Note(f"{at_s}"))]
        simulation.call_at(at_s, lambda effects=effects: simulation.give(anna_peer, effects))  # type: ignore[misc]
    simulation.run_until(20.0)
    assert [(now_s, message.text) for now_s, _, message in ben.messages] == [
        (2.0, "0.5"),
        (2.0, "1.0"),
        (3.0 + ONE_WAY_S, "3.0"),
        (7.0, "6.0"),
    ]


def test_bytes_are_counted_where_their_size_is_known() -> None:
    simulation = world()
    simulation.size_of = lambda message: 100 + len(message.text)
    _, (one, other) = recorders(simulation, 2)
    simulation.give(one, [Send(other.address, Note("12345"))])
    simulation.run_until(1.0)
    assert (one.sent_bytes, other.received_bytes, simulation.bytes_of_kind) == (105, 105, {Note: 105})


def test_a_machine_that_fails_is_named_with_the_moment_and_the_cause() -> None:
    class Failing(Recorder):
        def on_timer(self, timer: object, now_s: float) -> list[Send]:
            raise KeyError("lost")

    simulation = world()
    simulation.add(Failing(first=[Arm(3.0, "tick")]), simulation.new_address())
    with pytest.raises(MachineFailedError, match=r"at 3.000000 s, peer 0 .*on 'tick': KeyError: 'lost'") as raised:
        simulation.run_until(10.0)
    assert isinstance(raised.value, NearcastError)
    assert isinstance(raised.value.__cause__, KeyError)


def test_what_is_no_effect_is_refused() -> None:
    simulation = world()
    _, (peer,) = recorders(simulation, 1)
    with pytest.raises(TypeError, match="not an effect"):
        simulation.give(peer, ["hello"])


def test_addresses_are_all_different_and_public() -> None:
    simulation = world()
    addresses = [simulation.new_address() for _ in range(2000)]
    assert len({address.endpoint_id for address in addresses}) == 2000
    assert len({address.addresses[0] for address in addresses}) == 2000
    firsts = {int(address.addresses[0].split(".")[0]) for address in addresses}
    assert not firsts & {0, 10, 127, 192} and max(firsts) < 224  # noqa: PT018 - one thought
