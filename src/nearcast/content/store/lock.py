"""One process at a time: an flock on a file that says who. The kernel lets go of it however the process ends."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from nearcast.errors import StoreLockedError

PID_BYTES_MAX = 32


class StoreLock:
    """Held from creation to `release`. Raises StoreLockedError naming the process that has it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(self._descriptor, PID_BYTES_MAX, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreLockedError(
                f"the store in {path.parent} is in use by process {pid}",
                fix=f"stop it (kill {pid}), or give this one another --data-dir",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        with suppress(OSError):  # the number in it is for people; a disk that fails does not keep the lock
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
