"""An asyncio loop on which time is virtual: when nobody can go on, the clock is put forward to the next timer.

Everything that could depend on the machine is taken out: the selector never waits, an executor's work is done at once
in the loop's own thread (its result comes a drawn moment later, as a disk's would), and tasks and futures hash to the
number in which they were made, so that a set of them is walked in the same order in every run.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from nearcast.errors import NearcastError

T = TypeVar("T")
STEPS_AT_ONCE_MAX: Final = 100_000  # at one instant; what needs more goes in circles. Guess: a world needs hundreds
STEP_S: Final = 1e-7  # each step takes a moment, as it would: a wait for less than a float's last digit must end
WORK_S_MAX: Final = 0.002  # between a request to the disk and its result; guess: an SSD that is busy


class StuckError(NearcastError):
    """Nothing can ever happen any more: everybody waits for somebody, and no timer is set."""


class _NumberedTask(asyncio.Task[T]):
    """A task whose place in a set depends on its number and not on its address."""

    number: int

    def __new__(cls, *_: object, loop: "VirtualLoop", **__: object) -> "_NumberedTask[T]":
        made = super().__new__(cls)
        made.number = loop.next_number()  # before anything puts it into a set
        return made

    def __hash__(self) -> int:
        return self.number


class _NumberedFuture(asyncio.Future[T]):
    number: int

    def __new__(cls, *, loop: "VirtualLoop") -> "_NumberedFuture[T]":
        made = super().__new__(cls)
        made.number = loop.next_number()
        return made

    def __hash__(self) -> int:
        return self.number


class _MovingSelector(selectors.SelectSelector):
    """Reports nothing; what it would have waited is added to the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.move: Callable[[float | None], None] = lambda _timeout_s: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.move(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`on_step(now_s)` is called before each iteration, with all callbacks of the one before done. What it raises ends
    the run: `failure` has it."""

    def __init__(self, rng: random.Random) -> None:
        selector = _MovingSelector()
        super().__init__(selector)
        selector.move = self._move
        self.on_step: Callable[[float], None] = lambda _now_s: None
        self.failure: BaseException | None = None
        self.steps = 0
        self._now_s = 0.0
        self._rng = rng
        self._made = 0
        self._at_this_instant = 0
        self.set_task_factory(self._task)

    def time(self) -> float:
        return self._now_s

    def create_future(self) -> asyncio.Future[Any]:
        return _NumberedFuture(loop=self)

    def next_number(self) -> int:
        """Of a task or future that is being made."""
        self._made += 1
        return self._made

    def run_in_executor(  # type: ignore[override] # a future of ours, done in the same thread
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """`func(*args)`, now, whichever executor was meant."""
        done: asyncio.Future[T] = self.create_future()
        try:
            result = func(*args)
        except StopIteration as error:  # no future can hold it; asyncio says the same of a thread
            told = RuntimeError("work in a thread raised StopIteration")
            told.__cause__ = error
            self._later(done, None, told)
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits
            self._later(done, None, error)
        else:
            self._later(done, result, None)
        return done

    def _later(self, done: asyncio.Future[T], result: T | None, error: Exception | None) -> None:
        def tell() -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type] # None only where the result is None

        self.call_later(self._rng.random() * WORK_S_MAX, tell)

    def _task(self, _loop: asyncio.AbstractEventLoop, coroutine: Any, /, **options: Any) -> asyncio.Task[Any]:
        return _NumberedTask(coroutine, loop=self, **options)

    def _move(self, timeout_s: float | None) -> None:
        self.steps += 1
        if self.failure is None:
            try:
                self.on_step(self._now_s)
            except BaseException as error:
                self.failure = error
                raise
        if timeout_s is None:
            raise StuckError("the simulation stands still: everybody waits and no timer is set")
        self._now_s += STEP_S
        if timeout_s > 0:
            self._now_s += timeout_s
            self._at_this_instant = 0
            return
        self._at_this_instant += 1
        if self._at_this_instant > STEPS_AT_ONCE_MAX and self.failure is None:
            self.failure = StuckError(f"time stands still at {self._now_s:.3f} s: something never waits")
            raise self.failure


def run_virtually(main: Callable[[VirtualLoop], Any], rng: random.Random) -> Any:
    """The result of `main(loop)`, a coroutine, on a new loop whose clock begins at 0."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(rng)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        loop.set_exception_handler(_raise_unhandled)
        return runner.run(main(loop))


def _raise_unhandled(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """What nobody awaits is a failure of the run, found at the next step."""
    assert isinstance(loop, VirtualLoop)
    error = context.get("exception")
    told = error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))

    def fail(_now_s: float) -> None:
        raise told

    loop.on_step = fail
