"""One root on its way through this node: what is missing is fetched when an answer waits for it, and no further.

Every answer that is given about the root has a session here. Leaves are brought in runs: the one that is waited for and
what the same request asks for behind it; a leaf that is on its way is never fetched again. A run ends when everybody
who waits for it has gone. Whoever gives the root is found once, when the first thing is missing, and asked on and on;
when a source fails, the next one is asked, and what has arrived stays.

Invariant: a wait ends as soon as what it waits for is in the store, verified; or with an error.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Final

from nearcast.clock import Clock
from nearcast.content.blocks import GetBlock, MissingBlockError
from nearcast.content.cid import RAW, Cid, raw_cid
from nearcast.content.dag import FileDag
from nearcast.content.nodes import Node
from nearcast.content.store import Store
from nearcast.delivery.events import FetchEvent, FetchReport, LeafVerified
from nearcast.delivery.file_nodes import FileNodes
from nearcast.delivery.landing import Landing
from nearcast.delivery.layout import file_in_one_piece, lay_out
from nearcast.delivery.leaf_stage import LeafStage
from nearcast.delivery.messages import FetchRequest
from nearcast.delivery.node_stage import NodeStage
from nearcast.delivery.relay_layout import AHEAD_LEAVES, Leaf, RelayLayouts, following, is_here, leaf_of
from nearcast.delivery.relay_sources import Memory, RelaySources, Supplier
from nearcast.delivery.session import NodeWalk, WalkedFile
from nearcast.delivery.source import NodesWanted
from nearcast.errors import NearcastError, NotFoundError, RefusedError, UnavailableError
from nearcast.tasks import Pulse, in_thread

TRIES_MAX: Final = 3  # for a leaf that was brought and is gone again; guess: only a far too small quota does that
PARTS_MAX: Final = 1 << 16  # files remembered of one root, some 200 bytes each; others are looked for by themselves


@dataclass(eq=False)
class _Run:
    """Leaves that are fetched together, for the sessions that wait for them."""

    sessions: set["RelaySession"]
    pulse: Pulse = field(default_factory=Pulse)
    error: NearcastError | None = None
    task: asyncio.Task[None] | None = None


class RelayFetch:
    """Close it when the last session is over; `is_over` then, or after a failure: make a new one for the next."""

    def __init__(
        self,
        root: Cid,
        store: Store,
        clock: Clock,
        supplier: Supplier,
        memory: Memory,
        tasks: asyncio.TaskGroup,
        on_event: Callable[[FetchEvent], None],
        going: Sequence[asyncio.Event] = (),
        listed: Callable[[Cid], bool] | None = None,
    ) -> None:
        """`going`: set when copies of earlier fetches, which are being dropped just now, are gone. `listed`: what is
        never brought, wherever below the root it stands; None where there is no list."""
        self.root = root
        self.report = FetchReport(root)
        self.parts: set[Cid] = {root.v1}  # it, and the files that were seen below it: whoever has it, has them
        self.brought: set[Cid] = set()  # objects that were not here before, by CIDv1; leaves of files not among them
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._on_event = on_event
        self._going = going
        self._listed = listed
        self._is_closed = False
        self._sources = RelaySources(root, supplier, memory, on_event)
        # It is read again at once: from the page cache, and never from others because a full cache dropped it.
        self._landing = Landing(store, clock, bulk=False, leased_files=AHEAD_LEAVES)
        self._layouts = RelayLayouts(store, listed)
        self._walking = asyncio.Lock()
        self._under_way: dict[Leaf, _Run] = {}
        self._runs: set[_Run] = set()
        self.sessions: set[RelaySession] = set()

    @property
    def is_exhausted(self) -> bool:
        """Whether somebody waited in vain, and nobody more is there to be asked."""
        return self._sources.is_exhausted

    @property
    def is_over(self) -> bool:
        """Whether it can bring nothing more: nobody was left to ask, or it is closed."""
        return self._is_closed or self.is_exhausted

    @contextmanager
    def session(self, request: FetchRequest) -> Iterator["RelaySession"]:
        """For one answer."""
        session = RelaySession(self, request)
        self.sessions.add(session)
        try:
            yield session
        finally:
            self.sessions.discard(session)
            for run in list(self._runs):
                run.sessions.discard(session)
                if not run.sessions and run.task is not None:
                    run.task.cancel()

    async def close(self) -> None:
        """End what is under way and make what has arrived durable. Raises StoreError."""
        self._is_closed = True
        running = [run.task for run in self._runs if run.task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await self._landing.close()

    async def nodes(self, request: FetchRequest) -> None:
        """As UpstreamSession.nodes."""
        await self._gone()
        if request.want == "leaves":
            await self._bring_nodes_of(span.cid for span in request.spans)
            return
        async with self._walking:
            await self._bring_nodes(NodesWanted(request.root, request.path, request.shallow, 0, request.inline_bytes))

    async def leaf(self, session: "RelaySession", cid: Cid, index: int) -> None:
        """As UpstreamSession.leaf."""
        await self._gone()
        leaf = leaf_of(cid, index)
        if self._listed is not None and self._listed(cid):
            raise RefusedError(f"{cid} is on the blacklist")
        for _ in range(TRIES_MAX):
            if await in_thread(is_here, self._store, leaf):
                return
            if self._is_closed:
                raise UnavailableError("this node is stopping")
            run = self._under_way.get(leaf) or self._start(session, leaf)
            run.sessions.add(session)
            while self._under_way.get(leaf) is run:
                await run.pulse.wait()
            if run.error is not None and not await in_thread(is_here, self._store, leaf):
                raise run.error
        raise NotFoundError(f"leaf {index} of {cid} could not be brought")

    async def _gone(self) -> None:
        for event in self._going:
            await event.wait()
        self._going = ()

    def _start(self, session: "RelaySession", leaf: Leaf) -> _Run:
        run = _Run({session})
        leaves = [each for each in following(session.request, *leaf) if each not in self._under_way]
        for each in leaves:
            self._under_way[each] = run
        self._runs.add(run)
        run.task = self._tasks.create_task(self._run(run, leaves))
        run.task.add_done_callback(lambda _: self._ended(run, leaves))
        return run

    async def _run(self, run: _Run, leaves: list[Leaf]) -> None:
        try:
            await self._sources.persist(lambda: self._bring_leaves(run, leaves))
        except NearcastError as error:
            run.error = error

    def _ended(self, run: _Run, leaves: list[Leaf]) -> None:
        """Also of a run that was dropped before it began."""
        self._runs.discard(run)
        for leaf in leaves:
            if self._under_way.get(leaf) is run:
                del self._under_way[leaf]
        run.pulse.beat()

    async def _bring_leaves(self, run: _Run, leaves: list[Leaf]) -> None:
        try:
            layout = await in_thread(self._layouts.lay_out, leaves)
        except MissingBlockError:  # dropped or evicted since they were looked at
            await self._bring_nodes_of(cid for cid, _ in leaves)
            layout = await in_thread(self._layouts.lay_out, leaves)

        def on_event(event: FetchEvent) -> None:
            self._told(event)
            if isinstance(event, LeafVerified) and event.cid.codec != RAW:  # raw ones are not in the store yet
                self._under_way.pop(leaf_of(event.cid, event.index), None)
                run.pulse.beat()

        for dag, index in layout.reusable:
            await self._landing.put_leaf(dag, index, await in_thread(self._store.get_block, dag.leaves.cid(index)))
            await self._landing.landed(dag)
        if layout.count:
            stage = LeafStage(
                layout, self._sources.roster, self._landing, self.report, on_event, self._clock, plain_sources=False
            )
            await stage.run()
        await self._landing.flush_batch()

    async def _bring_nodes_of(self, files: Iterable[Cid]) -> None:
        async with self._walking:
            for cid in dict.fromkeys(files):
                if cid.codec != RAW:
                    await self._bring_nodes(NodesWanted(cid))

    async def _bring_nodes(self, want: NodesWanted) -> None:
        """The nodes of one walk, and the leaves that come along."""
        walk = NodeWalk(want.root, want.path, shallow=want.shallow)
        held = FileNodes(self._store)
        if await in_thread(_walk_here, walk, held.get_block):
            return
        stages: list[NodeStage] = []

        async def attempt() -> None:
            roster, report = self._sources.roster, self.report
            stage = NodeStage(walk, want, roster, self._landing, held, report, self._node_came, self._listed)
            stages.append(stage)
            await stage.run()

        await self._sources.persist(attempt)
        await self._keep(walk, held, stages)

    async def _keep(self, walk: NodeWalk, held: FileNodes, stages: list[NodeStage]) -> None:
        """The nodes into the store, and the leaves that came along. A file in one piece keeps its nodes beside it."""
        self.parts.update(file.cid.v1 for file in islice(walk.files, max(0, PARTS_MAX - len(self.parts))))
        dags = await in_thread(_files_in_one_piece, self._store, held.get_block, walk.files)
        kept = {cid.v1 for dag in dags for cid, _ in dag.nodes}
        for cid, data in held.held():
            if cid not in kept:
                await self._landing.put_block(cid, data)
        await self._landing.flush_batch()
        opened: set[Cid] = set()
        for stage in stages:
            inline = await in_thread(_without_listed, stage.inline, self._listed)
            if inline:
                opened |= await self._take_inline(walk, held, inline)
        for dag in dags:
            if dag.root not in opened:
                await self._landing.begin(dag)

    async def _take_inline(self, walk: NodeWalk, held: FileNodes, inline: Mapping[str, list[bytes]]) -> set[Cid]:
        """Leaves that came behind the nodes; the files that some of them were written to."""
        inline_bytes = max(sum(map(len, blocks)) for blocks in inline.values())
        byte_range = (0, inline_bytes) if len(walk.files) == 1 else None  # a look at each leaf of a large file costs
        layout = await in_thread(lay_out, self._store, held.get_block, walk.files, byte_range)
        written: set[Cid] = set()

        def told(event: FetchEvent) -> None:
            self._told(event)
            if isinstance(event, LeafVerified):
                written.add(event.cid)

        stage = LeafStage(
            layout, self._sources.roster, self._landing, self.report, told, self._clock, plain_sources=False
        )
        await stage.accept_inline(inline)
        await self._landing.flush_batch()
        return written

    def _node_came(self, _source: str, cid: Cid, _node: Node) -> None:
        self.brought.add(cid.v1)

    def _told(self, event: FetchEvent) -> None:
        if isinstance(event, LeafVerified) and event.cid.codec == RAW:
            self.brought.add(event.cid.v1)
        self._on_event(event)


class RelaySession:
    """UpstreamSession of upstream.py."""

    def __init__(self, fetch: RelayFetch, request: FetchRequest) -> None:
        self._fetch = fetch
        self.request = request

    async def nodes(self) -> None:
        await self._fetch.nodes(self.request)

    async def leaf(self, cid: Cid, index: int) -> None:
        await self._fetch.leaf(self, cid, index)


def _files_in_one_piece(store: Store, get: GetBlock, files: Iterable[WalkedFile]) -> list[FileDag]:
    return [dag for file in files if (dag := file_in_one_piece(store, get, file.cid)) is not None]


def _without_listed(
    inline: Mapping[str, list[bytes]], listed: Callable[[Cid], bool] | None
) -> Mapping[str, list[bytes]]:
    """The leaves that came along and may be kept, by source."""
    if listed is None:
        return inline
    kept: dict[str, list[bytes]] = {}
    for source, blocks in inline.items():
        allowed = [data for data in blocks if not listed(raw_cid(sha256(data).digest()))]
        if allowed:
            kept[source] = allowed
    return kept


def _walk_here(walk: NodeWalk, get: GetBlock) -> bool:
    """Go as far as the blocks that are here lead; whether that is the end."""
    while walk.expected is not None:
        try:
            walk.accept(get(walk.expected))
        except MissingBlockError:
            return False
    return True
