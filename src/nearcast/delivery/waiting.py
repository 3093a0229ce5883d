"""Saying again and again that an answer will go on: whoever asks takes who is silent for dead, and soon."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from nearcast.tasks import leading_error


@asynccontextmanager
async def waiting(say: Callable[[], Awaitable[None]], again_s: float) -> AsyncIterator[None]:
    """Say it at once, and every `again_s` until the body is through. What `say` raises ends the body and is raised."""
    await say()
    over = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_repeat(say, again_s, over))
            try:
                yield
            finally:
                over.set()  # and not a cancellation: half a message would break the stream
    except BaseExceptionGroup as failures:
        raise leading_error(failures) from None


async def _repeat(say: Callable[[], Awaitable[None]], again_s: float, over: asyncio.Event) -> None:
    while True:
        try:
            async with asyncio.timeout(again_s):
                await over.wait()
            return
        except TimeoutError:
            await say()
