"""The index from the files alone.

Packs are scanned and every block in them is hashed; outboards say what flat files, arriving files and files in place
are; pins have a log of their own. What was removed from packs stays removed (packs.py). The new index is made
beside the old one and takes its name when it is whole, so a crash in between starts over.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from nearcast.clock import Clock
from nearcast.content.cid import DIGEST_BYTES, RAW, dag_pb_cid, decode_cid, raw_cid
from nearcast.content.store.core import Core
from nearcast.content.store.disk import read_at, storing
from nearcast.content.store.index import SIDE_FILES, Index, slices
from nearcast.content.store.layout import Layout, key_of_name
from nearcast.content.store.links import linked_keys
from nearcast.content.store.outboard import Outboard, Read
from nearcast.content.store.pack import HEADER, Frame, scan
from nearcast.content.store.pinlog import read_pins
from nearcast.content.store.reading import Reading
from nearcast.content.store.rows import FLAT, IN_PLACE, PACKED, PARTIAL
from nearcast.content.store.storing import NewObject, Storing, frame_bytes_of
from nearcast.content.store.types import Listener, Pin, Reference, guard_of
from nearcast.errors import StoreError

OBJECTS_AT_ONCE = 5_000  # objects a transaction: 3.5 MB of small blocks


class Rebuild:
    """One rebuilding: `core` is over an empty index."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._reading = Reading(core, lambda row, reason: False)
        self._sizes: dict[int, int] = {}

    def run(self, pins: list[Pin]) -> None:
        """Flat files first, because nothing replaces them; then packs, files in place, files on their way, pins."""
        files = list(self._outboards())
        self._store(new for new in files if new.place == FLAT)
        references: dict[bytes, NewObject] = {new.key: new for new in files if new.place == IN_PLACE}
        layout = self._core.layout
        for number in [each for each in layout.pack_numbers() if not layout.retired(each).exists()]:
            self._store(self._blocks(number, references))
        self._store(references.values())
        self._store(new for new in files if new.place == PARTIAL)
        for part in slices(pins, OBJECTS_AT_ONCE):
            with self._core.change() as change:
                Storing(change, self._reading.confirm, any_absent=True).store([], part)

    def _store(self, objects: Iterable[NewObject]) -> None:
        for part in slices(objects, OBJECTS_AT_ONCE):
            unique: dict[bytes, NewObject] = {}
            for new in part:
                self._bury(unique.setdefault(new.key, new), new)
            with self._core.change() as change:
                adding = Storing(change, self._reading.confirm, any_absent=self._core.facts["absent"] > 0)
                stored = adding.store(list(unique.values()), [])
                live = dict.fromkeys(self._sizes, 0)
                for new in unique.values():
                    if new.key not in stored:
                        self._bury(None, new)
                    elif new.pack is not None:
                        live[new.pack] += frame_bytes_of(new)
                for number, live_bytes in live.items():
                    change.grow_pack(number, self._sizes[number], live_bytes)

    def _blocks(self, number: int, references: dict[bytes, NewObject]) -> Iterator[NewObject]:
        """The live blocks of a pack. Outboards go to `references`, the newest one that still holds true."""
        dead = self._core.packs.buried(number)
        path = self._core.layout.pack(number)
        self._sizes[number] = len(HEADER)
        for frame in scan(path):
            self._sizes[number] = frame.offset + len(frame.data)
            if not frame.intact or frame.offset in dead:
                continue
            if not frame.is_outboard:
                cid = decode_cid(frame.key)
                links = linked_keys(cid, frame.data)
                yield NewObject(frame.key, PACKED, number, frame.offset, len(frame.data), 0, None, links)
            elif (new := _reference(path, number, frame)) is not None:
                old = references.get(new.key)
                if old is not None:
                    new, old = (old, new) if _holds_true(old.source) else (new, old)
                    self._bury(new, old)
                references[new.key] = new
        lost_bytes = path.stat().st_size - self._sizes[number]
        if lost_bytes > 0:
            self._core.tell("store_damaged", f"pack {number} ends in {lost_bytes} bytes that are no blocks: cut off")

    def _bury(self, kept: NewObject | None, other: NewObject) -> None:
        """Marks a second copy dead (a crash may leave some), lest it comes back once the first is removed."""
        if other is not kept and other.pack is not None and other.offset is not None:
            self._core.packs.bury(other.pack, [other.offset])

    def _outboards(self) -> Iterator[NewObject]:
        """What the files in `objects` are."""
        for folder in sorted(self._core.layout.objects.iterdir()):
            for stem in sorted({path.stem for path in folder.iterdir()}):
                key = key_of_name(stem)
                if key is not None:
                    new = self._object(folder, stem, key)
                    if new is not None:
                        yield new

    def _object(self, folder: Path, stem: str, key: bytes) -> NewObject | None:
        data, part, dag = (folder / f"{stem}{suffix}" for suffix in (".data", ".part", ".dag"))
        here, place = (data, FLAT) if data.exists() else (part, PARTIAL)
        size_bytes = here.stat().st_size if here.exists() else None
        if not dag.exists():
            is_leaf = key[1] == RAW and size_bytes is not None
            return NewObject(key, place, None, None, size_bytes or 0) if is_leaf else None
        with dag.open("rb") as file:
            new = _described(key, lambda size, offset: read_at(file.fileno(), size, offset), dag.stat().st_size)
        if new is None or (size_bytes is None and new.source is None):
            self._core.tell("store_damaged", f"the outboard of {stem} is damaged: the object is not kept")
            return None
        new = new._replace(inside=_inside(dag, 0))
        if size_bytes is None:
            return new
        if size_bytes != new.size_bytes:
            self._core.tell("store_damaged", f"{here} has {size_bytes} bytes instead of {new.size_bytes}: not kept")
            return None
        return new._replace(place=place, source=None)


def _described(key: bytes | None, read: Read, total_bytes: int) -> NewObject | None:
    """The object that an outboard describes, as one in place; None when it is not sound or not of `key`."""
    try:
        outboard = Outboard(read)
        if outboard.total_bytes != total_bytes or not outboard.is_sound() or key not in (None, outboard.key):
            return None
        return NewObject(outboard.key, IN_PLACE, None, None, outboard.size_bytes, total_bytes, outboard.source)
    except StoreError:
        return None


def _reference(path: Path, number: int, frame: Frame) -> NewObject | None:
    data = frame.data
    new = _described(None, lambda size_bytes, offset: data[offset : offset + size_bytes], len(data))
    if new is None or new.source is None:
        return None
    return new._replace(pack=number, offset=frame.offset, inside=_inside(path, frame.offset))


def _inside(path: Path, base: int) -> Callable[[], Iterator[tuple[bytes, int]]]:
    """The names inside a flat file, from its outboard at `base` in a file."""

    def names() -> Iterator[tuple[bytes, int]]:
        with path.open("rb") as file:
            outboard = Outboard(lambda size_bytes, offset: read_at(file.fileno(), size_bytes, base + offset))
            if outboard.nodes:
                digests = outboard.table().digests
                for index in range(outboard.leaves):
                    yield raw_cid(digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]).to_bytes(), index
                for position, digest in enumerate(outboard.node_digests()):
                    if position:  # node 0 is the root, which has a row
                        yield dag_pb_cid(digest).to_bytes(), ~position

    return names


def _holds_true(source: Reference | None) -> bool:
    try:
        return source is not None and guard_of(os.stat(source.path)) == source.guard
    except OSError:
        return False


def make_index(layout: Layout, *, quota_bytes: int, clock: Clock, tell: Listener) -> Path:
    """A whole new index beside the place where it belongs."""
    fresh = layout.root / "index.rebuilding"
    for suffix in ("", *SIDE_FILES):
        Path(f"{fresh}{suffix}").unlink(missing_ok=True)
    index = Index(fresh)
    try:
        core = Core(layout, index, quota_bytes=quota_bytes, clock=clock, listener=tell)
        Rebuild(core).run(read_pins(layout.pin_log)[0])
        core.descriptors.close()
    finally:
        index.close()
    return fresh


def rebuild_open(core: Core) -> None:
    """Replaces the contents of an index that is in use; readers see the old ones until the commit.

    Raises StoreError while anything is being written, downloaded or leased: ids change.
    """
    with storing(), core.index.lock:
        if core.packs.is_busy or core.partials or core.leases.leased():
            raise StoreError("the index cannot be rebuilt while the store is busy", fix="try again when it is idle")
        fresh = make_index(core.layout, quota_bytes=core.quota_bytes, clock=core.clock, tell=core.tell)
        core.index.copy_from(fresh)
        fresh.unlink()
        core.forget_everything()
