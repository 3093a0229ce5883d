"""Places for dials: in the order of the line, fewer while dials take long, none lost to whoever gives up."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from nearcast.overlay.dialling import BUSY_DIALS_MAX, DIALS_MAX, LONG_DIAL_S, DialSlots


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5):
            await main

    asyncio.run(bounded())


async def turns() -> None:
    """Everybody who can go on does."""
    for _ in range(5):
        await asyncio.sleep(0)


class Dials:
    """Dials that take until they are ended."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.slots = DialSlots()
        self.under_way: dict[int, asyncio.Event] = {}
        self._tasks = tasks

    def begin(self, *numbers: int) -> list[asyncio.Task[None]]:
        return [self._tasks.create_task(self._dial(number)) for number in numbers]

    def end(self, number: int) -> None:
        self.under_way[number].set()

    async def _dial(self, number: int) -> None:
        async with self.slots:
            self.under_way[number] = asyncio.Event()
            try:
                await self.under_way[number].wait()
            finally:
                del self.under_way[number]


def test_so_many_at_a_time_and_the_next_in_line_follows() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            dials = Dials(tasks)
            begun = dials.begin(*range(DIALS_MAX + 2))
            await turns()
            assert list(dials.under_way) == list(range(DIALS_MAX))
            dials.end(3)
            await turns()
            assert DIALS_MAX in dials.under_way
            assert DIALS_MAX + 1 not in dials.under_way
            for task in begun:
                task.cancel()

    run(main())


def test_fewer_while_dials_take_long_and_as_many_as_before_afterwards() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            dials = Dials(tasks)
            for _ in range(20):
                dials.slots.succeeded(2 * LONG_DIAL_S)
            begun = dials.begin(*range(DIALS_MAX))
            await turns()
            assert len(dials.under_way) == BUSY_DIALS_MAX
            for _ in range(20):
                dials.slots.succeeded(LONG_DIAL_S / 2)
            dials.end(0)
            await turns()
            assert len(dials.under_way) == DIALS_MAX - 1
            for task in begun:
                task.cancel()

    run(main())


def test_who_gives_up_leaves_no_place_taken() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            dials = Dials(tasks)
            begun = dials.begin(*range(DIALS_MAX + 3))
            await turns()
            begun[0].cancel()  # under way: the next one's turn comes, and it gives up at that moment
            begun[DIALS_MAX + 1].cancel()  # still in line
            await asyncio.sleep(0)
            begun[DIALS_MAX].cancel()
            await turns()
            assert len(dials.under_way) == DIALS_MAX
            assert DIALS_MAX + 2 in dials.under_way
            for task in begun:
                task.cancel()

    run(main())
