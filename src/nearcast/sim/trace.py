"""What happened, as one number: a rolling BLAKE2b over every message, timer, failure and event of a simulation.

Two runs with the same seed must give the same hash; where they do not, something looked at the clock, the system's dice
or the order of a set. The hash covers when, to whom, from whom and what kind; what a message says shows in what happens
next. With a file, every step is written down in words, message and all: compare two of these with `diff`.
"""

import hashlib
import json
from array import array
from typing import IO, Any

HASHED_AT = 1 << 14  # numbers gathered before they are hashed: 128 KiB
HASH_BYTES = 16
REPR_CHARACTERS_MAX = 2000  # of a message, in a trace file


class Trace:
    """The hash, and the file if there is one."""

    __slots__ = ("_file", "_hash", "_kinds", "_numbers", "steps")

    def __init__(self, file: IO[str] | None = None) -> None:
        self._hash = hashlib.blake2b(digest_size=HASH_BYTES)
        self._numbers = array("d")
        self._kinds: dict[Any, float] = {}
        self._file = file
        self.steps = 0

    def note(self, time_s: float, target: int, source: int, what: Any) -> None:
        """One step: `source` is a peer's index, or below zero what else it is."""
        kind = what.__class__
        number = self._kinds.get(kind)
        if number is None:
            number = self._new_kind(kind)
        numbers = self._numbers
        numbers.extend((time_s, target, source, number))
        self.steps += 1
        if len(numbers) > HASHED_AT:
            self._flush()
        if self._file is not None:
            self._write(time_s, target, source, what)

    def digest(self) -> str:
        """The hash of everything so far, in hexadecimal."""
        self._flush()
        return self._hash.hexdigest()

    def _new_kind(self, kind: type) -> float:
        """Kinds are numbered as they come; their names go into the hash as well."""
        self._flush()
        self._hash.update(kind.__qualname__.encode())
        number = self._kinds[kind] = float(len(self._kinds))
        return number

    def _flush(self) -> None:
        self._hash.update(self._numbers.tobytes())
        del self._numbers[:]

    def _write(self, time_s: float, target: int, source: int, what: Any) -> None:
        assert self._file is not None
        text = repr(what)[:REPR_CHARACTERS_MAX]
        step = {"at_s": time_s, "to": target, "from": source, "kind": type(what).__qualname__, "what": text}
        self._file.write(json.dumps(step) + "\n")
