"""The first stage of a download: the nodes, from one source at a time.

The sources are asked in a staggered race (as RFC 8305, "Happy Eyeballs", does with addresses): the next one starts
RACE_STAGGER_S after the last, or at once when one has failed. Whoever delivers the first verified block wins and goes
on alone; if it fails later, the others race for the rest, from where it stopped. So ten peers of which most are dead
or do not have it cost well under a second.

Every block is checked against the one name that may come next (session.py). A source that lost the race is told so;
where it is paid, what it had sent before it heard of that is checked and paid all the same, and so that this is little,
paid sources race with a longer stagger.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from nearcast.content.blocks import check_block
from nearcast.content.cid import Cid
from nearcast.content.nodes import Node
from nearcast.delivery.events import FetchReport
from nearcast.delivery.file_nodes import FileNodes
from nearcast.delivery.landing import HASH_INLINE_BYTES_MAX, Landing
from nearcast.delivery.roster import Roster
from nearcast.delivery.session import NodeWalk
from nearcast.delivery.source import NodesWanted, Source
from nearcast.errors import NearcastError, NotFoundError, RefusedError, RemoteError, StoreError
from nearcast.tasks import in_thread, leading_error

PAID_STAGGER_S = 0.5  # what two paid sources send is paid twice; guess: longer than a good one takes to begin
RACE_STAGGER_S = 0.05  # ten peers are all asked within half a second; RFC 8305 recommends 250 ms for dialling alone


# No block from the winner for so long, and the others may race it again; guess: more than a loaded machine's pauses.
# One that sends a byte now and then is not silent, so no stall timeout ends it.
SLOW_WINNER_S = 4.0


class ContentFaultError(Exception):
    """The content itself is broken or has no such path: no other source can do better. Carries the typed error."""

    def __init__(self, error: NearcastError) -> None:
        super().__init__(error.message)
        self.error = error


class NodeStage:
    """Brings one walk to its end."""

    def __init__(
        self,
        walk: NodeWalk,
        want: NodesWanted,
        roster: Roster,
        landing: Landing,
        file_nodes: FileNodes,
        report: FetchReport,
        on_node: Callable[[str, Cid, Node], None],
        listed: Callable[[Cid], bool] | None = None,
    ) -> None:
        """`listed`: the walk ends before such a block, with RefusedError."""
        self._walk = walk
        self._want = want
        self._roster = roster
        self._landing = landing
        self._file_nodes = file_nodes
        self._report = report
        self._on_node = on_node
        self._listed = listed
        self._winner: Source | None = None
        self._racing: dict[str, asyncio.Task[None]] = {}
        self._lacking: dict[str, NearcastError] = {}
        self._accepting = asyncio.Lock()
        self.inline: dict[str, list[bytes]] = {}
        self._inline_bytes: dict[str, int] = {}
        self._took_empty: set[str] = set()
        self._first = walk.accepted
        self._names: list[Cid] = []  # of the blocks from number `_first` on
        self._taken = 0

    async def run(self) -> None:
        """Until the walk is over; returns at once when it is.

        Raises NotFoundError or UnavailableError when no source is left, ContentFaultError, StoreError.
        """
        self._heed_list()
        try:
            async with asyncio.TaskGroup() as group:
                while self._walk.expected is not None or self._winner is not None:
                    await self._race(group)
                self._cancel_all_but(None)
        except BaseExceptionGroup as failures:
            raise leading_error(failures) from None

    async def _race(self, group: asyncio.TaskGroup) -> None:
        """Start the next source if one is due, then wait for something to happen."""
        if self._winner is not None:
            await self._watch(self._winner)
            return
        waiting = [source for source in self._roster.active.values() if self._may_be_asked(source)]
        if waiting:
            source = self._roster.active[self._roster.paces.in_order(source.name for source in waiting)[0]]
            self._racing[source.name] = group.create_task(self._ask(source))
        elif not self._racing:
            raise self._roster.nobody_left(self._lacking)
        await self._roster.pulse.wait(self._stagger_s() if len(waiting) > 1 else None)

    def _stagger_s(self) -> float:
        is_paid = any(name in self._roster.paid for name in self._racing)
        return PAID_STAGGER_S if is_paid else RACE_STAGGER_S

    async def _watch(self, winner: Source) -> None:
        """Let it go on alone while it brings blocks, or while there is nobody else to ask."""
        loop = asyncio.get_running_loop()
        taken, until_s = self._taken, loop.time() + SLOW_WINNER_S
        while self._winner is winner and (left_s := until_s - loop.time()) > 0:
            await self._roster.pulse.wait(left_s)
        others = any(self._may_be_asked(source) for source in self._roster.active.values())
        if self._winner is winner and self._taken == taken and others:
            self._winner = None  # behind the last node this ends the stage: leaves are asked of everybody

    def _may_be_asked(self, source: Source) -> bool:
        return source.gives_nodes and source.name not in self._racing and source.name not in self._lacking

    async def _ask(self, source: Source) -> None:
        """One source's try: until it has given everything, or failed, or another one won."""
        want = NodesWanted(
            root=self._want.root,
            path=self._want.path,
            shallow=self._want.shallow,
            skip=self._walk.accepted,
            inline_bytes=self._want.inline_bytes if self._walk.accepted == 0 else 0,
        )
        try:
            await source.nodes(want, self._taker(source, want.skip))
            if self._walk.expected is not None and self._winner in (None, source):
                raise RemoteError("it ended before the last block")
        except StoreError:
            raise
        except NotFoundError as error:
            self._lacking[source.name] = error
        except NearcastError as error:
            self._roster.fail(source.name, error)
        finally:
            self._racing.pop(source.name, None)
            if self._winner is source:
                self._winner = None
            self._roster.pulse.beat()

    def _taker(self, source: Source, first: int) -> Callable[[bytes], Awaitable[bool]]:
        numbers = count(first)

        async def take(data: bytes) -> bool:
            async with self._accepting:  # two racers' first blocks may come at the same moment
                return await self._take(source, next(numbers), data)

        return take

    async def _take(self, source: Source, number: int, data: bytes) -> bool:
        """Whether the block was verified. `number`: its place in the nodes' sequence."""
        if self._winner not in (None, source) or number < self._walk.accepted:
            return await self._take_late(source, number, data)
        self._taken += 1
        expected = self._walk.expected
        if expected is None:
            self._take_inline(source, data)
            return False
        self._heed_list()
        await _check(expected, data)
        if self._winner is None:
            self._winner = source
            self._cancel_all_but(source)
        self._names.append(expected)
        in_file = self._walk.expected_in_file
        try:
            node = self._walk.accept(data)
        except NearcastError as error:
            await self._landing.put_block(expected, data)
            raise ContentFaultError(error) from error
        self._report.count(source.name, len(data))
        self._on_node(source.name, expected, node)
        if not self._file_nodes.holds_back(expected, data, node, in_file=in_file):
            await self._landing.put_block(expected, data)
        for cid, block in self._file_nodes.loose():
            await self._landing.put_block(cid, block)
        return True

    def _heed_list(self) -> None:
        expected = self._walk.expected
        if expected is not None and self._listed is not None and self._listed(expected):
            raise ContentFaultError(RefusedError(f"{expected} is on the blacklist"))

    async def _take_late(self, source: Source, number: int, data: bytes) -> bool:
        """From a source that lost the race a moment ago. Only one that is paid is still listened to."""
        if number < self._walk.accepted:
            await _check(self._names[number - self._first], data)
            return True
        if self._walk.expected is None and source.name in self._roster.paid:
            self._take_inline(source, data)
        return False

    def _take_inline(self, source: Source, data: bytes) -> None:
        """A leaf behind the last node: which one it is, is known when the leaves are laid out."""
        before_bytes = self._inline_bytes.get(source.name, 0)
        # Empty blocks count for nothing, and there is only one: the bound on bytes would let endlessly many pass.
        if before_bytes + len(data) > self._want.inline_bytes or (not data and source.name in self._took_empty):
            raise RemoteError("it sent blocks that nobody asked for")
        self._inline_bytes[source.name] = before_bytes + len(data)
        if not data:
            self._took_empty.add(source.name)
        self.inline.setdefault(source.name, []).append(data)

    def _cancel_all_but(self, winner: Source | None) -> None:
        for name, task in self._racing.items():
            if winner is None or name != winner.name:
                task.cancel()


async def _check(cid: Cid, data: bytes) -> None:
    if len(data) <= HASH_INLINE_BYTES_MAX:
        check_block(cid, data)
    else:
        await in_thread(check_block, cid, data)
