"""All of a backend becomes a root: every object is read once, hashed, and not kept.

    listing ──> a bounded queue ──> OBJECTS_AT_ONCE readers ──> index (in batches) ──> folders ──> the root

What was read is in the index even if the rest fails or is interrupted: the next try reads what is new or has changed.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from nearcast.content.backends.base import Backend, BackendEntry, BackendFolder, BackendObject, BackendSymlink
from nearcast.content.backends.hashing import hash_object
from nearcast.content.backends.index import BackendIndex, KnownBackend, KnownFile
from nearcast.content.backends.tree import Tree, is_hidden
from nearcast.content.cid import Cid
from nearcast.content.dag import FileDag
from nearcast.content.directory import build_symlink
from nearcast.content.progress import Progress, ProgressCallback

OBJECTS_AT_ONCE = 8  # guess: hides 50 ms per small object at 160 objects/s; each holds a piece or two of 1 MiB
QUEUE_MAX = 1000  # objects listed and not read yet
BATCH_FILES = 500  # per commit
BATCH_LEAVES = 50_000  # the same for large files: what one crash costs


@dataclass(frozen=True, slots=True)
class Added:
    """What a round of reading found. `read_files` of the files were read, the others were known and unchanged."""

    backend: KnownBackend
    root: Cid
    files: int
    folders: int
    symlinks: int
    size_bytes: int
    read_files: int
    read_bytes: int


async def add_backend(
    index: BackendIndex,
    known: KnownBackend,
    backend: Backend,
    *,
    unix_s: float,
    progress: ProgressCallback | None = None,
    read_all: bool = False,
) -> Added:
    """Reads what is new or changed (or everything) of the backend that `index.begin` gave.

    `progress(bytes, files)` is called in the loop. Raises what the backend raises, UsageError for names that no folder
    can hold, ChangedError for an object that is being written, LimitError, StoreError.
    """
    adding = _Adding(index, known, backend, Progress(progress), read_all=read_all)
    try:
        await adding.run()
    except BaseExceptionGroup as group:
        raise _first_of(group) from None
    finally:
        adding.save()
    return await adding.finish(unix_s)


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Several readers may fail at once, mostly for one reason."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


class _Adding:
    def __init__(
        self, index: BackendIndex, known: KnownBackend, backend: Backend, progress: Progress, *, read_all: bool
    ) -> None:
        self._index = index
        self._known = known
        self._backend = backend
        self._progress = progress
        self._read_all = read_all
        self._tree = Tree()
        self._saving = threading.Lock()
        self._links: list[tuple[Cid, bytes]] = []
        self._only: Cid | None = None
        self._read: list[tuple[BackendObject, FileDag]] = []
        self._read_leaves = 0
        self._kept: list[int] = []
        self._files = self._size_bytes = self._read_files = self._read_bytes = 0

    async def run(self) -> None:
        queue: asyncio.Queue[BackendObject | None] = asyncio.Queue(QUEUE_MAX)
        async with asyncio.TaskGroup() as group:
            for _ in range(OBJECTS_AT_ONCE):
                group.create_task(self._work(queue))
            async with aclosing(self._backend.entries()) as entries:
                await self._sort(entries, queue)
            for _ in range(OBJECTS_AT_ONCE):
                await queue.put(None)

    async def finish(self, unix_s: float) -> Added:
        root, folders = (self._only, iter(())) if self._only is not None else self._tree.build()
        nodes = [*folders, *self._links]
        await asyncio.to_thread(self._index.finish, self._known, root, nodes, unix_s)
        self._progress.report()
        known = self._index.backend(self._known.backend_id)
        assert known is not None
        return Added(
            known, root, self._files, self._tree.folders, len(self._links), self._size_bytes, self._read_files,
            self._read_bytes,
        )  # fmt: skip

    async def _sort(self, entries: AsyncGenerator[BackendEntry], queue: "asyncio.Queue[BackendObject | None]") -> None:
        async for entry in entries:
            if not self._known.hidden and self._known.only is None and is_hidden(entry.key):
                continue
            match entry:
                case BackendObject():
                    await queue.put(entry)
                case BackendFolder():
                    self._tree.put_folder(entry.key)
                case BackendSymlink():
                    cid, block = build_symlink(entry.target)
                    self._links.append((cid, block))
                    self._tree.put(entry.key, cid, len(block))

    async def _work(self, queue: "asyncio.Queue[BackendObject | None]") -> None:
        while (found := await queue.get()) is not None:
            old = await asyncio.to_thread(self._index.file_at, self._known.backend_id, found.key)
            if old is not None and self._may_keep(old, found):
                self._kept.append(old.file_id)
                self._note(found, old.cid, old.tsize)
                self._progress.add(found.size_bytes, files=1)
            else:
                dag = await hash_object(self._backend, found, self._progress.add)
                self._read.append((found, dag))
                self._read_leaves += len(dag.leaves)
                self._read_files += 1
                self._read_bytes += found.size_bytes
                self._note(found, dag.root, dag.tsize)
                self._progress.add(0, files=1)
            if len(self._read) + len(self._kept) >= BATCH_FILES or self._read_leaves >= BATCH_LEAVES:
                await asyncio.to_thread(self.save)

    def save(self) -> None:
        """What was read so far is known from now on, durably."""
        with self._saving:
            read, self._read, self._read_leaves = self._read, [], 0
            kept, self._kept = self._kept, []
            if read:
                self._index.put_files(self._known, read)
            if kept:
                self._index.keep_files(self._known, kept)

    def _may_keep(self, old: KnownFile, found: BackendObject) -> bool:
        return not self._read_all and not old.is_changed and found.version != "" and old.object == found

    def _note(self, found: BackendObject, cid: Cid, tsize: int) -> None:
        self._files += 1
        self._size_bytes += found.size_bytes
        if self._known.only is not None:
            self._only = cid
        else:
            self._tree.put(found.key, cid, tsize)
