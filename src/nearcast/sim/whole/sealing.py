"""A process sealed against everything that differs from one run to the next: the time, the entropy, threads, sockets.

What only asks is answered: entropy comes from the seed, the time is virtual. What would go behind the simulation's back
is a breach and fails the run: product code that asks the machine's clock past its own `Clock`, a thread, a socket.
Names in folders come sorted, since a file system has them in an order of its own. Undone when the block ends.
"""

import concurrent.futures
import gc
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Self

from nearcast.errors import NearcastError

PRODUCT: Final = "nearcast."
SIMULATOR: Final = "nearcast.sim."
UNIX_START_S: Final = 1_800_000_000.0  # January 2027; any moment after the chain's genesis would do
_CLOCKS: Final = {"time": 1, "monotonic": 1, "perf_counter": 1, "time_ns": 10**9, "monotonic_ns": 10**9}
_SINCE_1970: Final = ("time", "time_ns")


class UnsealedError(NearcastError):
    """Something in the simulation used the machine's own clock, a thread or a socket: its run cannot be repeated."""


class Seal:
    """What was asked for that must not be. `now_s` tells the virtual time in seconds."""

    def __init__(self, rng: random.Random) -> None:
        self.now_s: Callable[[], float] = lambda: 0.0
        self.breaches: list[str] = []
        self._rng = rng

    def check(self) -> None:
        """Raises UnsealedError for the first breach."""
        if self.breaches:
            raise UnsealedError(f"not repeatable: {self.breaches[0]}")

    def entropy(self, count_bytes: int) -> bytes:
        """As os.urandom, out of the seed."""
        return self._rng.randbytes(count_bytes)

    def breach(self, what: str) -> None:
        self.breaches.append(what)

    def clock(self, name: str) -> Callable[[], float | int]:
        """A function of the module `time`, that tells virtual time; a breach when the product itself asks it."""
        scale = _CLOCKS[name]
        start_s = UNIX_START_S if name in _SINCE_1970 else 0.0

        def read() -> float | int:
            asker = sys._getframe(2).f_globals.get("__name__", "")
            if asker.startswith(PRODUCT) and not asker.startswith(SIMULATOR):
                self.breach(f"{asker} asks time.{name}()")
            now_s = start_s + self.now_s()
            return now_s if scale == 1 else int(now_s * scale)

        return read


@contextmanager
def sealed(rng: random.Random) -> Iterator[Seal]:
    """The process, sealed while the block runs. Not for two simulations at a time."""
    seal = Seal(rng)
    with ExitStack() as stack:
        thread = threading.get_ident()

        def put(owner: Any, name: str, value: Callable[..., Any]) -> None:
            had = name in vars(owner)  # what a class only inherits is given back by deleting ours
            before = getattr(owner, name)

            def in_here(*arguments: Any, **options: Any) -> Any:  # a progress bar's thread goes on as ever
                return (value if threading.get_ident() == thread else before)(*arguments, **options)

            setattr(owner, name, in_here)
            stack.callback(setattr, owner, name, before) if had else stack.callback(delattr, owner, name)

        for name in _CLOCKS:
            put(time, name, seal.clock(name))
        put(time, "sleep", lambda _s: seal.breach("time.sleep()"))
        put(os, "urandom", seal.entropy)
        put(random, "_urandom", seal.entropy)  # what SystemRandom, and so `secrets`, draws from
        put(random.Random, "seed", _seeding(rng))
        put(os, "listdir", _sorted_names(os.listdir))
        put(os, "scandir", _sorted_entries(os.scandir))
        put(threading.Thread, "start", lambda thread: seal.breach(f"a thread: {thread.name}"))
        put(concurrent.futures.ThreadPoolExecutor, "submit", _done_at_once)
        for name in ("connect", "connect_ex", "bind", "listen"):
            put(socket.socket, name, lambda _socket, *_arguments, act=name: seal.breach(f"socket.{act}()"))
        state = random.getstate()  # of the dice that everybody shares
        stack.callback(random.setstate, state)
        random.seed(rng.getrandbits(64))
        gc.collect()
        gc.disable()  # when garbage is found depends on the machine; see `collect`
        stack.callback(gc.enable)
        yield seal


def collect() -> None:
    """Look for garbage, at a moment that is the same in every run: finalizers of forgotten coroutines run here."""
    gc.collect()


def _seeding(rng: random.Random) -> Callable[..., None]:
    def seed(dice: random.Random, a: Any = None, version: int = 2) -> None:
        original(dice, rng.getrandbits(128) if a is None else a, version)

    original = random.Random.seed
    return seed


def _sorted_names(listdir: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    return lambda *where: sorted(listdir(*where))


class _Entries:
    """What os.scandir returns: an iterator that can be closed."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""


def _sorted_entries(scandir: Callable[..., Any]) -> Callable[..., _Entries]:
    def scan(*where: Any) -> _Entries:
        with scandir(*where) as entries:
            return _Entries(sorted(entries, key=lambda entry: entry.name))

    return scan


def _done_at_once(
    _pool: concurrent.futures.ThreadPoolExecutor, function: Callable[..., Any], /, *arguments: Any, **options: Any
) -> concurrent.futures.Future[Any]:
    """The work of a pool, done by whoever hands it in."""
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()
    try:
        done.set_result(function(*arguments, **options))
    except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
        done.set_exception(error)
    return done
