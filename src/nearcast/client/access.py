"""Reading content by name, wherever it is, for free or for money.

What is in the store is read from the store. What is not is fetched from whoever the Finder finds, if the caller
allows it (`fetch=True`), verified on arrival, kept as cached content, and handed on while the rest is still on its
way. Callers that want the same missing thing at once share one fetch.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from nearcast.client.finding import Finder, Search
from nearcast.client.spending import Spend
from nearcast.client.streaming import Streaming
from nearcast.client.supplied import fetch_supplied
from nearcast.client.supply import Supply
from nearcast.content import reader
from nearcast.content.blocks import MissingBlockError, read_block
from nearcast.content.cid import Cid
from nearcast.content.nodes import Entry
from nearcast.content.reader import Resolved
from nearcast.content.store import Extent, Store
from nearcast.delivery.events import FetchEvent, FetchReport, Wanted
from nearcast.delivery.fetch import Fetcher
from nearcast.delivery.select import Paces
from nearcast.errors import NotFoundError
from nearcast.naming.link import Link

IN_LOOP_BYTES_MAX = 64 << 10  # larger reads go to a thread: the loop is held for at most tens of microseconds


def ignore(_: FetchEvent) -> None:
    """For callers that do not watch a fetch."""


class Client:
    """Use as an async context manager: it owns the fetches that run beside their readers.

    `spend`: what those fetches may cost, that this node makes for its readers; None: nothing is paid for them.
    """

    def __init__(
        self, store: Store, fetcher: Fetcher, finder: Finder, *, on_event: Callable[[FetchEvent], None]
    ) -> None:
        self.store = store
        self._fetcher = fetcher
        self._finder = finder
        self._on_event = on_event
        self.spend: Spend | None = None
        self._paces = Paces()
        self._tasks = asyncio.TaskGroup()
        self._streaming = Streaming(store, self._fetch_range, self._tasks)
        self._locks: WeakValueDictionary[Cid, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._streaming.cancel()
        await self._tasks.__aexit__(kind, error, traceback)

    def remember(self, link: Link) -> None:
        """Ask this link's holders first, from now on, for its root."""
        self._finder.remember(link)

    async def fetch(
        self,
        link: Link,
        *,
        byte_range: tuple[int, int] | None = None,
        nodes_only: bool = False,
        extra: Sequence[str] = (),
        on_event: Callable[[FetchEvent], None] = ignore,
        spend: Spend | None = None,
    ) -> FetchReport:
        """Fetch what the link names (or a byte range of it) into the store, from everybody who has it; paid for where
        nobody gives it for free, with `spend`.

        `extra` are URLs of web servers that hold the same file. Raises NotFoundError, UnavailableError, RefusedError,
        IntegrityError, and what stands in the way of paying: FundsError, WalletError, ChainError. What was verified is
        kept, and paid for, however it ends.
        """
        self.remember(link)
        wanted = Wanted(link.root, link.path, byte_range=byte_range, nodes_only=nodes_only)
        return await self._supplied(wanted, spend, on_event, extra)

    async def resolve(self, root: Cid, path: str, *, fetch: bool) -> Resolved:
        """What stands at `path` below `root`. Raises NotFoundError when there is no such path or nobody has it."""
        try:
            return reader.resolve(self.store.get_block, root, path)
        except MissingBlockError as missing:
            if not fetch:
                raise _not_here(root, missing) from missing
        async with self._lock(root):
            try:  # somebody else may have fetched it while we waited
                return reader.resolve(self.store.get_block, root, path)
            except MissingBlockError:
                await self._fetch(Wanted(root, path, shallow=True))
        resolved = reader.resolve(self.store.get_block, root, path)
        self._finder.inherit(root, resolved.cid)
        return resolved

    async def entries(self, cid: Cid, *, fetch: bool, limit: int) -> list[Entry]:
        """The first `limit` entries of a directory."""

        def listing() -> list[Entry]:
            return list(islice(reader.entries(self.store.get_block, cid), limit))

        try:
            return await asyncio.to_thread(listing)
        except MissingBlockError as missing:
            if not fetch:
                raise _not_here(cid, missing) from missing
        async with self._lock(cid):
            await self._fetch(Wanted(cid, shallow=True))
        return await asyncio.to_thread(listing)

    def has_behind(self, cid: Cid) -> bool:
        """Whether a backend of this node has it. Quick."""
        return bool(self._finder.own(cid))

    def extent(self, cid: Cid) -> Extent | None:
        """Where all bytes of this file lie in one piece on disk, or None. Raises ChangedError."""
        return self.store.locate(cid)

    async def block(self, cid: Cid, *, fetch: bool) -> bytes:
        """One block's bytes."""
        try:
            return read_block(self.store.get_block, cid)
        except MissingBlockError as missing:
            if not fetch:
                raise _not_here(cid, missing) from missing
        async with self._lock(cid):
            await self._fetch(Wanted(cid, shallow=True))
        return read_block(self.store.get_block, cid)

    def read(self, cid: Cid, start: int, end: int, *, fetch: bool) -> AsyncIterator[bytes]:
        """The bytes start..end (end not included) of a file, in order, while they arrive."""
        return self._streaming.read(cid, start, end, fetch=fetch)

    async def _fetch_range(self, cid: Cid, start: int, end: int, on_event: Callable[[FetchEvent], None]) -> None:
        def told(event: FetchEvent) -> None:
            self._on_event(event)
            on_event(event)

        await self._supplied(Wanted(cid, byte_range=(start, end)), self.spend, told)

    async def _fetch(self, wanted: Wanted) -> None:
        await self._supplied(wanted, self.spend, self._on_event)

    async def _supplied(
        self, wanted: Wanted, spend: Spend | None, on_event: Callable[[FetchEvent], None], urls: Sequence[str] = ()
    ) -> FetchReport:
        trail = self._finder.begin_trail()
        search = Search(trail, 0 if spend is None else spend.max_price_units_per_gib)
        found = await self._finder.find(wanted.root, search, urls)
        further = partial(self._finder.find_further, search=search)
        async with Supply(self._finder.pool, found, trail, spend, self._rate_of, on_event, further=further) as supply:
            report = await fetch_supplied(self._fetcher, self.store, wanted, supply, on_event)
        for name, size_bytes in report.bytes_by_source.items():
            self._paces.of(name).measured(size_bytes, report.duration_s)
        return report

    def _rate_of(self, source: str) -> float | None:
        return self._paces.of(source).rate_bytes_per_s

    def _lock(self, cid: Cid) -> asyncio.Lock:
        return self._locks.setdefault(cid, asyncio.Lock())


def _not_here(root: Cid, missing: MissingBlockError) -> NotFoundError:
    part = "" if missing.cid == root else f" (its block {missing.cid} is missing)"
    return NotFoundError(f"{root} is not on this node{part}")
