"""The store: what content this machine has, and the one door to it.

Bytes lie in flat files, in packs of small blocks, or where the user keeps them; an SQLite index says where.
Thread-safe: many readers, one writer at a time; a reader never waits for a writer. What was acknowledged survives
`kill -9` and power cuts; what was not acknowledged was never there.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from uuid import uuid4

from nearcast.clock import Clock
from nearcast.content.cid import Cid, decode_cid
from nearcast.content.dag import FileDag
from nearcast.content.leaves import LeafTable
from nearcast.content.store.batch import Batch
from nearcast.content.store.compaction import compact_some
from nearcast.content.store.core import Core
from nearcast.content.store.describing import available_leaves, roots, stat
from nearcast.content.store.disk import storing
from nearcast.content.store.layout import Layout
from nearcast.content.store.lock import StoreLock
from nearcast.content.store.partial import Partial, open_partial
from nearcast.content.store.reading import Reading
from nearcast.content.store.rebuild import rebuild_open
from nearcast.content.store.recovery import match_packs, open_index, recover
from nearcast.content.store.removal import discard, evict, lose, remove, unpin
from nearcast.content.store.rows import Row
from nearcast.content.store.scrub import Scrub
from nearcast.content.store.types import Extent, Listener, ObjectStat, Pin, ScrubReport, Usage

CLOSE_S_MAX = 1.0  # unlinking of dropped files while closing; the next opening goes on
log = logging.getLogger(__name__)


def _log_event(event: str, line: str) -> None:
    log.warning("%s: %s", event, line)


class Store:
    """An open store. See `open`."""

    def __init__(self, lock: StoreLock, core: Core) -> None:
        self._lock = lock
        self._core = core
        self._reading = Reading(core, self._damaged)

    @classmethod
    def open(cls, data_dir: Path, *, quota_bytes: int, clock: Clock, listener: Listener = _log_event) -> "Store":
        """Opens (or makes) the store of a data folder, and puts right whatever a crash left behind.

        Raises StoreLockedError when another process has it, StoreError when it cannot be used.
        """
        layout = Layout(data_dir)
        with storing():
            layout.root.mkdir(parents=True, exist_ok=True)
            lock = StoreLock(layout.lock)  # first of all: two processes may be the first in a new folder at once
        try:
            with storing():
                layout.create()
                index = open_index(layout, quota_bytes=quota_bytes, clock=clock, tell=listener)
                core = Core(layout, index, quota_bytes=quota_bytes, clock=clock, listener=listener)
                recover(core)
        except BaseException:
            lock.release()
            raise
        return cls(lock, core)

    def close(self) -> None:
        """Releases everything. Nothing is lost by not calling it."""
        try:
            with storing():
                self._core.save_changed()
                self._core.empty_trash(CLOSE_S_MAX)
        finally:
            self._core.descriptors.close()
            self._core.index.close()
            self._lock.release()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Reading

    def has(self, cid: Cid) -> bool:
        """Whether this block is here, as an object or inside a flat one."""
        return self._reading.has(cid)

    def get_block(self, cid: Cid) -> bytes:
        """The block's bytes. Raises MissingBlockError, ChangedError."""
        return self._reading.get_block(cid)

    def locate(self, cid: Cid) -> Extent | None:
        """Where the file or raw block lies in one piece, None when it does not; hold a lease while using it.

        Raises ChangedError when it lies in a file of the user's that is not what it was.
        """
        return self._reading.locate(cid)

    def leaf_table(self, cid: Cid) -> LeafTable | None:
        """The leaves of a file that lies (or is arriving) in one piece, None when it does not."""
        return self._reading.leaf_table(cid)

    def read_file(self, cid: Cid, start: int, end: int) -> bytes:
        """The bytes start..end (end not included, cut at the file's end) of a file that lies in one piece.

        Raises MissingBlockError where a leaf has not arrived, NotFoundError when it is not in one piece, ChangedError.
        """
        return self._reading.read_file(cid, start, end)

    def available_leaves(self, cid: Cid) -> list[tuple[int, int]]:
        """(first, count) of the leaves that are here: all of them, or those that have arrived so far."""
        return available_leaves(self._reading, cid)

    def stat(self, cid: Cid) -> ObjectStat | None:
        """What is known about this name; None when nothing is here."""
        return stat(self._reading, cid)

    def roots(self, count_max: int) -> list[Cid]:
        """At most so many of the names by which what is here may be asked for: pins first, then cached objects that
        nothing links to, each the newest first."""
        return roots(self._core, count_max)

    # Writing

    def batch(self) -> Batch:
        """Puts that become durable together when the `with` block ends."""
        return Batch(self._core, self._reading)

    def temporary_file(self) -> tuple[Path, BinaryIO]:
        """An empty file on the store's filesystem, for `Batch.put_file`. What is left over is removed at opening."""
        with storing():
            path = self._core.layout.temporary / f"{uuid4().hex}.data"
            return path, path.open("xb")

    def open_partial(self, dag: FileDag) -> Partial:
        """A file on its way: a new one, or the one that was begun; of a file that is here, one that misses nothing."""
        return open_partial(self._core, self._reading, dag)

    # Pins

    def pin(self, root: Cid, name: str) -> None:
        """Keeps `root` and everything reachable from it, also what arrives later."""
        with self.batch() as batch:
            batch.pin(root, name)

    def unpin(self, root: Cid) -> None:
        """Takes a pin back; what nothing else holds is cached content from then on."""
        unpin(self._core, [root])

    def remove(self, roots: Iterable[Cid]) -> int:
        """Takes pins back and drops the roots, and whatever below them nothing else holds or links to; how many objects
        went. What is leased goes with the next `evict` after the lease."""
        return remove(self._core, roots)

    def discard(self, cids: Iterable[Cid]) -> int:
        """Drops these objects, as eviction would, as far as no pin holds them; how many went. Pins stay as they are."""
        return discard(self._core, cids)

    def evict(self) -> int:
        """Drops cached objects until they fit the quota, in S3-FIFO's order; the bytes that were freed."""
        return evict(self._core)

    def scrub_some(self, budget_bytes: int) -> ScrubReport:
        """Hashes about so many bytes of what was verified longest ago. What is bad is dropped."""
        return Scrub(self._core, self._reading, budget_bytes).run()

    def compact_some(self, budget_bytes: int) -> int:
        """Writes mostly dead packs anew, about so many bytes of them; the bytes given back."""
        return compact_some(self._core, budget_bytes)

    def rebuild(self) -> None:
        """Makes the index anew from the files alone. Raises StoreError while something is being written or leased."""
        rebuild_open(self._core)
        match_packs(self._core)

    @contextmanager
    def lease(self, cid: Cid) -> Iterator[None]:
        """What this name stands for is not dropped while inside. Of what is not here, nothing is promised."""
        found = self._reading.find(cid)
        granted = self._core.leases.take([found.row.id] if found else [])
        try:
            yield
        finally:
            self._core.leases.give_back(granted)

    @contextmanager
    def eviction_paused(self) -> Iterator[None]:
        """Nothing is evicted while inside: for imports whose pin comes last."""
        self._core.pause_eviction(1)
        try:
            yield
        finally:
            self._core.pause_eviction(-1)

    def usage(self) -> Usage:
        facts = self._core.facts
        return Usage(facts["objects"], facts["held_bytes"], facts["cached_bytes"], self._core.quota_bytes)

    def pins(self) -> list[Pin]:
        with storing():
            rows = self._core.index.ask("select cid, name, created from pins order by created, cid")
        return [Pin(decode_cid(key), name, created) for key, name, created in rows]

    def _damaged(self, row: Row, reason: str) -> bool:
        lost = lose(self._core, [row])
        if lost:
            self._core.tell("store_damaged", f"{row.cid} is damaged and was dropped: {reason}")
        return bool(lost)
