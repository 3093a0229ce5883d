"""A batch: many objects that become durable together, or not at all.

    append blocks to a pack of our own … sync the packs and files | rename files | sync folders | one commit | pins

Until the commit nothing of it can be read, and whatever a crash leaves behind is cut off, or named by an intent and
unlinked, when the store opens again. Blocks that the store has already are not written twice; they are leased until
the commit, so that nobody evicts them in between.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from nearcast.content.blocks import BLOCK_BYTES_MAX, check_block
from nearcast.content.cid import Cid, dag_pb_cid, raw_cid
from nearcast.content.dag import FileDag
from nearcast.content.store.core import Change, Core
from nearcast.content.store.disk import storing
from nearcast.content.store.flat import FlatFiles
from nearcast.content.store.links import linked_keys
from nearcast.content.store.outboard import encode_outboard
from nearcast.content.store.pack import frame_head, outboard_key
from nearcast.content.store.packs import PackSession
from nearcast.content.store.pinlog import pin_line
from nearcast.content.store.reading import Reading
from nearcast.content.store.rows import CHANGED, FLAT, IN_PLACE, PACKED
from nearcast.content.store.storing import NewObject, Storing, frame_bytes_of
from nearcast.content.store.types import FileGuard, Pin, Reference, guard_of
from nearcast.errors import ChangedError, LimitError, UsageError

WAITING_BLOCKS_MAX = 500  # one question to the index about all of them
WAITING_BYTES_MAX = 4 << 20  # one write; guess: beyond it larger writes gain nothing
BATCH_OBJECTS_MAX = 4_000_000  # about 1.5 GB of rows in memory: past any tree that one batch should hold
OUTBOARD_PACKED_BYTES_MAX = 64 << 10  # as for small files: below this a file of its own costs more than it holds


class Batch:
    """Use it in a `with` block, from one thread at a time; leaving the block commits.

    Raises DiskFullError or StoreError, then or on any put, with nothing of the batch kept.
    """

    def __init__(self, core: Core, reading: Reading) -> None:
        self._core = core
        self._reading = reading
        self._session = PackSession(core.packs)
        self._files = FlatFiles(core)
        self._waiting: dict[bytes, tuple[Cid, bytes]] = {}
        self._waiting_bytes = 0
        self._objects: dict[bytes, NewObject] = {}
        self._pins: dict[Cid, Pin] = {}
        self._leased: list[int] = []
        self._ended = False

    def __enter__(self) -> "Batch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storing(), ExitStack() as stack:
            self._ended = True
            stack.callback(self._core.leases.give_back, self._leased)
            kept = False
            stack.callback(lambda: self._session.close(keep=kept))
            stack.callback(lambda: None if kept else self._files.undo())
            if kind is None:
                self._commit()
                kept = True

    def put_block(self, cid: Cid, data: bytes, *, verified: bool = False) -> None:
        """A block of at most 2 MiB. Raises IntegrityError unless it is `verified` or hashes to its CID, LimitError."""
        self._check_open()
        if cid.is_identity:
            return
        key = cid.v1.to_bytes()
        if key in self._waiting or key in self._objects:
            return
        if not verified:
            check_block(cid, data)
        elif len(data) > BLOCK_BYTES_MAX:
            raise LimitError(f"a block of {len(data)} bytes is over the limit of {BLOCK_BYTES_MAX}")
        self._waiting[key] = cid, data
        self._waiting_bytes += len(data)
        if len(self._waiting) >= WAITING_BLOCKS_MAX or self._waiting_bytes >= WAITING_BYTES_MAX:
            with storing():
                self._write_waiting()

    def put_reference(self, dag: FileDag, path: Path, guard: FileGuard) -> None:
        """A file of the user's, shared where it is. Raises ChangedError when it is not what `guard` says any more."""
        self._check_open()
        path = path.absolute()
        source = Reference(os.fsencode(path), guard)
        if not _is_unchanged(source) or guard.size_bytes != dag.leaves.size_bytes:
            raise ChangedError(f"{path} changed while it was being added", fix="add it again when it is at rest")
        key = dag.root.v1.to_bytes()
        if self._has_already(key):
            return
        parts = encode_outboard(dag.root, dag.leaves, dag.nodes, source)
        size_bytes = sum(map(len, parts))
        with storing():
            if size_bytes <= OUTBOARD_PACKED_BYTES_MAX:
                data = b"".join(parts)
                pack, offsets = self._session.append([(frame_head(outboard_key(data), len(data)), data)])
                place: tuple[int | None, int | None] = pack, offsets[0]
            else:
                self._files.add_outboard(key, parts)
                place = None, None
        self._add(NewObject(key, IN_PLACE, *place, dag.leaves.size_bytes, size_bytes, source, (), inside_of(dag)))

    def put_file(self, dag: FileDag, temporary: Path) -> None:
        """A finished file, of the store's own (see `Store.temporary_file`), whose name is taken over. Its bytes are
        trusted to be those of `dag`. Raises UsageError when it has another size."""
        self._check_open()
        with storing():
            if temporary.stat().st_size != dag.leaves.size_bytes:
                raise UsageError(f"{temporary} has not the size of {dag.root}")
            key = dag.root.v1.to_bytes()
            if key in self._objects or self._is_stored(key, (FLAT, PACKED)):
                temporary.unlink()
                return
            outboard, outboard_bytes = outboard_to_write(self._core, dag)
            self._files.add(key, temporary, outboard)
        self._add(NewObject(key, FLAT, None, None, dag.leaves.size_bytes, outboard_bytes, None, (), inside_of(dag)))

    def pin(self, root: Cid, name: str) -> None:
        """Keeps `root` and everything reachable from it, also what arrives later."""
        self._check_open()
        if not root.is_identity:
            self._pins[root.v1] = Pin(root.v1, name, self._core.clock.unix_s())

    def _check_open(self) -> None:
        if self._ended:
            raise UsageError("this batch has ended")

    def _add(self, new: NewObject) -> None:
        if len(self._objects) >= BATCH_OBJECTS_MAX:
            raise LimitError(f"a batch of over {BATCH_OBJECTS_MAX} objects")
        self._objects[new.key] = new

    def _has_already(self, key: bytes) -> bool:
        """Whether a reference would add nothing: our own copy, or another file that is still what it was."""
        if key in self._objects or self._is_stored(key, (FLAT, PACKED)):
            return True
        row = self._core.lookup.row(key)
        if row is None or row.place != IN_PLACE or row.source is None or row.id in self._core.changed:
            return False
        return _is_unchanged(row.source) and bool(self._lease([row.id]))

    def _is_stored(self, key: bytes, places: tuple[int, ...]) -> bool:
        row = self._core.lookup.fresh_row(key)
        return row is not None and row.place in places and bool(self._lease([row.id]))

    def _lease(self, ids: list[int]) -> set[int]:
        granted = self._core.leases.take(ids)
        self._leased += granted
        return granted

    def _write_waiting(self) -> None:
        """Appends what waits, without what the store has already. If that fails it goes on waiting: who swallows the
        error and commits all the same gets it again, not a batch with a hole."""
        waiting = dict(self._waiting)
        marks = ",".join("?" * len(waiting))
        stored = self._core.index.ask(
            f"select id, cid from objects where cid in ({marks}) and place in ({PACKED}, {FLAT})", list(waiting)
        )
        granted = self._lease([row_id for row_id, _ in stored])
        for row_id, key in stored:
            if row_id in granted:
                del waiting[key]
        frames = [(frame_head(key, len(data)), data) for key, (_, data) in waiting.items()]
        pack, offsets = self._session.append(frames) if frames else (None, [])
        for (key, (cid, data)), offset in zip(waiting.items(), offsets, strict=True):
            self._add(NewObject(key, PACKED, pack, offset, len(data), 0, None, linked_keys(cid, data)))
        self._waiting, self._waiting_bytes = {}, 0

    def _commit(self) -> None:
        if self._waiting:
            self._write_waiting()
        if not self._objects and not self._pins:
            return
        lengths = self._session.sync()
        self._files.sync()
        with self._core.index.lock:
            self._files.rename()
            with self._core.change() as change:
                self._store(change, lengths)
            self._files.settle()

    def _store(self, change: Change, lengths: dict[int, int]) -> None:
        objects = list(self._objects.values())
        pins = list(self._pins.values())
        storing = Storing(change, self._reading.confirm, any_absent=self._core.facts["absent"] > 0)
        stored = storing.store(objects, pins)
        change.moved += stored
        live = dict.fromkeys(lengths, 0)
        for new in objects:
            if new.pack is None or new.offset is None:
                continue
            if new.key in stored:
                live[new.pack] += frame_bytes_of(new)
            else:  # another batch was quicker
                change.dead.setdefault(new.pack, []).append(new.offset)
        for pack, size_bytes in lengths.items():
            change.grow_pack(pack, size_bytes, live[pack])
        ids = list(stored.values())
        change.after.append(lambda: self._core.changed.difference_update(ids))
        change.after.append(lambda: self._core.note_pins([pin_line(pin) for pin in pins]))


def outboard_to_write(core: Core, dag: FileDag) -> tuple[list[bytes], int]:
    """(parts to write, size in bytes) of the `.dag` file of a flat file of ours; nothing for a lone leaf.

    The one of the same file shared in place says all that is needed, and overwriting it would not be crash-safe.
    """
    if not dag.nodes:
        return [], 0
    row = core.lookup.fresh_row(dag.root.v1.to_bytes())
    if row is not None and row.place in (IN_PLACE, CHANGED) and row.outboard_bytes and row.pack is None:
        return [], row.outboard_bytes
    parts = encode_outboard(dag.root, dag.leaves, dag.nodes, None)
    return parts, sum(map(len, parts))


def inside_of(dag: FileDag) -> Callable[[], Iterable[tuple[bytes, int]]] | None:
    """(key, position) of the blocks that lie inside a flat file, for the leaf index; None for a lone leaf."""
    if not dag.nodes:
        return None

    def inside() -> Iterator[tuple[bytes, int]]:
        leaves = dag.leaves
        yield from ((raw_cid(leaves.digest(index)).to_bytes(), index) for index in range(len(leaves)))
        others = (cid for cid, _ in dag.nodes if cid.digest != dag.root.digest)
        yield from ((dag_pb_cid(cid.digest).to_bytes(), ~position) for position, cid in enumerate(others, start=1))

    return inside


def _is_unchanged(source: Reference) -> bool:
    try:
        return guard_of(os.stat(source.path)) == source.guard
    except OSError:
        return False
