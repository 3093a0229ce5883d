"""What happened, as one number: a rolling BLAKE2b over every message, timer, failure and event of a simulation.

Two runs with the same seed must give the same hash; where they do not, something looked at the clock, the system's dice
or the order of a set. The hash covers when, to whom, from whom and what kind; what a message says shows in what happens
next. With a file, every step is written down in words, message and all: compare two of these with `diff`.
"""

import hashlib
import json
from functools import lru_cache
from struct import Struct
from typing import IO, Any

STEPS_HASHED_AT_ONCE = 1 << 12  # 128 KiB of numbers
HASH_BYTES = 16
REPR_CHARACTERS_MAX = 2000  # of a message, in a trace file


class Trace:
    """The hash, and the file if there is one."""

    __slots__ = ("_file", "_hash", "_hashed", "_kinds", "_numbers")

    def __init__(self, file: IO[str] | None = None) -> None:
        self._hash = hashlib.blake2b(digest_size=HASH_BYTES)
        self._numbers: list[float] = []  # four of each step
        self._hashed = 0  # steps
        self._kinds: dict[Any, int] = {}
        self._file = file

    @property
    def steps(self) -> int:
        """How many there were so far."""
        return self._hashed + len(self._numbers) // 4

    def note(self, time_s: float, target: int, source: int, what: Any) -> None:
        """One step: `source` is a peer's index, or below zero what else it is."""
        number = self._kinds.get(what.__class__)
        if number is None:
            number = self._new_kind(what.__class__)
        numbers = self._numbers
        numbers += (time_s, target, source, number)
        if len(numbers) >= 4 * STEPS_HASHED_AT_ONCE:
            self._flush()
        if self._file is not None:
            self._write(time_s, target, source, what)

    def digest(self) -> str:
        """The hash of everything so far, in hexadecimal."""
        self._flush()
        return self._hash.hexdigest()

    def _new_kind(self, kind: type) -> int:
        """Kinds are numbered as they come; their names go into the hash as well."""
        self._flush()
        self._hash.update(kind.__qualname__.encode())
        number = self._kinds[kind] = len(self._kinds)
        return number

    def _flush(self) -> None:
        steps = len(self._numbers) // 4
        self._hash.update(_packing(steps).pack(*self._numbers))
        self._hashed += steps
        self._numbers.clear()

    def _write(self, time_s: float, target: int, source: int, what: Any) -> None:
        assert self._file is not None
        text = repr(what)[:REPR_CHARACTERS_MAX]
        step = {"at_s": time_s, "to": target, "from": source, "kind": type(what).__qualname__, "what": text}
        self._file.write(json.dumps(step) + "\n")


@lru_cache(maxsize=2)
def _packing(steps: int) -> Struct:
    """Of so many steps: when, to whom, from whom, what kind."""
    return Struct("<" + "dqqq" * steps)
