"""Handing on a file's bytes while the file is still arriving.

A read of missing bytes starts one fetch of the whole rest of the range, asked for in order, as a task beside the
reader; the reader waits for each stretch of leaves and takes it from the store, where only verified leaves are. A
reader that goes away cancels its fetch; what arrived stays.

Invariant: every byte that is yielded was read from the store, never from the network.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from nearcast.content import reader
from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import Cid
from nearcast.content.leaves import LeafTable
from nearcast.content.store import Store
from nearcast.delivery.events import FetchEvent, LeafVerified
from nearcast.errors import NearcastError, NotFoundError

PIECE_BYTES = 1 << 20  # what one read takes from the disk: a leaf
FetchRange = Callable[[Cid, int, int, Callable[[FetchEvent], None]], Awaitable[None]]


class _Arrival:
    """A fetch that runs beside its reader, and the bell that rings when something arrived or it ended."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()
        self.error: NearcastError | None = None
        self.is_over = False

    def on_event(self, event: FetchEvent) -> None:
        if isinstance(event, LeafVerified):
            self._bell.set()

    async def run(self, fetch: Awaitable[None]) -> None:
        try:
            await fetch
        except NearcastError as error:
            self.error = error
        finally:
            self.is_over = True
            self._bell.set()

    async def more(self) -> None:
        """Wait until something changed since the last call."""
        await self._bell.wait()
        self._bell.clear()


class Streaming:
    """Reads from the store, fetching what is missing. `tasks` owns the fetches."""

    def __init__(self, store: Store, fetch_range: FetchRange, tasks: asyncio.TaskGroup) -> None:
        self._store = store
        self._fetch_range = fetch_range
        self._group = tasks
        self._running: set[asyncio.Task[None]] = set()

    def cancel(self) -> None:
        """End every fetch that runs for a reader."""
        for task in self._running:
            task.cancel()

    async def read(self, cid: Cid, start: int, end: int, *, fetch: bool) -> AsyncIterator[bytes]:
        """The bytes start..end (end not included) of the file `cid`, in pieces of at most PIECE_BYTES."""
        arrival: _Arrival | None = None
        task: asyncio.Task[None] | None = None
        position = start
        try:
            while position < end:
                piece_end = min(end, (position // PIECE_BYTES + 1) * PIECE_BYTES)
                was_over = (
                    arrival is not None and arrival.is_over
                )  # asked before the read: what came last is read once more
                data = await asyncio.to_thread(self._read_here, cid, position, piece_end)
                if data is not None:
                    yield data
                    position += len(data)
                elif arrival is None:
                    if not fetch:
                        raise NotFoundError(f"bytes {position}-{piece_end} of {cid} are not on this node")
                    arrival = _Arrival()
                    task = self._start(arrival, cid, position, end)
                elif was_over:
                    raise arrival.error or NotFoundError(f"bytes {position}-{piece_end} of {cid} could not be fetched")
                else:
                    await arrival.more()
            while arrival is not None and not arrival.is_over:
                await arrival.more()  # all bytes are read; let it put the finished file in its place
        finally:
            if task is not None:
                task.cancel()

    def _start(self, arrival: _Arrival, cid: Cid, start: int, end: int) -> asyncio.Task[None]:
        task = self._group.create_task(arrival.run(self._fetch_range(cid, start, end, arrival.on_event)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _read_here(self, cid: Cid, start: int, end: int) -> bytes | None:
        """The bytes, or None when some are not in the store yet."""
        table = self._store.leaf_table(cid)
        try:
            if table is None:
                return b"".join(reader.read_range(self._store.get_block, cid, start, end))
            if not _covers(self._store.available_leaves(cid), table, start, end):
                return None
            return self._store.read_file(cid, start, end)
        except MissingBlockError:
            return None


def _covers(spans: list[tuple[int, int]], table: LeafTable, start: int, end: int) -> bool:
    first, count = table.covering(start, end)
    return any(at <= first and first + count <= at + have for at, have in spans)
