"""Rows of the index as values, and a small memory of those that were just asked for."""

import struct
import threading
from typing import NamedTuple

from nearcast.content.cid import DAG_PB, RAW, Cid, decode_cid
from nearcast.content.store.index import Index, Transaction
from nearcast.content.store.types import FileGuard, Reference

ABSENT, PACKED, FLAT, IN_PLACE, PARTIAL, CHANGED = range(6)
STORED = (PACKED, FLAT, IN_PLACE)
OURS = (PACKED, FLAT, PARTIAL)  # places whose bytes are ours to count and to evict
ROWS_KEPT_MAX = 4096  # about 1.5 MB
PREFIX_BYTES = 8

COLUMNS = "id, cid, place, pack, offset, size, outboard, held, parents"
_GUARD = struct.Struct("<QQQqq")


class Row(NamedTuple):
    """One object. `pack` and `offset` lead to a packed block's data, or to the outboard of a file in place.

    `outboard` is that outboard's size in bytes, 0 where none is needed (a block; a flat file that is one raw leaf).
    `held` counts pins and held parents, `parents` all stored ones; ABSENT rows stand for what is pinned or linked to
    but not here.
    """

    id: int
    key: bytes
    place: int
    pack: int | None
    offset: int | None
    size_bytes: int
    outboard_bytes: int
    held: int
    parents: int
    source: Reference | None = None

    @property
    def cid(self) -> Cid:
        return decode_cid(self.key)

    @property
    def is_raw(self) -> bool:
        return self.key[1] == RAW

    @property
    def is_dag_pb(self) -> bool:
        return self.key[1] == DAG_PB

    @property
    def evictable_bytes(self) -> int:
        """What it counts against the quota while nothing holds it."""
        return self.size_bytes + self.outboard_bytes if self.place in OURS else 0


def prefix_of(digest: bytes) -> int:
    """The first 8 bytes of a digest as SQLite's signed integer."""
    return int.from_bytes(digest[:PREFIX_BYTES], "big", signed=True)


def pack_guard(guard: FileGuard) -> bytes:
    return _GUARD.pack(*guard)


def unpack_guard(data: bytes) -> FileGuard:
    return FileGuard(*_GUARD.unpack(data))


def rows_of(sql: Transaction, keys: list[bytes]) -> dict[bytes, Row]:
    """The rows with these CIDs, inside a transaction; without their sources."""
    found = sql.ask_many(f"select {COLUMNS} from objects where cid in (%s)", keys)
    return {row[1]: Row(*row) for row in found}


def rows_with(sql: Transaction, ids: list[int]) -> list[Row]:
    return [Row(*row) for row in sql.ask_many(f"select {COLUMNS} from objects where id in (%s)", ids)]


class Lookup:
    """Finds rows for readers. Rows are remembered for where they are; `held` of a remembered row may be old."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: dict[bytes, Row] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def row(self, key: bytes) -> Row | None:
        known = self._known.get(key)
        return known if known is not None else self.fresh_row(key)

    def fresh_row(self, key: bytes) -> Row | None:
        generation = self._generation
        rows = self._index.ask(f"select {COLUMNS} from objects where cid = ?", (key,))
        if not rows:
            return None
        row = self.with_source(Row(*rows[0]))
        with self._lock:
            if generation == self._generation:  # else it may have moved since
                if len(self._known) >= ROWS_KEPT_MAX:
                    self._known.clear()
                self._known[key] = row
        return row

    def containing(self, digest: bytes) -> list[tuple[Row, int]]:
        """(flat object, position) that may hold a block with this digest inside; a position < 0 is node ~position."""
        rows = self._index.ask(
            f"select {COLUMNS}, position from leaves join objects on id = object where prefix = ?", (prefix_of(digest),)
        )
        return [(self.with_source(Row(*row[:-1])), row[-1]) for row in rows]

    def forget(self, keys: list[bytes] | None = None) -> None:
        """Call after a commit that moved or dropped these (None: anything)."""
        with self._lock:
            self._generation += 1
            if keys is None:
                self._known.clear()
            else:
                for key in keys:
                    self._known.pop(key, None)

    def with_source(self, row: Row) -> Row:
        if row.place not in (IN_PLACE, CHANGED):
            return row
        found = self._index.ask("select path, guard from sources where id = ?", (row.id,))
        return row._replace(source=Reference(found[0][0], unpack_guard(found[0][1]))) if found else row
