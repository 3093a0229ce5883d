"""A machine on a transport: messages, timers, failures, and what a bug costs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.overlay.playground import members, until

from nearcast.keys import new_identity
from nearcast.overlay.machine import Arm, Drop, Keep, Send
from nearcast.overlay.service import MachineClock
from nearcast.transport.base import PeerAddress


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_a_message_goes_there_and_the_answer_comes_back_on_the_same_stream() -> None:
    async def main() -> None:
        async with members(2) as (near, far):
            near.send(far, "ping")
            await until(lambda: near.machine.heard)
            assert far.machine.heard == [(near.id, "ping")]
            assert near.machine.heard == [(far.id, "pong")]
            assert near.telemetry.counters["connections_dialled"] == 1
            assert far.telemetry.counters["connections_dialled"] == 0, "it answers where it was asked"
            assert far.machine.senders[near.id].addresses == near.address.addresses, "it is told where to dial back"

    run(main())


def test_many_messages_keep_their_order() -> None:
    async def main() -> None:
        async with members(2) as (near, far):
            for number in range(300):
                near.send(far, number)
            await until(lambda: len(far.machine.heard) == 300)
            assert [message for _, message in far.machine.heard] == list(range(300))

    run(main())


def test_two_that_dial_each_other_at_once_lose_nothing() -> None:
    async def main() -> None:
        async with members(2, latency_s=0.005) as (one, two):
            for number in range(20):
                one.send(two, number)
                two.send(one, number)
            await until(lambda: len(one.machine.heard) == 20 and len(two.machine.heard) == 20)
            one.send(two, "later")
            two.send(one, "later")
            await until(lambda: one.machine.heard[-1][1] == "later" == two.machine.heard[-1][1])
            assert not one.machine.lost
            assert not two.machine.lost

    run(main())


def test_of_two_that_dial_each_other_the_later_gives_up_and_loses_nothing() -> None:
    async def main() -> None:
        async with members(2, latency_s=0.05) as (first, later):
            for number in range(20):
                first.send(later, number)
            await until(lambda: later.accepted)  # and the first one's hello is on its way
            for number in range(20):
                later.send(first, number)
            await until(lambda: len(first.machine.heard) == 20 and len(later.machine.heard) == 20)
            assert later.telemetry.counters["overlay_dials_crossed"] == 1
            assert [len(member.service.links.snapshot()) for member in (first, later)] == [1, 1]
            assert not later.pool.count
            assert not first.machine.lost
            assert not later.machine.lost

    run(main())


def test_timers_ring_in_order_and_those_of_a_stopped_service_do_not() -> None:
    async def main() -> None:
        async with members(1) as (member,):
            member.service.perform([Arm(0.03, "third"), Arm(0.0, "first"), Arm(0.015, "second"), Arm(60.0, "never")])
            await until(lambda: len(member.machine.rung) == 4)
            assert member.machine.rung == ["first", "soon", "second", "third"]
        member.service.perform([Arm(0.0, "after the end")])
        await asyncio.sleep(0)
        assert member.machine.rung[-1] == "third"

    run(main())


def test_who_cannot_be_reached_is_told() -> None:
    async def main() -> None:
        async with members(1) as (member,):
            nobody, nowhere = new_identity().endpoint_id, new_identity().endpoint_id
            dead = PeerAddress(nobody, ("memory-99:1",))
            member.service.perform([Send(dead, "ping"), Send(PeerAddress(nowhere), "ping")])
            await until(lambda: len(member.machine.lost) == 2)
            assert set(member.machine.lost) == {nobody, nowhere}

    run(main())


def test_the_end_of_a_kept_connection_is_news_and_of_another_is_not() -> None:
    async def main() -> None:
        async with members(3) as (near, kept, other):
            near.service.perform([Keep(kept.address)])
            near.send(other, "ping")
            await until(lambda: len(near.machine.heard) == 1 and kept.accepted)
            await until(lambda: near.service.links.is_linked(kept.id))
            await kept.endpoint.close()
            await other.endpoint.close()
            await until(lambda: near.machine.lost)
            await until(lambda: not near.service.links.snapshot())
            assert near.machine.lost == [kept.id]

    run(main())


def test_a_dropped_peer_is_not_missed() -> None:
    async def main() -> None:
        async with members(2) as (near, far):
            near.service.perform([Keep(far.address)])
            await until(lambda: near.service.links.is_linked(far.id))
            near.service.perform([Drop(far.id)])
            await far.endpoint.close()
            await until(lambda: not near.service.links.snapshot())
            assert near.machine.lost == []

    run(main())


def test_a_bug_that_a_message_meets_costs_its_stream_and_not_the_node() -> None:
    async def main() -> None:
        async with members(3) as (hostile, other, node):
            hostile.send(node, "bug")
            await until(lambda: node.telemetry.counters["overlay_failures"])
            other.send(node, "ping")
            await until(lambda: other.machine.heard)
            assert other.machine.heard == [(node.id, "pong")]

    run(main())


def test_events_reach_who_listens() -> None:
    async def main() -> None:
        async with members(2) as (near, far):
            events: list[Any] = []
            far.service.listen(events.append)
            near.send(far, "news")
            await until(lambda: events)
            assert events == ["news"]

    run(main())


def test_the_machine_s_time_never_goes_back() -> None:
    class Jumping:
        wall_s, steady_s = 1_000.0, 5.0

        def monotonic_s(self) -> float:
            return self.steady_s

        def unix_s(self) -> float:
            return self.wall_s

    clock = Jumping()
    machine_clock = MachineClock(clock)
    assert machine_clock.now_s() == 1_000.0
    clock.steady_s, clock.wall_s = 6.0, 900.0  # somebody set the clock back
    assert machine_clock.now_s() == 1_001.0
    clock.steady_s, clock.wall_s = 7.0, 9_000.0  # the machine slept
    assert machine_clock.now_s() == 9_000.0
