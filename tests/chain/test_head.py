"""The newest block on a real endpoint that fails, lies and comes back."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.chain.endpoint import Endpoint, HangUpError, run
from tests.chain.senders import WaitedTime

from nearcast.chain.head import ChainHead
from nearcast.chain.rpc import REORG_BLOCKS_MAX, JsonRpc


class EndedError(Exception):
    """Raised by a sleep, to end an endless run."""


def hang_up(*_: Any) -> Any:
    raise HangUpError


def test_it_knows_nothing_until_it_asked_and_then_how_old_its_answer_is() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        time = WaitedTime()
        head = ChainHead(rpc, time, 10)
        assert (head.block, head.age_s) == (None, None)
        await head.poll()
        assert head.block is not None
        assert head.block.hash == served.chain.engine.head.hash
        assert head.age_s == 0
        time.now_s += 7
        assert head.age_s == 7

    run(test)


def test_it_goes_with_the_chain_and_wakes_who_waits() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        head = ChainHead(rpc, WaitedTime(), 10)
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(head.first()), tasks.create_task(head.next())]
            await asyncio.sleep(0)
            await head.poll()
        assert [task.result() for task in waiting] == [head.block, head.block]
        served.chain.mine()
        async with asyncio.TaskGroup() as tasks:
            later = tasks.create_task(head.next())
            await asyncio.sleep(0)
            assert await head.first() == waiting[0].result()
            await head.poll()
        assert later.result().number == waiting[0].result().number + 1

    run(test)


@pytest.mark.parametrize("twist", [hang_up, lambda *_: None, lambda *_: {"number": "0x-1"}])
def test_an_endpoint_that_fails_costs_freshness_only(
    twist: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The last block stays, its age grows, and the polling goes on."""

    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        def meanwhile(sleeps: int) -> None:
            if sleeps == 1:
                served.twists["eth_getBlockByNumber"] = twist
            elif sleeps == 4:
                assert (head.block, head.age_s) == (first, 40)
                served.chain.mine()
                served.twists.clear()
            elif sleeps == 5:
                raise EndedError

        time = WaitedTime(meanwhile)
        head = ChainHead(rpc, time, 10, sleep=time.sleep)
        await head.poll()
        first = head.block
        with pytest.raises(EndedError):
            await head.run()
        assert first is not None
        assert head.block is not None
        assert (head.block.number, head.age_s) == (first.number + 1, 10)
        assert len(caplog.records) == 1  # told once, not at every poll

    run(test)


def test_a_chain_that_goes_back_too_far_is_not_followed() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        head = ChainHead(rpc, WaitedTime(), 10)
        start = served.chain.snapshot()
        await head.poll()
        first = head.block
        for _ in range(REORG_BLOCKS_MAX + 1):
            served.chain.mine()
        await head.poll()
        newest = head.block
        served.chain.revert(start)
        await head.poll()
        assert head.block == newest
        served.chain.mine()
        await head.poll()
        assert (first is not None, newest is not None, head.block is not None) == (True, True, True)
        assert head.block is not None
        assert head.block.number == (first.number if first else 0) + 1

    run(test)


def test_a_block_by_its_number_is_asked_for_only_when_it_is_another() -> None:
    async def test(served: Endpoint, rpc: JsonRpc) -> None:
        head = ChainHead(rpc, WaitedTime(), 10)
        served.chain.mine()
        await head.poll()
        assert head.block is not None
        asked = len(served.asked)
        assert await head.at(head.block.number) == head.block
        assert len(served.asked) == asked
        before = await head.at(head.block.number - 1)
        assert before is not None
        assert before.hash == head.block.parent_hash
        assert await head.at(head.block.number + 1) is None

    run(test)
