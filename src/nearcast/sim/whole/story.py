"""What happened in a simulated world: a rolling hash over all of it, and its last lines in words.

The same seed must give the same hash. With a file every line is written down: `diff` of two shows where they part.
"""

import hashlib
from collections import deque
from typing import IO, Final

HASH_BYTES: Final = 16
LINES_KEPT: Final = 60  # shown when a run fails; guess: what fits a screen


class Story:
    """`now_s` is put forward by the world's loop."""

    def __init__(self, file: IO[str] | None = None) -> None:
        self.now_s = 0.0
        self.lines = 0
        self._hash = hashlib.blake2b(digest_size=HASH_BYTES)
        self._newest: deque[str] = deque(maxlen=LINES_KEPT)
        self._file = file

    def note(self, who: str, what: str) -> None:
        """Something happened to somebody now. Short: it happens a million times."""
        self._hash.update(f"{self.now_s!r} {who} {what}\n".encode())
        self.lines += 1
        if self._file is not None:
            self._file.write(f"{self.now_s:.6f} {who} {what}\n")

    def tell(self, who: str, what: str) -> None:
        """The same for what people want to read when the run fails."""
        self.note(who, what)
        self.remark(who, what)

    def remark(self, who: str, what: str) -> None:
        """The same for what two runs of one seed may say in other words; it is not hashed."""
        self._newest.append(f"{self.now_s:12.6f}  {who}: {what}")

    @property
    def digest(self) -> str:
        """The hash of everything so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def newest(self) -> list[str]:
        """The last lines that were told."""
        return list(self._newest)
