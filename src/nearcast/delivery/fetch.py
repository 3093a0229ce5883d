"""One download, start to end: nodes first, then leaves, everything into the store, everything verified.

    what the store has ──> nodes (node_stage.py, one source) ──> layout.py ──> leaves (leaf_stage.py, all sources)

What was verified and checkpointed is never fetched again: the walk starts in the store, and only missing leaves are
laid out. Nothing that has arrived is evicted before the end.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from nearcast.clock import Clock
from nearcast.content.blocks import GetBlock, MissingBlockError
from nearcast.content.cid import RAW, Cid
from nearcast.content.dag import FileDag
from nearcast.content.nodes import FileNode, Node, RawLeaf
from nearcast.content.store import Store
from nearcast.delivery.events import FetchEvent, FetchReport, LeafVerified, Planned, Wanted
from nearcast.delivery.file_nodes import FileNodes
from nearcast.delivery.landing import Landing
from nearcast.delivery.large_buffers import keep_large_buffers
from nearcast.delivery.layout import Layout, blocks_of_range, file_in_one_piece, lay_out
from nearcast.delivery.leaf_stage import LeafStage
from nearcast.delivery.node_stage import ContentFaultError, NodeStage
from nearcast.delivery.roster import Roster
from nearcast.delivery.select import Paces
from nearcast.delivery.session import NodeWalk, WalkedFile
from nearcast.delivery.source import NodesWanted, Source
from nearcast.errors import NearcastError
from nearcast.tasks import in_thread, leading_error
from nearcast.telemetry import Telemetry

__all__ = ["FetchEvent", "FetchReport", "Fetcher", "Wanted"]

INLINE_BYTES = 1 << 20  # leaves sent behind the nodes: the first leaf, or a page of small files, without a round trip

NODES_IN_FLIGHT = 8  # single nodes of a byte range asked for at a time; guess: hides a round trip of 50 ms


class Fetcher:
    """Downloads into one store. It remembers liars: a source that lied in one download is not asked in the next."""

    def __init__(self, store: Store, clock: Clock, telemetry: Telemetry) -> None:
        keep_large_buffers()
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._liars: dict[str, str] = {}
        self._paces = Paces()
        self._running: list[Roster] = []

    def add_source(self, source: Source) -> None:
        """A source that was found late takes part in every download that is under way."""
        for roster in self._running:
            roster.join(source)

    async def fetch(
        self,
        wanted: Wanted,
        sources: Sequence[Source],
        on_event: Callable[[FetchEvent], None],
        report: FetchReport | None = None,
    ) -> FetchReport:
        """Bring what is wanted into the store; `on_event` is called in the loop and must be quick.

        `report`: of tries before this one, which failed; this one is added to it, also when it fails.

        Raises NotFoundError (every source says that it does not have it, or the content has no such path),
        UnavailableError (naming each source and why it could not), IntegrityError or LimitError (the content itself is
        broken), StoreError. However it ends, what was verified is kept.
        """
        report = report or FetchReport(wanted.root)
        roster = Roster(wanted.root, self._liars, self._paces, on_event)
        for source in sources:
            roster.join(source)
        self._running.append(roster)
        landing = Landing(self._store, self._clock, bulk=wanted.byte_range is None)
        try:
            with self._kept(wanted):
                try:
                    download = _Download(self._store, self._clock, wanted, roster, landing, on_event, report)
                    await download.run()
                finally:
                    await landing.close()
        except ContentFaultError as fault:
            raise fault.error from None
        finally:
            self._running.remove(roster)
            self._telemetry.count("fetch_liars", len(roster.liars))
        self._telemetry.count("fetches")
        self._telemetry.count("fetch_bytes", report.bytes_verified)
        return report

    @contextmanager
    def _kept(self, wanted: Wanted) -> Iterator[None]:
        """Whoever fetches a whole thing wants all of it to be there at the end, whatever the quota. Parts are fetched
        all the time, so they must not hold off eviction: files on their way are leased by being open."""
        is_whole = not wanted.shallow and not wanted.nodes_only and wanted.byte_range is None
        with self._store.eviction_paused() if is_whole else self._store.lease(wanted.root):
            yield


class _Download:
    """One call of `fetch`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        wanted: Wanted,
        roster: Roster,
        landing: Landing,
        on_event: Callable[[FetchEvent], None],
        report: FetchReport,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wanted = wanted
        self._roster = roster
        self._landing = landing
        self._on_event = on_event
        self._file_nodes = FileNodes(store)
        self._report = report

    async def run(self) -> None:
        report = self._report
        started_s = self._clock.monotonic_s()
        earlier_bytes = report.bytes_verified
        report.reused_bytes = 0
        try:
            await self._run()
        finally:
            report.duration_s += self._clock.monotonic_s() - started_s
            report.reused_bytes = max(0, report.reused_bytes - earlier_bytes)  # what tries before this one brought
            for name, purchase in self._roster.paid.items():
                size_bytes, parts = purchase.take_paid()
                report.count_paid(name, size_bytes, parts)
            report.liars = tuple(self._roster.liars)
            report.failed = {name: error.message for name, error in self._roster.failed.items()}

    async def _run(self) -> None:
        root = self._wanted.root
        if root.codec == RAW and not self._wanted.path and not self._any_gives_nodes():
            await self._leaves([WalkedFile(root, 0)], is_file=True, inline=None)
        else:
            await self._dag()

    def _any_gives_nodes(self) -> bool:
        return any(source.gives_nodes for source in self._roster.active.values())

    async def _dag(self) -> None:
        wanted = self._wanted
        is_part = wanted.shallow or wanted.byte_range is not None
        walk = NodeWalk(wanted.root, wanted.path, shallow=is_part)
        inline_bytes = 0 if is_part or wanted.nodes_only else INLINE_BYTES
        stage = await self._nodes(walk, wanted.root, wanted.path, inline_bytes)
        assert walk.target is not None
        self._report.target = walk.target
        if is_part and isinstance(walk.target_node, FileNode):
            start, end = wanted.byte_range or (0, 1)
            await self._nodes_of_range(walk.target, max(start, 0), min(end, walk.target_node.size_bytes))
        if wanted.nodes_only or wanted.shallow:
            await self._keep_nodes(walk.files)
        else:
            await self._leaves(walk.files, is_file=isinstance(walk.target_node, FileNode | RawLeaf), inline=stage)

    async def _nodes(self, walk: NodeWalk, root: Cid, path: str = "", inline_bytes: int = 0) -> NodeStage:
        """Bring a walk to its end: from the store as far as it goes, then from the sources."""
        self._report.reused_bytes += await in_thread(_walk_here, walk, self._file_nodes.get_block)
        want = NodesWanted(root, path, shallow=walk.shallow, inline_bytes=inline_bytes)
        stage = self._stage(walk, want)
        await stage.run()
        return stage

    def _stage(self, walk: NodeWalk, want: NodesWanted) -> NodeStage:
        return NodeStage(walk, want, self._roster, self._landing, self._file_nodes, self._report, self._node_verified)

    def _node_verified(self, source: str, cid: Cid, node: Node) -> None:
        """File bytes that stand in a node itself (a dag-pb leaf, a lone raw one) are progress to be seen."""
        match node:
            case FileNode() if node.inline:
                self._on_event(LeafVerified(source, len(node.inline), cid, 0))
            case RawLeaf():
                self._on_event(LeafVerified(source, len(node.data), cid, 0))
            case _:
                pass

    async def _nodes_of_range(self, target: Cid, start: int, end: int) -> None:
        """A file of raw leaves needs all its (few) inner nodes to be written in one piece; one whose leaves are nodes
        themselves only those in the range. Which it is, shows on the way down to the first byte."""
        if start >= end:
            return
        if await self._descend(target, start, start + 1):
            await self._nodes(NodeWalk(target), target)
        else:
            await self._descend(target, start, end)

    async def _descend(self, target: Cid, start: int, end: int) -> bool:
        """Fetch the missing nodes of a byte range, level by level. Whether it ends in raw leaves."""
        while True:
            missing, ends_in_raw = await in_thread(_missing_nodes, self._file_nodes.get_block, target, start, end)
            if not missing:
                return ends_in_raw
            gate = asyncio.Semaphore(NODES_IN_FLIGHT)
            try:
                async with asyncio.TaskGroup() as group:
                    for cid in missing:
                        group.create_task(self._single_node(cid, gate))
            except BaseExceptionGroup as failures:
                raise leading_error(failures) from None
            await self._landing.flush_batch()

    async def _single_node(self, cid: Cid, gate: asyncio.Semaphore) -> None:
        async with gate:
            await self._stage(NodeWalk(cid, shallow=True), NodesWanted(cid, shallow=True)).run()

    async def _keep_nodes(self, files: list[WalkedFile]) -> None:
        """Without leaves: files in one piece begin as empty partial objects, other nodes go into packs."""
        dags: list[FileDag] = []
        for file in files:
            dag = await in_thread(file_in_one_piece, self._store, self._file_nodes.get_block, file.cid)
            if dag is not None:
                dags.append(dag)
                await self._landing.begin(dag)
        await self._keep_loose(dags)

    async def _keep_loose(self, dags: list[FileDag]) -> None:
        """Nodes that were held back and belong to no file in one piece go into packs after all."""
        kept = {cid.v1 for dag in dags for cid, _ in dag.nodes}
        for cid, data in self._file_nodes.held():
            if cid not in kept:
                await self._landing.put_block(cid, data)
        await self._landing.flush_batch()

    async def _leaves(self, files: list[WalkedFile], *, is_file: bool, inline: NodeStage | None) -> None:
        await self._landing.flush_batch()
        layout = await in_thread(lay_out, self._store, self._file_nodes.get_block, files, self._wanted.byte_range)
        await self._keep_loose(layout.dags)
        self._on_event(Planned(layout.total_bytes, layout.have_bytes))
        await self._reuse(layout)
        stage = LeafStage(
            layout, self._roster, self._landing, self._report, self._on_event, self._clock, plain_sources=is_file
        )
        if inline is not None and inline.inline:
            await stage.accept_inline(inline.inline)
        await stage.run()

    async def _reuse(self, layout: Layout) -> None:
        """Leaves that the store has under another name, and files that only lack their last step."""
        reused_bytes = 0
        for dag, index in layout.reusable:
            data = await in_thread(self._store.get_block, dag.leaves.cid(index))
            await self._landing.put_leaf(dag, index, data)
            await self._landing.landed(dag)
            reused_bytes += len(data)
        for dag in layout.whole:
            await self._landing.begin(dag)
        self._report.reused_bytes += layout.have_bytes + reused_bytes
        if reused_bytes:
            self._on_event(Planned(layout.total_bytes, layout.have_bytes + reused_bytes))


def _walk_here(walk: NodeWalk, get: GetBlock) -> int:
    """Go as far as the blocks that are here lead; how many bytes they have."""
    size_bytes = 0
    while walk.expected is not None:
        try:
            data = get(walk.expected)
        except MissingBlockError:
            break
        try:
            walk.accept(data)
        except NearcastError as error:
            raise ContentFaultError(error) from error
        size_bytes += len(data)
    return size_bytes


def _missing_nodes(get: GetBlock, target: Cid, start: int, end: int) -> tuple[list[Cid], bool]:
    """The nodes of a byte range that are to be fetched now, and whether raw leaves were met."""
    blocks = list(blocks_of_range(get, target, start, end))
    missing = dict.fromkeys(block.cid for block in blocks if not block.is_here)
    return list(missing), any(block.cid.codec == RAW for block in blocks)
