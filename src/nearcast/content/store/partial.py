"""A file on its way: a sparse file, and a map of the leaves that have arrived.

Every leaf is checked against its digest before it is written, and is served from then on. `checkpoint` syncs the
bytes and only then the map, so a crash forgets at most the leaves since the last one. `complete` makes it an ordinary
flat file: sync, intent, rename, commit. Whoever opens the same file twice gets the same one.
"""

import errno
import os
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from nearcast.content.cid import Cid
from nearcast.content.dag import FileDag
from nearcast.content.leaves import LeafTable
from nearcast.content.store.batch import inside_of, outboard_to_write
from nearcast.content.store.bitmap import Bitmap, load_bitmap, save_bitmap
from nearcast.content.store.core import Core
from nearcast.content.store.direct import DirectWriter
from nearcast.content.store.disk import read_at, storing, sync_folder, write_all_at
from nearcast.content.store.flat import FlatFiles, write_intent
from nearcast.content.store.reading import Reading
from nearcast.content.store.rows import FLAT, IN_PLACE, PARTIAL, STORED, Row
from nearcast.content.store.storing import NewObject, Storing
from nearcast.errors import IntegrityError, StoreError, UsageError


class PartialFile:
    """The one open state of a file on its way, shared by all who have it open."""

    def __init__(self, core: Core, row: Row, table: LeafTable, bitmap: Bitmap) -> None:
        self.core = core
        self.row_id = row.id
        self.key = row.key
        self.table = table
        self.bitmap = bitmap
        self.users = 0
        self.is_complete = False
        path = core.layout.object(row.key, ".part")
        self.descriptor = os.open(path, os.O_RDWR)
        self._writer = DirectWriter(path, self.descriptor)
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._saved = bitmap.present

    def put(self, index: int, data: bytes, *, direct: bool) -> None:
        offset, size_bytes = self.table.span(index)
        if len(data) != size_bytes or sha256(data).digest() != self.table.digest(index):
            raise IntegrityError(f"bytes do not hash to {self.table.cid(index)}")
        if index in self.bitmap:
            return
        if direct:
            self._writer.write(data, offset)
        else:
            write_all_at(self.descriptor, data, offset)
        with self._lock:
            self.bitmap.add(index)

    def checkpoint(self) -> None:
        with self._saving:
            with self._lock:
                present, encoded = self.bitmap.present, self.bitmap.encode()
            if present == self._saved or self.is_complete:
                return
            os.fdatasync(self.descriptor)
            save_bitmap(self.core.layout.object(self.key, ".bits"), encoded, self.core.layout.temporary)
            self._saved = present

    def complete(self) -> None:
        with self._saving:
            if self.is_complete:
                return
            os.fdatasync(self.descriptor)
            with self.core.index.lock:
                self._become_flat()
            self.is_complete = True

    def _become_flat(self) -> None:
        layout, core = self.core.layout, self.core
        row = core.lookup.fresh_row(self.key)
        if row is None or row.id != self.row_id or row.place not in (PARTIAL, *STORED):
            raise StoreError("the file was dropped while it was arriving", fix="fetch it again")
        if row.place != PARTIAL:
            return  # it came another way
        part, data = layout.object(self.key, ".part"), layout.object(self.key, ".data")
        intent = write_intent(layout.temporary, [self.key])
        core.trash.reclaim((self.key, ".data"))
        part.rename(data)
        try:
            sync_folder(data.parent)
            with core.change() as change:
                change.sql.run("update objects set place = ? where id = ?", (FLAT, self.row_id))
                change.moved.append(self.key)
        except BaseException:
            data.rename(part)
            raise
        core.descriptors.forget([(self.key, ".part")])
        for path in (intent, layout.object(self.key, ".bits")):
            path.unlink(missing_ok=True)

    def find_leaves(self) -> None:
        """Hashes what lies in the file, for want of a map that can be believed."""
        for index in self._leaves_with_data():
            offset, size_bytes = self.table.span(index)
            data = read_at(self.descriptor, size_bytes, offset)
            if sha256(data).digest() == self.table.digest(index):
                with self._lock:
                    self.bitmap.add(index)

    def _leaves_with_data(self) -> Iterator[int]:
        position, index = 0, -1
        while position < self.table.size_bytes:
            try:
                position = os.lseek(self.descriptor, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
                raise
            index = max(index + 1, self.table.leaf_at(position))
            if index >= len(self.table):
                return
            yield index
            position = sum(self.table.span(index))

    def close(self) -> None:
        """The last one out saves the map."""
        with self.core.partials_lock:
            self.users -= 1
            if self.users:
                return
            self.core.partials.pop(self.row_id, None)
        try:
            self.checkpoint()
        finally:
            self._writer.close()
            os.close(self.descriptor)
            self.core.leases.give_back([self.row_id])


class Partial:
    """A handle on a file that is arriving, or that turned out to be here already. Thread-safe."""

    def __init__(self, root: Cid, leaves: int, file: PartialFile | None) -> None:
        self.root = root
        self._leaves = leaves
        self._file = file
        self._closed = False

    def __enter__(self) -> "Partial":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def missing(self) -> list[tuple[int, int]]:
        """(first, count) of the leaves that are still to come."""
        return self._file.bitmap.spans(present=False) if self._file else []

    def has(self, index: int) -> bool:
        return index in self._file.bitmap if self._file else 0 <= index < self._leaves

    def put_leaf(self, index: int, data: bytes, *, direct: bool = False) -> None:
        """`direct`: past the page cache (direct.py), since nobody reads it soon.

        Raises IntegrityError unless `data` is leaf `index`, UsageError when there is no such leaf, DiskFullError.
        """
        if not 0 <= index < self._leaves:
            raise UsageError(f"{self.root} has no leaf {index}")
        if self._file is not None:
            with storing():
                self._file.put(index, data, direct=direct)

    def checkpoint(self) -> None:
        """Makes durable what has arrived. Costs a sync: every second or so is often enough."""
        if self._file is not None:
            with storing():
                self._file.checkpoint()

    def complete(self) -> None:
        """Makes it a whole, durable file. Raises UsageError while leaves are missing."""
        if self.missing():
            raise UsageError(
                f"{self.root} is not complete: {sum(count for _, count in self.missing())} leaves are missing"
            )
        if self._file is not None:
            with storing():
                self._file.complete()

    def close(self) -> None:
        """Saves what has arrived and lets go. What was put stays, complete or not."""
        if self._file is not None and not self._closed:
            self._closed = True
            with storing():
                self._file.close()


def open_partial(core: Core, reading: Reading, dag: FileDag) -> Partial:
    """The file on its way with this DAG: a new one, or the one that was begun."""
    key = dag.root.v1.to_bytes()
    with storing():
        with core.index.lock:
            core.save_changed()
            row = core.lookup.fresh_row(key)
            if row is not None and row.place in STORED and _is_good(reading, row):
                return Partial(dag.root, len(dag.leaves), None)
            file, is_new = _shared(core, reading, dag, row)
        if not is_new and not file.bitmap.present:
            file.find_leaves()
    return Partial(dag.root, len(dag.leaves), file)


def _is_good(reading: Reading, row: Row) -> bool:
    """Whether a stored object can still be read; a file in place may have changed unnoticed."""
    if row.place == IN_PLACE and not reading.is_unchanged(row):
        reading.core.save_changed()
        return False
    return True


def _shared(core: Core, reading: Reading, dag: FileDag, row: Row | None) -> tuple[PartialFile, bool]:
    """The open file for this row, and whether it was made just now; under the index's lock."""
    with core.partials_lock:
        live = core.partials.get(row.id) if row is not None else None
        if live is not None:
            live.users += 1
            return live, True
    key = dag.root.v1.to_bytes()
    is_new = row is None or row.place != PARTIAL or not _has_size(core.layout.object(key, ".part"), row.size_bytes)
    if is_new:
        core.trash.reclaim((key, ".bits"))
        core.layout.object(key, ".bits").unlink(missing_ok=True)
        _create(core, reading, dag)
    row = core.lookup.fresh_row(key)
    assert row is not None
    bits = load_bitmap(core.layout.object(key, ".bits"), len(dag.leaves))
    file = PartialFile(core, row, dag.leaves, bits or Bitmap(len(dag.leaves)))
    file.users = 1
    core.leases.take([row.id])  # cannot be refused: objects are only doomed under the lock that we hold
    with core.partials_lock:
        core.partials[row.id] = file
    return file, is_new


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.exists() and path.stat().st_size == size_bytes


def _create(core: Core, reading: Reading, dag: FileDag) -> None:
    """An empty sparse file, its outboard and its row."""
    key = dag.root.v1.to_bytes()
    files = FlatFiles(core)
    try:
        files.add_part(key, dag.leaves.size_bytes)
        outboard, outboard_bytes = outboard_to_write(core, dag)
        if outboard:
            files.add_outboard(key, outboard)
        files.sync()
        files.rename()
        size_bytes = dag.leaves.size_bytes
        new = NewObject(key, PARTIAL, None, None, size_bytes, outboard_bytes, None, (), inside_of(dag))
        with core.change() as change:
            storing_ = Storing(change, reading.confirm, any_absent=core.facts["absent"] > 0)
            change.moved += storing_.store([new], [])
    except BaseException:
        files.undo()
        raise
    files.settle()
