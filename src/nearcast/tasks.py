"""Small things that tasks need: threads that end with their task, a pulse to wait for, one error out of many.

A thread is always waited for, even when the task that started it is cancelled.
`asyncio.to_thread` abandons its thread on cancellation: the write goes on behind everybody's back, into a file that
may be closed by then. Here the task ends only after the thread has: a TaskGroup that is over has no writers left.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from nearcast.errors import NearcastError, StoreError

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(...)` in the loop's default executor. Cancellation takes effect when the function has returned."""
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


def leading_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that tells most of a group: a bug before a full disk, a full disk before anything of the network.

    What a TaskGroup raises is a group even for one failure; callers want the failure.
    """
    leaves = list(_leaves(group))
    bugs = [error for error in leaves if not isinstance(error, NearcastError)]
    ours = [error for error in leaves if isinstance(error, StoreError)]
    return [*bugs, *ours, *leaves][0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


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
