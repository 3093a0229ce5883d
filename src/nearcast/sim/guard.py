"""While machines act, nothing tells them the real time and nothing throws real dice: whatever tries raises an error.

The functions that would are replaced for the simulation's own thread; other threads (a progress bar) go on as ever. It
catches what a look at the imports cannot: a library that asks the clock for a machine. Whoever imported a function by
its name before (`from time import time`) is not caught; tests/sim/test_imports.py reads the machines' imports instead.
"""

import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nearcast.errors import NearcastError

_OUTSIDE: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (time, ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")),
    (os, ("urandom",)),
    (random, ("random", "randrange", "randint", "choice", "choices", "sample", "shuffle", "uniform", "getrandbits")),
    (secrets, ("token_bytes", "token_hex", "randbelow")),
    (uuid, ("uuid1", "uuid4")),
)


class OutsideError(NearcastError):
    """Simulated code asked the real clock or the system's dice: the same seed would not give the same run."""


@contextmanager
def nothing_from_outside() -> Iterator[None]:
    """For as long as the body runs, in this thread."""
    owner = threading.get_ident()
    kept = [(module, name, getattr(module, name)) for module, names in _OUTSIDE for name in names]
    for module, name, function in kept:
        setattr(module, name, _refusing(f"{module.__name__}.{name}", function, owner))
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def _refusing(name: str, function: Callable[..., Any], owner: int) -> Callable[..., Any]:
    def refuse(*arguments: Any, **keywords: Any) -> Any:
        if threading.get_ident() == owner:
            raise OutsideError(f"simulated code called {name}()", fix="take now_s and rng as arguments")
        return function(*arguments, **keywords)

    return refuse
