"""Where arriving blocks go: leaves of larger files into partial objects, everything small into packs.

A leaf is hashed and written in one go in a thread. Small blocks are collected and written as one durable batch, so that
a hundred thousand small files do not wait for a hundred thousand disk flushes. Partial objects are checkpointed in the
background, bounded by bytes and by time: what is lost when the power goes is at most that much to fetch again.

A file on its way is not evicted. One that is whole may be, as any other, except for the last ones of a relay: a cache
that is full would drop what an answer is just being given from, and buy it again.

Invariants: nothing reaches the store that does not hash to its name; after `close` everything verified is durable.
"""

import asyncio
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field

from nearcast.clock import Clock
from nearcast.content.blocks import check_block
from nearcast.content.cid import Cid
from nearcast.content.dag import FileDag
from nearcast.content.store import Store
from nearcast.content.store.partial import Partial
from nearcast.tasks import Pulse, in_thread

BATCH_BYTES = 4 << 20  # small blocks per durable batch; guess: one flush per 4 MiB is noise beside the writing
BATCH_BLOCKS = 8192  # the same for tiny files: bounds what one crash costs, and the batch's transaction
CHECKPOINT_BYTES = 64 << 20  # a flush of 64 MiB overlaps with the arrival of the next; guess
CHECKPOINT_S = 2.0  # guess: at most so much of a slow download is fetched again after a crash
UNSYNCED_BYTES_MAX = 256 << 20  # a disk slower than the network holds the download back here
HASH_INLINE_BYTES_MAX = 32 << 10  # hashing so little takes 30 us, less than handing it to a thread


@dataclass(slots=True)
class _Open:
    """A partial object that is being filled, and what has changed since it was last made durable."""

    partial: Partial
    missing: int
    dirty: bool = False
    is_complete: bool = False
    syncing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Landing:
    """The writing end of one download."""

    def __init__(self, store: Store, clock: Clock, *, bulk: bool, leased_files: int = 0) -> None:
        """`bulk`: nobody waits to read what arrives, so it need not pass through the page cache. `leased_files`: how
        many of those that were finished last are not evicted before `close`."""
        self._bulk = bulk
        self._leased_files = leased_files
        self._leases: deque[ExitStack] = deque()
        self._store = store
        self._clock = clock
        self._batch: list[tuple[Cid, bytes]] = []
        self._batch_bytes = 0
        self._batch_lock = asyncio.Lock()
        self._open: dict[Cid, _Open] = {}
        self._opening = asyncio.Lock()
        self._whole: set[Cid] = set()
        self._unsynced_bytes = 0
        self._checkpointed_s = clock.monotonic_s()
        self._pulse = Pulse()

    async def put_block(self, cid: Cid, data: bytes) -> None:
        """A small block. Raises IntegrityError, LimitError when it is not `cid`; StoreError when it cannot be kept."""
        if len(data) <= HASH_INLINE_BYTES_MAX:
            check_block(cid, data)
        else:
            await in_thread(check_block, cid, data)
        self._batch.append((cid, data))
        self._batch_bytes += len(data)
        if self._batch_bytes >= BATCH_BYTES or len(self._batch) >= BATCH_BLOCKS:
            await self.flush_batch()

    def has(self, cid: Cid) -> bool:
        """Whether this block is in the store already."""
        return self._store.has(cid)

    async def put_leaf(self, dag: FileDag, index: int, data: bytes) -> None:
        """Leaf `index` of a larger file. Raises IntegrityError when it is another; StoreError as above.

        Never called for the same leaf twice at a time: so no write is under way when a file's last leaf has landed.
        """
        while self._unsynced_bytes >= UNSYNCED_BYTES_MAX:
            await self._pulse.wait()
        if dag.root in self._whole:
            if await in_thread(self._store.has, dag.leaves.cid(index)):
                return  # a leaf that a crash had left behind unrecorded, asked for again all the same
            self._whole.discard(dag.root)  # it was evicted since
        entry = self._open.get(dag.root) or await self._open_partial(dag)
        await in_thread(entry.partial.put_leaf, index, data, direct=self._bulk)
        entry.dirty = True
        self._unsynced_bytes += len(data)
        if self._unsynced_bytes >= CHECKPOINT_BYTES:
            self._pulse.beat()

    async def landed(self, dag: FileDag) -> None:
        """One more leaf of this file is there for the first time; the last one makes it a whole object."""
        if dag.root in self._whole:
            return
        entry = self._open[dag.root]
        entry.missing -= 1
        if entry.missing <= 0:
            # A guess until now: leaves that a crash left behind unrecorded are found on opening, after they were asked
            # for again, and then count twice. The count is never higher than what is missing, so it always gets here.
            entry.missing = _count_missing(entry.partial)
        if entry.missing == 0:
            await self._complete(dag.root, entry)

    async def begin(self, dag: FileDag) -> None:
        """Keep a file's nodes, and nothing open. One that lacks nothing but its last step, because the process ended
        just before it, is finished."""
        await in_thread(self._begin, dag)

    async def flush_batch(self) -> None:
        """Make the collected small blocks durable. Others may go on collecting meanwhile."""
        async with self._batch_lock:
            batch, self._batch, self._batch_bytes = self._batch, [], 0
            if batch:
                await in_thread(self._write_batch, batch)

    async def keep_durable(self) -> None:
        """Checkpoint by bytes and time until cancelled."""
        while True:
            if self._unsynced_bytes < CHECKPOINT_BYTES:
                await self._pulse.wait(CHECKPOINT_S)
            due_s = self._checkpointed_s + CHECKPOINT_S
            if self._unsynced_bytes >= CHECKPOINT_BYTES or self._clock.monotonic_s() >= due_s:
                await self._checkpoint()
                await self.flush_batch()

    async def close(self) -> None:
        """Make everything durable and let go of the files."""
        try:
            await self.flush_batch()
            await self._checkpoint()
        finally:
            for entry in self._open.values():
                await in_thread(_end, entry.partial)
            self._open.clear()
            while self._leases:
                self._leases.popleft().close()

    async def _open_partial(self, dag: FileDag) -> _Open:
        async with self._opening:
            entry = self._open.get(dag.root)
            if entry is None:
                partial = await in_thread(self._store.open_partial, dag)
                entry = _Open(partial, _count_missing(partial))
                self._open[dag.root] = entry
            return entry

    async def _complete(self, root: Cid, entry: _Open) -> None:
        async with entry.syncing:
            entry.is_complete = True
            await in_thread(entry.partial.complete)
            if self._leased_files:
                await in_thread(self._lease, root)
            await in_thread(entry.partial.close)
            self._open.pop(root, None)
            self._whole.add(root)

    def _lease(self, root: Cid) -> None:
        lease = ExitStack()
        lease.enter_context(self._store.lease(root))
        self._leases.append(lease)
        if len(self._leases) > self._leased_files:
            self._leases.popleft().close()

    async def _checkpoint(self) -> None:
        self._unsynced_bytes = 0
        self._checkpointed_s = self._clock.monotonic_s()
        for entry in list(self._open.values()):
            async with entry.syncing:
                if entry.dirty and not entry.is_complete:
                    entry.dirty = False
                    await in_thread(entry.partial.checkpoint)
        self._pulse.beat()

    def _begin(self, dag: FileDag) -> None:
        with self._store.open_partial(dag) as partial:
            if not partial.missing():
                partial.complete()

    def _write_batch(self, batch: list[tuple[Cid, bytes]]) -> None:
        with self._store.batch() as writing:
            for cid, data in batch:
                writing.put_block(cid, data, verified=True)


def _count_missing(partial: Partial) -> int:
    return sum(count for _first, count in partial.missing())


def _end(partial: Partial) -> None:
    """Let go of a file; it is whole if another download brought the leaves that this one did not."""
    with partial:
        if not partial.missing():
            partial.complete()
