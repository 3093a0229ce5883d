"""One connection per peer: shared, replaced when dead, bounded."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from nearcast.errors import UnavailableError
from nearcast.keys import new_identity
from nearcast.telemetry import Telemetry
from nearcast.transport.base import PeerAddress
from nearcast.transport.memory import MemoryEndpoint, MemoryNetwork
from nearcast.transport.pool import SILENCE_S, ConnectionPool


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5):
            await main

    asyncio.run(bounded())


class World:
    """A pool and listeners that accept whoever comes."""

    def __init__(self, tasks: asyncio.TaskGroup, *, listeners: int = 1, limit: int = 8, latency_s: float = 0.0) -> None:
        network = MemoryNetwork(latency_s)
        self.dialler = network.endpoint(new_identity())
        self.listeners = [network.endpoint(new_identity()) for _ in range(listeners)]
        self.telemetry = Telemetry()
        self.pool = ConnectionPool(self.dialler, self.telemetry, limit=limit)
        for listener in self.listeners:
            tasks.create_task(self._accept_all(listener))

    async def _accept_all(self, listener: MemoryEndpoint) -> None:
        while True:
            try:
                await listener.accept()
            except UnavailableError:
                return

    def address(self, index: int = 0) -> PeerAddress:
        return self.listeners[index].address()

    async def end(self) -> None:
        await self.pool.close()
        for endpoint in (self.dialler, *self.listeners):
            await endpoint.close()


def test_a_connection_is_kept_and_shared() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, latency_s=0.01)
            together = await asyncio.gather(*(world.pool.get(world.address()) for _ in range(20)))
            assert {id(connection) for connection in together} == {id(await world.pool.get(world.address()))}
            assert world.telemetry.counters["connections_dialled"] == 1
            await world.end()
            assert together[0].is_closed

    run(main())


@pytest.mark.parametrize("how", ["closed by the peer", "dropped"])
def test_a_dead_connection_is_replaced(how: str) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks)
            first = await world.pool.get(world.address())
            if how == "dropped":
                await world.pool.drop(first.remote_id)
                await world.pool.drop(first.remote_id)
            else:
                await first.close()
            assert first.is_closed
            second = await world.pool.get(world.address())
            assert second is not first
            assert not second.is_closed
            await world.end()

    run(main())


def test_the_one_used_longest_ago_makes_room() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, listeners=3, limit=2)
            first = await world.pool.get(world.address(0))
            second = await world.pool.get(world.address(1))
            assert await world.pool.get(world.address(0)) is first
            third = await world.pool.get(world.address(2))
            assert [connection.is_closed for connection in (first, second, third)] == [False, True, False]
            await world.end()

    run(main())


def test_a_failed_dial_fails_for_all_who_waited_and_is_not_remembered() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, latency_s=0.01)
            nobody = PeerAddress(new_identity().endpoint_id, world.address().addresses)
            results = await asyncio.gather(*(world.pool.get(nobody) for _ in range(5)), return_exceptions=True)
            assert all(isinstance(result, UnavailableError) for result in results)
            with pytest.raises(UnavailableError):
                await world.pool.get(nobody)
            assert not (await world.pool.get(world.address())).is_closed
            await world.end()

    run(main())


def test_a_cancelled_caller_does_not_take_the_others_down() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, latency_s=0.05)
            dialling = asyncio.get_running_loop().create_task(world.pool.get(world.address()))
            await asyncio.sleep(0.01)
            waiting = tasks.create_task(world.pool.get(world.address()))
            await asyncio.sleep(0.01)
            dialling.cancel()
            assert not (await waiting).is_closed
            assert dialling.cancelled()
            await world.end()

    run(main())


def test_a_dial_that_outlasts_everybodys_patience_still_brings_a_connection() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, latency_s=0.05)
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await world.pool.get(world.address())
            assert not (await world.pool.get(world.address())).is_closed
            assert world.telemetry.counters["connections_dialled"] == 1
            await world.end()

    run(main())


def test_a_dial_is_abandoned_unless_somebody_waits_for_it() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, latency_s=0.05)
            key = world.address().endpoint_id
            waiting = tasks.create_task(_reached(world))
            await asyncio.sleep(0.01)
            world.pool.abandon(key)
            assert await waiting
            await world.pool.drop(key)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await world.pool.get(world.address())
            world.pool.abandon(key)
            assert await _reached(world), "it is dialled anew"
            assert world.telemetry.counters["connections_dialled"] == 2
            await world.end()

    run(main())


def test_closing_ends_dials_that_nobody_waits_for() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, latency_s=0.05)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await world.pool.get(world.address())
            waiting = tasks.create_task(_reached(world))
            await asyncio.sleep(0.01)
            await world.end()
            assert not await waiting
            assert len(asyncio.all_tasks()) == 2, "this one and what accepts at most"
            with pytest.raises(UnavailableError):
                await world.pool.get(world.address())

    run(main())


async def _reached(world: World) -> bool:
    try:
        await world.pool.get(world.address())
    except UnavailableError:
        return False
    return True


def test_a_peer_that_does_not_answer_is_dialled_anew_and_whoever_talks_to_it_goes_on() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks)
            first = await world.pool.get(world.address())
            world.pool.unanswered(first, SILENCE_S / 2)
            assert await world.pool.get(world.address()) is first
            world.pool.answered(first)
            world.pool.unanswered(first, SILENCE_S / 2)
            assert await world.pool.get(world.address()) is first, "an answer between the two counts"
            world.pool.unanswered(first, SILENCE_S)
            second = await world.pool.get(world.address())
            assert second is not first
            assert not first.is_closed
            world.pool.unanswered(first, SILENCE_S)
            assert await world.pool.get(world.address()) is second, "the old one is no business of the pool any more"
            await world.end()

    run(main())


def test_of_each_peer_one_silent_connection_is_left_to_whoever_uses_it() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, listeners=2)
            silent = []
            for _ in range(4):
                silent.append(await world.pool.get(world.address()))
                world.pool.unanswered(silent[-1], SILENCE_S)
            newest, other = await world.pool.get(world.address()), await world.pool.get(world.address(1))
            await asyncio.sleep(0)
            assert [connection.is_closed for connection in silent] == [True, True, True, False]
            world.pool.unanswered(other, SILENCE_S)
            await world.pool.drop(other.remote_id)
            assert other.is_closed
            assert not newest.is_closed
            await world.end()
            assert silent[-1].is_closed

    run(main())


def test_silent_connections_are_bounded() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            world = World(tasks, listeners=3, limit=2)
            silent = []
            for index in range(3):
                silent.append(await world.pool.get(world.address(index)))
                world.pool.unanswered(silent[-1], SILENCE_S)
            await asyncio.sleep(0)
            assert [connection.is_closed for connection in silent] == [True, False, False]
            await world.pool.close_idle(60.0, ())
            assert [connection.is_closed for connection in silent] == [True, False, False]
            await world.pool.close_idle(0.0, ())
            assert [connection.is_closed for connection in silent] == [True, True, True]
            await world.end()

    run(main())
