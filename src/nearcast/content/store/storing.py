"""Puts new objects, their links and pins into the index, inside one transaction.

The bytes are on disk and synced already. Here it is decided what replaces what, who is whose child, and who is held
from now on. The order of the steps matters: rows, then edges, then the leaf index, then containers, then holds.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nearcast.content.cid import decode_cid
from nearcast.content.store.core import Change
from nearcast.content.store.holding import grouped, hold
from nearcast.content.store.index import Rows, slices
from nearcast.content.store.pack import frame_bytes
from nearcast.content.store.rows import (
    ABSENT,
    CHANGED,
    COLUMNS,
    FLAT,
    IN_PLACE,
    PACKED,
    PARTIAL,
    Row,
    pack_guard,
    prefix_of,
    rows_of,
)
from nearcast.content.store.types import Pin, Reference

OUTBOARD_KEY_BYTES = 39  # the CID of an outboard in a pack: its codec takes 4 bytes of varint
INTERIOR_SLICE = 10_000  # names inside a flat file that are compared with absent rows at a time
INSERT_OBJECTS = f"insert into objects({COLUMNS}) values %s"


class NewObject(NamedTuple):
    """An object whose bytes are in place. `inside` are (key, position) of the blocks within a flat file."""

    key: bytes
    place: int
    pack: int | None
    offset: int | None
    size_bytes: int
    outboard_bytes: int = 0
    source: Reference | None = None
    children: tuple[bytes, ...] = ()
    inside: Callable[[], Iterable[tuple[bytes, int]]] | None = None


Confirm = Callable[[Row, int, bytes], bool]
"""Whether the flat object has a block of this key at this position; its outboard is asked."""


def replaces(old_place: int, new_place: int) -> bool:
    """Whether a new place for the bytes is better than the old one. A copy of our own beats the user's file."""
    if old_place in (ABSENT, CHANGED):
        return True
    if old_place == IN_PLACE:
        return new_place in (PACKED, FLAT, IN_PLACE)  # a batch brings a new reference only when the old one broke
    return old_place == PARTIAL and new_place != PARTIAL


def frame_bytes_of(new: NewObject) -> int:
    """What an object takes in its pack: a block, or the outboard of a file in place."""
    if new.place == PACKED:
        return frame_bytes(len(new.key), new.size_bytes)
    return frame_bytes(OUTBOARD_KEY_BYTES, new.outboard_bytes)


class Storing:
    """One use: `objects`, then `pins`, then `finish`."""

    def __init__(self, change: Change, confirm: Confirm, *, any_absent: bool) -> None:
        self._change = change
        self._sql = change.sql
        self._confirm = confirm
        self._any_absent = any_absent
        self._to_hold: Counter[int] = Counter()
        self._new_rows: dict[bytes, Row] = {}
        self._known: dict[bytes, Row] = {}
        self._parents: Counter[int] = Counter()
        self._edges: list[tuple[int, int]] = []

    def store(self, objects: list[NewObject], pins: list[Pin]) -> dict[bytes, int]:
        """Everything of a batch; the id of each object that is now stored because of it."""
        roots = [pin.root.v1.to_bytes() for pin in pins]
        self._known = rows_of(self._sql, [new.key for new in objects])
        wanted = {child for new in objects for child in new.children} | set(roots)
        self._known |= rows_of(self._sql, [key for key in wanted if key not in self._known])
        stored = [new for new in objects if self._enters(new)]
        absent = self._link(stored, roots)
        self._sql.insert(INSERT_OBJECTS, 9, (self._final(row) for row in self._new_rows.values()))
        self._insert_details(stored)
        self._contain(stored, absent)
        self._save_parents()
        self._pin(pins, roots)
        self._change.holds(hold(self._sql, self._to_hold))
        return {new.key: self._row(new.key).id for new in stored}

    def _enters(self, new: NewObject) -> bool:
        """Gives the object its row, unless what is there already is as good."""
        old = self._known.get(new.key)
        if old is None:
            row = Row(self._change.new_id(), new.key, new.place, new.pack, new.offset, new.size_bytes,
                      new.outboard_bytes, 0, 0)  # fmt: skip
            self._new_rows[new.key] = row
        elif replaces(old.place, new.place):
            self._replace(old, new)
            row = old._replace(place=new.place, size_bytes=new.size_bytes, outboard_bytes=new.outboard_bytes)
            self._known[new.key] = row
        else:
            return False
        self._change.appears(row.id, row.key, row.evictable_bytes, held=row.held > 0)
        return True

    def _replace(self, old: Row, new: NewObject) -> None:
        if old.place == ABSENT:
            self._change.facts["absent"] -= 1
        else:
            leave_place(self._change, old, keep_outboard=new.outboard_bytes > 0 and new.pack is None)
        self._sql.run(
            "update objects set place = ?, pack = ?, offset = ?, size = ?, outboard = ? where id = ?",
            (new.place, new.pack, new.offset, new.size_bytes, new.outboard_bytes, old.id),
        )

    def _link(self, stored: list[NewObject], roots: list[bytes]) -> list[Row]:
        """Edges to children; rows for children and roots that are not here, which it returns."""
        absent = [self._absent(key) for key in roots if not self._has_row(key)]
        for new in stored:
            parent = self._row(new.key)
            before: set[int] = set()
            if new.children and new.key not in self._new_rows:
                before = {child for (child,) in self._children(parent.id)}
            for key in new.children:
                if not self._has_row(key):
                    absent.append(self._absent(key))
                child = self._row(key).id
                if child not in before:
                    self._edge(parent, child)
        return absent

    def _children(self, row_id: int) -> Rows:
        return self._sql.ask("select child from edges where parent = ?", (row_id,))

    def _absent(self, key: bytes) -> Row:
        self._change.facts["absent"] += 1
        self._new_rows[key] = Row(self._change.new_id(), key, ABSENT, None, None, 0, 0, 0, 0)
        return self._new_rows[key]

    def _edge(self, parent: Row, child: int) -> None:
        self._edges.append((parent.id, child))
        self._parents[child] += 1
        if parent.held:
            self._to_hold[child] += 1

    def _has_row(self, key: bytes) -> bool:
        return key in self._new_rows or key in self._known

    def _row(self, key: bytes) -> Row:
        return self._new_rows.get(key) or self._known[key]

    def _final(self, row: Row) -> tuple[object, ...]:
        return (*row[:8], self._parents.pop(row.id, 0))

    def _insert_details(self, stored: list[NewObject]) -> None:
        """What hangs on the rows: edges, where files of the user are, what lies inside flat files."""
        sources = [
            (self._row(new.key).id, new.source.path, pack_guard(new.source.guard)) for new in stored if new.source
        ]
        self._sql.insert("insert or replace into sources values %s", 3, sources)
        for new in stored:
            if new.inside is not None:
                row_id = self._row(new.key).id
                entries = ((prefix_of(key[4:]), row_id, position) for key, position in new.inside())
                added = self._sql.insert("insert or ignore into leaves values %s", 3, entries)
                self._change.facts["leaves"] += added

    def _contain(self, stored: list[NewObject], absent: list[Row]) -> None:
        """Names that are not here as objects, but lie inside a flat file, have that file as their child."""
        for row in absent:
            container = self._container(row.key)
            if container is not None:
                self._edge(row, container)
        for new in stored if self._any_absent else ():
            container = self._row(new.key).id
            for part in slices(new.inside() if new.inside else (), INTERIOR_SLICE):
                for row in rows_of(self._sql, [key for key, _ in part]).values():
                    if row.place == ABSENT and (container,) not in self._children(row.id):
                        self._edge(row, container)
        self._sql.insert("insert or ignore into edges values %s", 2, self._edges)

    def _container(self, key: bytes) -> int | None:
        candidates = self._sql.ask(
            f"select {COLUMNS}, position from leaves join objects on id = object where prefix = ?",
            (prefix_of(decode_cid(key).digest),),
        )
        for *columns, position in candidates:
            row = Row(*columns)
            if row.place in (FLAT, IN_PLACE, PARTIAL) and self._confirm(row, position, key):
                return row.id
        return None

    def _save_parents(self) -> None:
        for by, ids in grouped(self._parents).items():
            self._sql.run_many(f"update objects set parents = parents + {by} where id in (%s)", ids)

    def _pin(self, pins: list[Pin], roots: list[bytes]) -> None:
        pinned = {key for (key,) in self._sql.ask_many("select cid from pins where cid in (%s)", roots)}
        for key in dict.fromkeys(roots):
            if key not in pinned:
                self._to_hold[self._row(key).id] += 1
        rows = [(key, pin.name, pin.created_unix_s) for key, pin in zip(roots, pins, strict=True)]
        self._sql.insert("insert or replace into pins values %s", 3, rows)


def leave_place(change: Change, row: Row, *, keep_outboard: bool = False) -> None:
    """The object's bytes are to go: what counted them, and what has to be unlinked or marked dead after the commit."""
    if row.place != CHANGED:
        change.disappears(row)
    change.moved.append(row.key)
    if row.place == PACKED:
        _bury(change, row, frame_bytes(len(row.key), row.size_bytes))
    elif row.pack is not None:
        _bury(change, row, frame_bytes(OUTBOARD_KEY_BYTES, row.outboard_bytes))
    suffixes = {FLAT: [".data"], PARTIAL: [".part", ".bits"]}.get(row.place, [])
    if row.outboard_bytes and row.pack is None and not keep_outboard:
        suffixes.append(".dag")
    if row.place in (IN_PLACE, CHANGED):
        change.sql.run("delete from sources where id = ?", (row.id,))
    change.trash += [(row.key, suffix) for suffix in suffixes]


def _bury(change: Change, row: Row, size_bytes: int) -> None:
    assert row.pack is not None
    assert row.offset is not None
    change.dead.setdefault(row.pack, []).append(row.offset)
    change.dead_bytes[row.pack] += size_bytes
