"""Finding bytes by name and reading them: in packs, in flat files, in the user's own files, in files on their way.

Rows that readers remember may be a moment old: a pack may have been compacted, a part may have become a whole file. So
what cannot be read as its row says is looked up afresh once; only then it is damage, and the object is dropped rather
than served. A block in a pack stands behind its own CID, which is compared on every read, so that not even a damaged
index can make one block pass for another.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import RAW, Cid, decode_cid
from nearcast.content.leaves import LeafTable, leaf_table
from nearcast.content.store.bitmap import Bitmap, load_bitmap
from nearcast.content.store.core import Core
from nearcast.content.store.descriptors import OpenFile
from nearcast.content.store.disk import read_at, storing
from nearcast.content.store.outboard import Outboard
from nearcast.content.store.rows import ABSENT, CHANGED, FLAT, IN_PLACE, PACKED, PARTIAL, Row
from nearcast.content.store.types import Extent, guard_of
from nearcast.errors import ChangedError, NotFoundError, StoreError

Result = TypeVar("Result")
Damaged = Callable[[Row, str], bool]


ATTEMPTS_MAX = 4  # a row that is old is fresh the second time; more only when others keep moving the object


class StaleError(Exception):
    """The bytes are not where the row says: it is old, or they are damaged. Never leaves this file."""


class Found:
    """Where a name's bytes are: an object itself (`position` None), or a leaf (>= 0) or inner node (~n) inside one."""

    __slots__ = ("position", "row")

    def __init__(self, row: Row, position: int | None) -> None:
        self.row = row
        self.position = position


class Reading:
    """The read side of a store. `damaged` is told of objects whose bytes are not what they were, and says whether that
    is so: no change of another thread explains it, and the object was dropped."""

    def __init__(self, core: Core, damaged: Damaged) -> None:
        self.core = core
        self._damaged = damaged

    def get_block(self, cid: Cid) -> bytes:
        """The block's bytes. Raises MissingBlockError, ChangedError."""
        if cid.is_identity:
            return cid.digest
        return self.on_found(cid, self.block)

    def read_file(self, cid: Cid, start: int, end: int) -> bytes:
        """The bytes start..end of a file that lies in one piece, cut at its end. Raises MissingBlockError where a leaf
        has not arrived, NotFoundError when the file is not in one piece, ChangedError."""
        return self.on_found(cid, lambda found: self._range(found, start, end))

    def locate(self, cid: Cid) -> Extent | None:
        """Where the file or raw block lies in one piece; None when it does not. Raises ChangedError."""
        if cid.is_identity:
            return None
        try:
            return self.on_found(cid, self._extent)
        except NotFoundError:
            return None

    def leaf_table(self, cid: Cid) -> LeafTable | None:
        """The leaves of a flat (or arriving) file, or of a raw block as a file of one leaf."""
        try:
            return self.on_found(cid, self._table)
        except NotFoundError:
            return None

    def has(self, cid: Cid) -> bool:
        if cid.is_identity:
            return True
        try:
            return self.on_found(cid, self.is_here)
        except (NotFoundError, ChangedError):
            return False

    def find(self, cid: Cid) -> Found | None:
        """The object of this name, or the first object that has it inside."""
        places = self._places(cid.v1.to_bytes())
        return next((found for found in places if not self._is_changed(found.row)), None)

    def bitmap(self, row: Row, leaves: int) -> Bitmap:
        """Which leaves of a file on its way are here."""
        live = self.core.partials.get(row.id)
        if live is not None:
            return live.bitmap
        path = self.core.layout.object(row.key, ".bits")
        return load_bitmap(path, leaves) or Bitmap(leaves)

    def table_of(self, row: Row) -> LeafTable:
        """All leaves of a flat object."""
        if not row.outboard_bytes:
            return leaf_table(row.cid.digest, [row.size_bytes])
        live = self.core.partials.get(row.id)
        if live is not None:
            return live.table
        with self.outboard(row) as outboard:
            return outboard.table()

    @contextmanager
    def outboard(self, row: Row) -> Iterator[Outboard]:
        """The object's outboard, in a pack or in its own file."""
        in_pack = row.pack is not None and row.place != PACKED
        opened = self._open_pack(row) if in_pack else self._open(row, ".dag")
        base = row.offset if in_pack and row.offset is not None else 0
        try:
            outboard = Outboard(lambda size, offset: read_at(opened.descriptor, size, base + offset))
            if outboard.total_bytes != row.outboard_bytes:
                raise StaleError("its outboard has another size")
            yield outboard
        except StoreError as error:
            raise StaleError(error.message) from error
        finally:
            self.core.descriptors.give_back(opened)

    def is_unchanged(self, row: Row) -> bool:
        """Whether the user's file is what it was; if not, that is remembered."""
        try:
            self._guarded(row)
        except (ChangedError, StaleError):
            return False
        return True

    def confirm(self, row: Row, position: int, key: bytes) -> bool:
        """Whether a flat object has this block at this position."""
        try:
            return self._holds(row, position, decode_cid(key))
        except StaleError:
            return False

    def on_found(self, cid: Cid, act: Callable[[Found], Result]) -> Result:
        """Acts on wherever the name is found; the next place if that fails. Raises MissingBlockError, ChangedError."""
        key = cid.v1.to_bytes()
        with storing():
            for _ in range(ATTEMPTS_MAX):
                try:
                    return self._attempt(key, act)
                except StaleError:
                    self.core.lookup.forget([key])
        raise MissingBlockError(cid)

    def _attempt(self, key: bytes, act: Callable[[Found], Result]) -> Result:
        failure: ChangedError | MissingBlockError | None = None
        for found in self._places(key):
            row = found.row
            if self._is_changed(row):
                failure = changed_error(row)
                continue
            try:
                return act(found)
            except (ChangedError, MissingBlockError) as error:
                failure = error
            except StaleError as stale:
                self._damaged(row, str(stale))
                raise
        raise failure or MissingBlockError(decode_cid(key))

    def _is_changed(self, row: Row) -> bool:
        return row.place == CHANGED or row.id in self.core.changed

    def _places(self, key: bytes) -> Iterator[Found]:
        """The object of this name, then the objects that have it inside."""
        row = self.core.lookup.row(key)
        if row is not None and row.place != ABSENT:
            yield Found(row, None)
        cid = decode_cid(key)
        for row, position in self.core.lookup.containing(cid.digest):
            if row.place in (FLAT, IN_PLACE, PARTIAL, CHANGED):
                try:
                    if self._holds(row, position, cid):
                        yield Found(row, position)
                except StaleError as stale:
                    self._damaged(row, str(stale))

    def _holds(self, row: Row, position: int, cid: Cid) -> bool:
        with self.outboard(row) as outboard:
            if position < 0:
                return ~position < outboard.nodes and outboard.node(~position)[0] == cid.digest and cid.codec != RAW
            return position < outboard.leaves and outboard.digest(position) == cid.digest and cid.codec == RAW

    def block(self, found: Found) -> bytes:
        row, position = found.row, found.position
        if row.place == PACKED:
            self.core.queue.hit(row.id)
            return self.packed(row)
        if position is None:
            if row.is_raw:
                self.core.queue.hit(row.id)
                return self.bytes_of(row, 0, row.size_bytes)
            position = ~0
        with self.outboard(row) as outboard:
            if position < 0:
                return outboard.node(~position)[1]
            offset, size_bytes = outboard.span(position)
        return self.bytes_of(row, offset, offset + size_bytes, leaf=position)

    def is_here(self, found: Found) -> bool:
        row = found.row
        if row.place == PARTIAL and (found.position is None or found.position >= 0) and not self.arrived(found):
            raise MissingBlockError(row.cid)
        return True

    def arrived(self, found: Found) -> bool:
        if found.position is None and not found.row.is_raw:
            return True  # the root node is in the outboard
        return (found.position or 0) in self.bitmap(found.row, self.leaves(found.row))

    def leaves(self, row: Row) -> int:
        if not row.outboard_bytes:
            return 1
        with self.outboard(row) as outboard:
            return outboard.leaves

    def file_span(self, found: Found) -> tuple[int, int]:
        """(offset, size) within the object's file of the file or raw block that was named."""
        row, position = found.row, found.position
        if position is None and (row.place != PACKED or row.is_raw):
            return 0, row.size_bytes
        if position is None or position < 0:
            raise NotFoundError(f"{row.cid} does not lie in one piece here")
        with self.outboard(row) as outboard:
            return outboard.span(position)

    def _range(self, found: Found, start: int, end: int) -> bytes:
        offset, size_bytes = self.file_span(found)
        start, end = max(0, start), min(end, size_bytes)
        if start >= end:
            return b""
        if start == 0:
            self.core.queue.hit(found.row.id)
        return self.bytes_of(found.row, offset + start, offset + end)

    def _extent(self, found: Found) -> Extent:
        offset, size_bytes = self.file_span(found)
        row = found.row
        if row.place == PARTIAL:
            raise NotFoundError(f"{row.cid} has not arrived yet")  # its file is about to get another name
        if offset == 0:
            self.core.queue.hit(row.id)
        if row.place == IN_PLACE:
            return Extent(Path(os.fsdecode(self._guarded(row))), offset, size_bytes)
        if row.place == PACKED:
            assert row.pack is not None
            return Extent(self.core.layout.pack(row.pack), row.offset or 0, size_bytes)
        return Extent(self.core.layout.object(row.key, ".data"), offset, size_bytes)

    def _table(self, found: Found) -> LeafTable:
        row, position = found.row, found.position
        if position is not None or row.place == PACKED:
            _, size_bytes = self.file_span(found)
            if position is None:
                return leaf_table(row.cid.digest, [size_bytes])
            with self.outboard(row) as outboard:
                return leaf_table(outboard.digest(position), [size_bytes])
        return self.table_of(row)

    def packed(self, row: Row) -> bytes:
        head = len(row.key)
        opened = self._open_pack(row)
        try:
            data = read_at(opened.descriptor, head + row.size_bytes, (row.offset or 0) - head)
        finally:
            self.core.descriptors.give_back(opened)
        if len(data) != head + row.size_bytes or not data.startswith(row.key):
            raise StaleError("its pack has other bytes in its place")
        return data[head:]

    def bytes_of(self, row: Row, start: int, end: int, *, leaf: int | None = None) -> bytes:
        """The bytes start..end of an object's file, all of them there."""
        if row.place == PACKED:
            return self.packed(row)[start:end]
        if row.place == IN_PLACE:
            return self._bytes_in_place(row, start, end)
        if row.place == PARTIAL:
            self._check_arrived(row, start, end, leaf)
        opened = self._open(row, ".part" if row.place == PARTIAL else ".data")
        try:
            data = read_at(opened.descriptor, end - start, start)
        finally:
            self.core.descriptors.give_back(opened)
        if len(data) != end - start:
            raise StaleError("its file is cut short")
        return data

    def _check_arrived(self, row: Row, start: int, end: int, leaf: int | None) -> None:
        table = None if leaf is not None else self.table_of(row)
        first, count = table.covering(start, end) if table else (leaf or 0, 1)
        gap = self.bitmap(row, len(table) if table else self.leaves(row)).missing_in(first, count)
        if gap is not None:
            raise MissingBlockError((table or self.table_of(row)).cid(gap))

    def _bytes_in_place(self, row: Row, start: int, end: int) -> bytes:
        """The guard is compared by name before the read, and on the open file after it."""
        path = self._guarded(row)
        assert row.source is not None
        try:
            opened = self.core.descriptors.take(row.source, lambda: path)
        except OSError as error:
            raise self.changed_now(row) from error
        try:
            data = read_at(opened.descriptor, end - start, start)
            after = guard_of(os.fstat(opened.descriptor))
        finally:
            self.core.descriptors.give_back(opened)
        if after != row.source.guard or len(data) != end - start:
            raise self.changed_now(row)
        return data

    def _guarded(self, row: Row) -> bytes:
        if row.source is None:
            raise StaleError("its own file is not known any more")
        try:
            now = guard_of(os.stat(row.source.path))
        except OSError as error:
            raise self.changed_now(row) from error
        if now != row.source.guard:
            raise self.changed_now(row)
        return row.source.path

    def changed_now(self, row: Row) -> ChangedError:
        """From now on this object is not here, until its file is shared again."""
        error = changed_error(row)
        if row.id not in self.core.changed:
            self.core.changed.add(row.id)
            self.core.tell("store_changed", error.message)
        return error

    def _open_pack(self, row: Row) -> OpenFile:
        number = row.pack
        if number is None:
            raise StaleError("its pack is not known")
        try:
            return self.core.descriptors.take(number, lambda: self.core.layout.pack(number))
        except FileNotFoundError as error:
            raise StaleError("its pack is gone") from error

    def _open(self, row: Row, suffix: str) -> OpenFile:
        try:
            return self.core.descriptors.take((row.key, suffix), lambda: self.core.layout.object(row.key, suffix))
        except FileNotFoundError as error:
            raise StaleError(f"its {suffix} file is gone") from error


def changed_error(row: Row) -> ChangedError:
    path = os.fsdecode(row.source.path) if row.source else "a file shared in place"
    what = "has changed" if row.source is None or os.path.exists(row.source.path) else "is gone"
    return ChangedError(f"{path} {what} since it was shared: {row.cid} is not served", fix=f"nearcast share {path}")
