"""A node's own backends as one source: nodes from the index, leaves by byte ranges from where the files really are.

Adjacent leaves are read together, up to RANGE_BYTES_MAX; while one range is handed over, the next are on their way.
What a backend gives is believed only by its hash, as from any source. Bytes that are not the leaf they should be mean
that the file was changed after it was added: from then on it is not served (`nearcast backend add` reads it anew). A
file that is there several times, in other backends or under other keys, is then read from the next place.

Invariant: nothing that a source says (its name, its errors) tells where the backend is. These words travel: into the
end of an answer to a peer, into a page of the gateway. What really happened goes to telemetry, which stays here.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from nearcast.content.backends.base import Backend
from nearcast.content.backends.index import BackendIndex, KnownFile
from nearcast.content.blocks import check_block
from nearcast.content.cid import RAW, Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.delivery.session import NodeWalk
from nearcast.delivery.source import NodesWanted, Span, TakeLeaf, TakeNode
from nearcast.errors import (
    ChangedError,
    IntegrityError,
    NearcastError,
    NotFoundError,
    UnavailableError,
    one_error,
)
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry

if TYPE_CHECKING:
    from nearcast.delivery.purchase import Purchase

RANGE_BYTES_MAX = 8 << 20  # per request to the backend: S3's own advice is 8 to 16 MiB
AHEAD_BYTES_MAX = 16 << 20  # on its way per request of ours, the range that is handed over included
AHEAD_RANGES_MAX = 8  # the same for small files; guess: hides 50 ms per file
BACKEND_REQUESTS_MAX = 32  # at a time per backend, over all downloads; guess: what an object store gives gladly
RANGE_TIMEOUT_S = 60.0  # obstore's own retries included; guess: 8 MiB at 2 Mbit/s take half of it
REQUESTS_IN_FLIGHT = 3  # as for every source: delivery/source.py


Places: TypeAlias = tuple[tuple[KnownFile, ...], int, int]
"""The files that have a leaf (the same file, at several places; empty: none has), its offset and size in them."""


@dataclass(slots=True)
class Range:
    """Adjacent leaves of one file, or (no files) leaves that no backend has."""

    files: tuple[KnownFile, ...]
    start: int
    sizes: list[int] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)


@dataclass(frozen=True, slots=True)
class RangeRead:
    """A range's bytes, right or wrong, and from which of its files they are."""

    file: KnownFile
    data: bytes


Reading: TypeAlias = "RangeRead | NearcastError"


def joined(leaves: Iterator[Places]) -> list[Range]:
    """Leaves in the order asked, as ranges in that order."""
    ranges: list[Range] = []
    end = size_bytes = 0
    for files, offset, leaf_bytes in leaves:
        last = ranges[-1] if ranges else None
        is_next = last is not None and last.files == files and (not files or offset == end)
        if last is None or not is_next or size_bytes + leaf_bytes > RANGE_BYTES_MAX:
            last = Range(files, offset)
            ranges.append(last)
            size_bytes = 0
        last.sizes.append(leaf_bytes)
        end, size_bytes = offset + leaf_bytes, size_bytes + leaf_bytes
    return ranges


class Backends(Protocol):
    """The opened backends by number."""

    def __call__(self, backend_id: int) -> Backend | None:
        """None for one that was removed, or that cannot be opened. Quick."""


class BackendSource:
    """Source of delivery/source.py over all backends of a node. Its `name` says nothing of them."""

    name = "backend"
    gives_nodes = True
    requests_in_flight = REQUESTS_IN_FLIGHT
    purchase: "Purchase | None" = None  # one's own backend is not paid over Nearcast

    def __init__(self, index: BackendIndex, backends: Backends, telemetry: Telemetry) -> None:
        self._index = index
        self._backends = backends
        self._telemetry = telemetry
        self._slots: dict[int, asyncio.Semaphore] = {}

    async def nodes(self, want: NodesWanted, take: TakeNode) -> None:
        """Walks the DAG over what the index has; a target that is one raw leaf is read. Nothing is sent inline."""
        walk = NodeWalk(want.root, want.path, shallow=want.shallow)
        while walk.expected is not None:
            data = await self._block(walk.expected)
            if walk.accepted >= want.skip:
                await take(data)
            walk.accept(data)

    async def leaves(self, spans: Sequence[Span], take: TakeLeaf) -> None:
        ranges = deque(await in_thread(lambda: joined(self._places(spans))))
        reading: deque[tuple[Range, asyncio.Task[Reading]]] = deque()
        position = 0
        with one_error():
            async with asyncio.TaskGroup() as group:
                try:
                    while ranges or reading:
                        while ranges and _may_start(reading, ranges[0]):
                            reading.append((ranges[0], group.create_task(self._read(ranges.popleft()))))
                        wanted, task = reading.popleft()
                        if not await self._hand_over(wanted, await task, position, take):
                            return
                        position += len(wanted.sizes)
                finally:
                    for _, task in reading:
                        task.cancel()

    def _places(self, spans: Sequence[Span]) -> Iterator[Places]:
        """Where every leaf is, in order; looks into the index, so in a thread."""
        for span in spans:
            files = self._index.files_named(span.cid)
            for index in range(span.first, span.first + span.count):
                if span.leaves is None:
                    yield self._leaf_places(span.cid)
                elif files:
                    yield files, *span.leaves.span(index)
                else:
                    yield self._leaf_places(span.leaves.cid(index))

    def _leaf_places(self, cid: Cid) -> Places:
        """A leaf that is a file, is asked for by itself, or is a part of a file that is no file here."""
        files = self._index.files_named(cid)
        if files:
            return files, 0, files[0].object.size_bytes
        found = self._index.leaf(cid)
        if found is None:
            return (), 0, 0
        file, offset = found
        return (file,), offset, min(LEAF_BYTES, file.object.size_bytes - offset)

    async def _read(self, wanted: Range) -> Reading:
        """The range's bytes from the first place that gives them, or why none does; raises nothing of a backend's."""
        result: NearcastError = NotFoundError("it does not have it")
        for file in wanted.files:
            if await in_thread(self._index.is_changed, file.file_id):
                continue
            backend = self._backends(file.backend_id)
            if backend is None:
                continue
            read = await self._read_from(backend, file, wanted)
            if isinstance(read, RangeRead):
                return read
            if not isinstance(result, UnavailableError):
                result = read
        return result

    async def _read_from(self, backend: Backend, file: KnownFile, wanted: Range) -> Reading:
        slots = self._slots.setdefault(file.backend_id, asyncio.Semaphore(BACKEND_REQUESTS_MAX))
        try:
            async with slots, asyncio.timeout(RANGE_TIMEOUT_S):
                data = await backend.read(file.object, wanted.start, wanted.start + wanted.size_bytes)
        except TimeoutError:
            self._tell(file, f"no whole range within {RANGE_TIMEOUT_S:g} s")
        except (ChangedError, NotFoundError) as error:
            await self._note_changed(file, error.message)
            return NotFoundError("it is not what it was any more")
        except NearcastError as error:
            self._tell(file, error.message)
        else:
            self._telemetry.count("backend_requests")
            self._telemetry.count("backend_bytes", len(data))
            return RangeRead(file, data)
        return UnavailableError("it cannot be read now")

    async def _hand_over(self, wanted: Range, read: Reading, position: int, take: TakeLeaf) -> bool:
        """False when the taker has enough."""
        start = 0
        for index, size_bytes in enumerate(wanted.sizes):
            end = start + size_bytes
            while True:
                if isinstance(read, UnavailableError):
                    raise read
                leaf = read.data[start:end] if isinstance(read, RangeRead) else None
                try:
                    goes_on = await take(position + index, leaf)
                    break
                except IntegrityError:
                    if not isinstance(read, RangeRead):
                        raise
                    await self._note_changed(read.file, "its bytes are others than when it was added")
                    read = await self._read(wanted)
            if not goes_on:
                return False
            start = end
        return True

    async def _block(self, cid: Cid) -> bytes:
        """One node, or a leaf. Raises NotFoundError, UnavailableError."""
        if cid.codec != RAW:
            node = await in_thread(self._index.node, cid)
            if node is None:
                raise NotFoundError("it does not have it")
            return node
        files, offset, size_bytes = await in_thread(self._leaf_places, cid)
        wanted = Range(files, offset, [size_bytes])
        while True:
            read = await self._read(wanted)
            if isinstance(read, NearcastError):
                raise read
            try:
                await in_thread(check_block, cid, read.data)
                return read.data
            except IntegrityError:
                await self._note_changed(read.file, "its bytes are others than when it was added")

    async def _note_changed(self, file: KnownFile, reason: str) -> None:
        self._tell(file, reason)
        await in_thread(self._index.mark_changed, file.file_id)

    def _tell(self, file: KnownFile, reason: str) -> None:
        """To the operator of this node. Whoever listens must not hand it on: it names the backend."""
        self._telemetry.count("backend_failures")
        self._telemetry.event("backend-failed", backend=file.backend_id, key=file.object.key, reason=reason)


def _may_start(reading: deque[tuple[Range, asyncio.Task[Reading]]], wanted: Range) -> bool:
    ahead_bytes = sum(each.size_bytes for each, _ in reading)
    fits = ahead_bytes + wanted.size_bytes <= AHEAD_BYTES_MAX and len(reading) < AHEAD_RANGES_MAX
    return not reading or fits
