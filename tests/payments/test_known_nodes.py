"""The registry at hand: answered from the last reading, renewed when it must be, and not at strangers' will."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from nearcast.chain.node_records import NodeRecord
from nearcast.clock import Clock
from nearcast.errors import UnavailableError
from nearcast.payments.known_nodes import MISSING_REFRESH_S, REFRESH_S, KnownNodes
from nearcast.telemetry import Telemetry


class SetClock(Clock):
    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_s(self) -> float:
        return self.now_s


class FakeDirectory:
    """A chain with these nodes; `cache` is what was read before."""

    def __init__(self, *nodes: NodeRecord) -> None:
        self.nodes = list(nodes)
        self.cache: list[NodeRecord] = []
        self.loads = 0
        self.is_down = False

    async def load(self) -> list[NodeRecord]:
        self.loads += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise UnavailableError("the chain is down")
        self.cache = list(self.nodes)
        return self.cache

    def cached(self) -> list[NodeRecord]:
        return self.cache


def record(number: int, *, active: bool = True) -> NodeRecord:
    return NodeRecord(bytes(20), bytes(20), bytes([number]) * 32, 100, "DE", 10_000, (), active, 1)


ONE, TWO, IDLE = record(1), record(2), record(3, active=False)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_the_first_question_reads_the_chain_and_the_next_ones_do_not() -> None:
    async def main() -> None:
        directory, clock = FakeDirectory(ONE, TWO, IDLE), SetClock()
        async with asyncio.TaskGroup() as tasks:
            nodes = KnownNodes(directory, clock, Telemetry(), tasks)
            ids = [each.endpoint_id for each in (ONE, TWO, IDLE)]
            assert await nodes.lookup(ids) == {ONE.endpoint_id: ONE, TWO.endpoint_id: TWO}, "not who lacks its bond"
            assert await nodes.lookup([ONE.endpoint_id]) == {ONE.endpoint_id: ONE}
            assert directory.loads == 1
            assert nodes.get(IDLE.endpoint_id) == IDLE
            clock.now_s += REFRESH_S
            directory.nodes.remove(ONE)
            assert await nodes.lookup([ONE.endpoint_id]) == {ONE.endpoint_id: ONE}, "nobody waits for the renewal"
        assert directory.loads == 2
        assert nodes.get(ONE.endpoint_id) is None

    run(main())


def test_what_an_earlier_run_read_answers_before_the_chain_does() -> None:
    async def main() -> None:
        directory = FakeDirectory(TWO)
        directory.cache = [ONE]
        async with asyncio.TaskGroup() as tasks:
            nodes = KnownNodes(directory, SetClock(), Telemetry(), tasks)
            assert await nodes.lookup([ONE.endpoint_id]) == {ONE.endpoint_id: ONE}
            assert nodes.all() == [ONE]
        assert nodes.all() == [TWO]

    run(main())


def test_for_strangers_the_chain_is_asked_now_and_then_at_most() -> None:
    async def main() -> None:
        directory, clock = FakeDirectory(ONE), SetClock()
        async with asyncio.TaskGroup() as tasks:
            nodes = KnownNodes(directory, clock, Telemetry(), tasks)
            for number in range(50):
                assert await nodes.lookup([bytes([100 + number]) * 32]) == {}
            assert directory.loads == 1
            directory.nodes.append(TWO)
            clock.now_s += MISSING_REFRESH_S
            assert await nodes.lookup([TWO.endpoint_id]) == {TWO.endpoint_id: TWO}
            assert directory.loads == 2

    run(main())


def test_many_who_ask_at_once_share_one_reading() -> None:
    async def main() -> None:
        directory = FakeDirectory(ONE)
        async with asyncio.TaskGroup() as tasks:
            nodes = KnownNodes(directory, SetClock(), Telemetry(), tasks)
            found = await asyncio.gather(*(nodes.lookup([ONE.endpoint_id]) for _ in range(20)))
            assert found == [{ONE.endpoint_id: ONE}] * 20
            assert directory.loads == 1

    run(main())


def test_when_the_chain_is_down_the_last_reading_counts() -> None:
    async def main() -> None:
        directory, clock, telemetry = FakeDirectory(ONE), SetClock(), Telemetry()
        directory.cache, directory.is_down = [ONE], True
        told: list[str] = []
        telemetry.listen(lambda event, _: told.append(event))
        async with asyncio.TaskGroup() as tasks:
            nodes = KnownNodes(directory, clock, telemetry, tasks)
            assert await nodes.lookup([ONE.endpoint_id, TWO.endpoint_id]) == {ONE.endpoint_id: ONE}
            assert told == ["registry-unread"]
            assert str(nodes.unread) == "the chain is down", "so two may be registered all the same"
            directory.is_down = False
            clock.now_s += MISSING_REFRESH_S
            await nodes.lookup([TWO.endpoint_id])
            assert nodes.unread is None

    run(main())
