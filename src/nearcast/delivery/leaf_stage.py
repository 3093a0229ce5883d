"""The second stage of a download: the leaves, from every source at once.

Each source is given runs of leaves by the plan (plan.py decides, this file waits), several requests at a time, so that
the next answer is under way while one is drained. A leaf is hashed and written before it counts. A source that breaks
is out, and what it owed goes to the others; one that merely lost its connection, having delivered since the last time,
is asked again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256

from nearcast.clock import Clock
from nearcast.content.blocks import check_block
from nearcast.delivery.events import FetchEvent, FetchReport, LeafVerified
from nearcast.delivery.landing import Landing
from nearcast.delivery.layout import Layout
from nearcast.delivery.plan import Plan, Run
from nearcast.delivery.roster import Roster
from nearcast.delivery.source import Source
from nearcast.errors import (
    IntegrityError,
    LimitError,
    NearcastError,
    NotFoundError,
    RemoteError,
    StoreError,
    UnavailableError,
)
from nearcast.tasks import in_thread, leading_error

INLINE_ITEMS_MAX = 4096  # first leaves of a layout among which inline ones are looked for
HEDGE_LOOK_S = 0.1  # how often an idle request looks for a late run to help with; under half of the shortest lateness


class LeafStage:
    """Brings every item of a layout into the store."""

    def __init__(
        self,
        layout: Layout,
        roster: Roster,
        landing: Landing,
        report: FetchReport,
        on_event: Callable[[FetchEvent], None],
        clock: Clock,
        *,
        plain_sources: bool,
    ) -> None:
        """`plain_sources`: whether web servers that hold just one file may be asked: the target is that file."""
        self._layout = layout
        self._roster = roster
        self._landing = landing
        self._report = report
        self._on_event = on_event
        self._clock = clock
        self._plain_sources = plain_sources
        self._plan = Plan(layout.count, layout.size_of, run_end=layout.run_end)
        self._being_written: set[int] = set()
        self._is_over = False
        self._lacking: dict[str, NearcastError] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Raises NotFoundError or UnavailableError when no source can give the rest, StoreError."""
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._landing.keep_durable())
                try:
                    while not self._plan.is_done:
                        self._start_new(group)
                        if self._plan.is_stuck():
                            raise self._roster.nobody_left(self._lacking)
                        await self._roster.pulse.wait()
                finally:
                    self._is_over = True
                for task in (keeping, *self._serving.values()):
                    task.cancel()
        except BaseExceptionGroup as failures:
            raise leading_error(failures) from None

    async def accept_inline(self, inline: Mapping[str, list[bytes]]) -> None:
        """Leaves that came behind the nodes, unasked, by source: those that are wanted are taken, others were here
        already. A source whose bytes have nothing to do with the content is out."""
        for source, blocks in inline.items():
            try:
                await self._accept_from(source, blocks)
            except (IntegrityError, LimitError) as error:
                self._roster.fail(source, error)

    async def _accept_from(self, source: str, blocks: list[bytes]) -> None:
        items = self._layout.items_by_digest(max(INLINE_ITEMS_MAX, len(blocks)))
        arrived: set[int] = set()
        try:
            for data in blocks:
                digest = (await in_thread(sha256, data)).digest()
                item = items.get(digest)
                if item is None and not await in_thread(self._layout.is_part, digest):
                    raise IntegrityError("it sent bytes that are no part of the content")
                if item is not None and not self._plan.is_verified(item) and item not in arrived:
                    await self._land(source, item, data)
                    arrived.add(item)
                if source in self._roster.paid:
                    self._roster.paid[source].inline_verified(len(data))
        finally:
            self._plan.arrived_early(arrived)

    def _start_new(self, group: asyncio.TaskGroup) -> None:
        for source in list(self._roster.active.values()):
            if source.name not in self._serving and (self._plain_sources or source.gives_nodes):
                self._plan.join(source.name, self._roster.paces.of(source.name))
                self._serving[source.name] = group.create_task(self._serve(source))

    async def _serve(self, source: Source) -> None:
        """Keep one source busy until it fails."""
        while True:
            before_bytes = self._report.bytes_by_source.get(source.name, 0)
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(source.requests_in_flight):
                        group.create_task(self._request_on_and_on(source))
            except BaseExceptionGroup as failures:
                error = leading_error(failures)
                if not isinstance(error, NearcastError) or isinstance(error, StoreError):
                    raise error from None
                self._plan.leave(source.name)
                gave_something = self._report.bytes_by_source.get(source.name, 0) > before_bytes
                if not (isinstance(error, UnavailableError) and gave_something):
                    self._roster.fail(source.name, error)
                    return
                # A TaskGroup that is ending its tasks after a failure forgets a cancellation that comes meanwhile.
                if self._is_over:
                    return
                self._plan.join(source.name, self._roster.paces.of(source.name))

    async def _request_on_and_on(self, source: Source) -> None:
        while True:
            run = self._plan.next(source.name, self._clock.monotonic_s())
            if run is None:
                await self._roster.pulse.wait(HEDGE_LOOK_S)
                continue
            ended_s: float | None = None
            try:
                await source.leaves(self._layout.spans(run.first, run.end), self._taker(source, run))
                ended_s = self._clock.monotonic_s()
            finally:
                self._plan.close(run, ended_s)
                self._roster.pulse.beat()

    def _taker(self, source: Source, run: Run) -> Callable[[int, bytes | None], Awaitable[bool]]:
        async def take(position: int, data: bytes | None) -> bool:
            item = run.first + position
            if item >= run.end:
                raise RemoteError("it sent more leaves than it was asked for")
            if data is None:
                self._note_lacking(source, run, item)
            else:
                await self._take(run, item, data)
            return self._plan.is_wanted(run)

        return take

    def _note_lacking(self, source: Source, run: Run, item: int) -> None:
        stretch, index = self._layout.leaf(item)
        error = NotFoundError(f"it does not have leaf {index} of {stretch.cid}")
        self._lacking[source.name] = error
        if not self._plan.lacks(run, item, self._clock.monotonic_s()):
            raise error

    async def _take(self, run: Run, item: int, data: bytes) -> None:
        """Verify, write, count. A leaf that is here, or is just being written, is a duplicate."""
        if self._plan.is_verified(item) or item in self._being_written:
            await self._check(item, data)
            run.progress_s = self._clock.monotonic_s()
            self._report.duplicate_bytes += len(data)
            return
        self._being_written.add(item)
        try:
            await self._land(run.source, item, data)
        finally:
            self._being_written.discard(item)
        self._plan.verified(run, item, len(data), self._clock.monotonic_s())
        if self._plan.is_done:
            self._roster.pulse.beat()

    async def _check(self, item: int, data: bytes) -> None:
        """That a duplicate is what it should be: it may have to be paid. Raises IntegrityError."""
        stretch, index = self._layout.leaf(item)
        await in_thread(check_block, stretch.cid if stretch.dag is None else stretch.dag.leaves.cid(index), data)

    async def _land(self, source: str, item: int, data: bytes) -> None:
        stretch, index = self._layout.leaf(item)
        if stretch.dag is None:
            await self._landing.put_block(stretch.cid, data)
        else:
            await self._landing.put_leaf(stretch.dag, index, data)
        self._report.count(source, len(data))
        self._on_event(LeafVerified(source, len(data), stretch.cid, index))
        if stretch.dag is not None:
            await self._landing.landed(stretch.dag)
