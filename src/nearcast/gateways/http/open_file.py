"""A file held open while answers are made from it.

Whoever uses the descriptor holds the object, so it cannot be closed, and its number given to another file, under a read
that runs in another thread. The store checked the guard of a file shared in place when it told where the file is; here
it is checked again for what was opened, and after every read.
"""

import os
from pathlib import Path

from nearcast.errors import ChangedError, StoreError

_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)


class OpenFile:
    """An open file, and what it looked like when it was opened. Raises StoreError when it cannot be opened."""

    __slots__ = ("_seen", "descriptor")

    def __init__(self, path: Path) -> None:
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"cannot open a stored file: {error.strerror}") from error
        self._seen = self._looks()

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)

    def check(self) -> None:
        """Raises ChangedError when the file was written to since it was opened."""
        if self._looks() != self._seen:
            raise ChangedError("the file was changed while it was sent")

    def ctime_ns(self) -> int:
        """When anything last happened to the file."""
        return os.fstat(self.descriptor).st_ctime_ns

    def read_cached_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        """How many bytes the system had in memory: 0 when it would have to read the disk, or cannot tell."""
        if not _NO_WAIT:
            return 0
        try:
            return os.preadv(self.descriptor, [buffer], offset, _NO_WAIT)
        except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: a file system that cannot tell
            return 0

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        """Waits for the disk; at least one byte. Raises ChangedError when the file ends before `offset`."""
        try:
            taken = os.preadv(self.descriptor, [buffer], offset)
        except OSError as error:
            raise StoreError(f"cannot read a stored file: {error.strerror}") from error
        if taken == 0:
            raise ChangedError("the file has become shorter")
        return taken

    def _looks(self) -> tuple[int, int]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns
