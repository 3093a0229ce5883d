"""Files that are too large for a pack: hashed while the next ones are being found, then referenced or copied.

A file that changes while it is read would be named by bytes that nobody has. So its status is taken before the first
byte is read and compared after the last, both through the open file and by name.

A file that is to be referenced is synced in between. A program that writes through mapped memory moves the file's times
with its first write to a page only, and then not again until that page has been written to the disk: without the sync,
what it writes after the import would show nowhere (measured on ext4; on tmpfs it never shows).
"""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from nearcast.content.batches import Batches
from nearcast.content.cid import Cid
from nearcast.content.dag import build_file_dag
from nearcast.content.hashing import HashJob, LeafHasher
from nearcast.content.progress import PROGRESS_INTERVAL_S, Progress
from nearcast.content.store import Store
from nearcast.content.store.disk import storing
from nearcast.content.store.types import FileGuard, guard_of
from nearcast.errors import ChangedError, StoreError


class LargeFile:
    """One file on its way; owns its open descriptor, and the copy if there is to be one."""

    def __init__(self, path: str, descriptor: int, guard: FileGuard) -> None:
        self.path = path
        self.descriptor = descriptor
        self.guard = guard
        self.copy: tuple[Path, int] | None = None
        self.job: HashJob

    def check_unchanged(self) -> None:
        """Raises ChangedError unless the file is what it was, and still the one of that name."""
        try:
            by_name = guard_of(os.stat(self.path, follow_symlinks=False))
        except OSError as error:
            raise unreadable(self.path, error) from error
        if not self.guard == by_name == guard_of(os.fstat(self.descriptor)):
            raise changed(self.path)

    def close(self) -> None:
        os.close(self.descriptor)
        if self.copy is not None:
            os.close(self.copy[1])

    def discard(self) -> None:
        self.close()
        if self.copy is not None:
            self.copy[0].unlink(missing_ok=True)


class LargeFiles:
    """Starts and finishes them. Leaving the block stops what still runs and removes unfinished copies."""

    def __init__(self, store: Store, batches: Batches, progress: Progress, *, in_place: bool) -> None:
        self._store = store
        self._batches = batches
        self._progress = progress
        self._in_place = in_place
        self._hasher = LeafHasher()
        self._open: list[LargeFile] = []

    def __enter__(self) -> "LargeFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open:
            file.job.stop()
            file.discard()
        self._hasher.close()

    def start(self, path: str, descriptor: int, guard: FileGuard) -> LargeFile:
        """Begins with an open file, whose descriptor is closed when it is finished, or when the block is left."""
        file = LargeFile(path, descriptor, guard)
        try:
            if self._in_place:
                with suppress(OSError):  # a read-only file system may not know how, and has nobody who writes
                    os.fsync(descriptor)
            else:
                file.copy = self._new_copy()
            file.job = self._hasher.start(descriptor, guard.size_bytes, file.copy[1] if file.copy else None)
        except BaseException:
            file.discard()
            raise
        self._open.append(file)
        return file

    def finish(self, file: LargeFile) -> tuple[Cid, int]:
        """Waits for the file and stores it; its root, and the bytes of its whole DAG."""
        try:
            digests = file.job.digests(self._tick, PROGRESS_INTERVAL_S)
        except EOFError:
            raise changed(file.path) from None
        except OSError as error:
            raise unreadable(file.path, error) from error
        file.check_unchanged()
        dag = build_file_dag(digests, file.guard.size_bytes)
        if file.copy is None:
            self._batches.put_reference(dag, file.path, file.guard)
        else:
            self._batches.put_file(dag, file.copy[0])
        self._open.remove(file)
        file.close()
        self._progress.add(file.guard.size_bytes, files=1)
        return dag.root, dag.tsize

    def _new_copy(self) -> tuple[Path, int]:
        """An empty file in the store, and a plain descriptor of it: the threads write at many places at once."""
        path, file = self._store.temporary_file()
        file.close()
        with storing():
            return path, os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def _tick(self) -> None:
        self._progress.tick(sum(file.job.bytes_done for file in self._open))


def changed(path: str) -> ChangedError:
    return ChangedError(f"{path} changed while it was imported", fix="import it again when nothing writes to it")


def unreadable(path: str, error: OSError) -> StoreError:
    """What an error of the operating system means for a file of the user's."""
    if isinstance(error, FileNotFoundError):
        return changed(path)
    return StoreError(f"cannot read {path}: {error.strerror}", fix="make it readable, or share without it")
