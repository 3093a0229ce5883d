"""A thread that ends with its task, and a pulse to wait for."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(...)` in the loop's default executor. Cancellation takes effect when the function has returned.

    What is being written when its task is cancelled is written to its end, by nobody behind anybody's back.
    """
    return await to_its_end(asyncio.get_running_loop().run_in_executor(None, lambda: function(*args, **kwargs)))


async def to_its_end(future: asyncio.Future[R]) -> R:
    """What a thread is working on, with the same promise."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue  # cancelled once more: the thread still has to end first
        if not future.cancelled():
            future.exception()  # looked at, so that asyncio does not report it as forgotten
        raise


class Pulse:
    """Something has changed: wakes everyone who waits at that moment."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def beat(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Until the next beat (True), or for `timeout_s` (False)."""
        event = self._event
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        return True
