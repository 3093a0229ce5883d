"""Tasks that have no end of their own: they run while a block does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def cancelled_at_end() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup whose tasks are cancelled, and waited for, at the end of the block.

    When one of them fails, the block is cancelled and the failure is raised.
    """
    made: asyncio.Future[asyncio.TaskGroup] = asyncio.get_running_loop().create_future()

    async def host() -> None:
        async with asyncio.TaskGroup() as group:
            made.set_result(group)
            await asyncio.get_running_loop().create_future()  # until cancelled, and all of the group with it

    async with asyncio.TaskGroup() as outer:
        task = outer.create_task(host())
        try:
            yield await made
        finally:
            task.cancel()
