"""A node's own backend as a source: nodes from the index, leaves by byte ranges from where the files really are.

Adjacent leaves are read together, up to RANGE_BYTES_MAX; while one range is handed over, the next are on their way.
What the backend gives is believed only by its hash, as from any source. Bytes that are not the leaf they should be mean
that the file was changed after it was added: from then on it is not served (`nearcast backend add` reads it anew).

Invariant: nothing that a source says (its name, its errors) tells where the backend is. These words travel: into the
end of an answer to a peer, into a page of the gateway. What really happened goes to telemetry, which stays here.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nearcast.content.backends.base import Backend
from nearcast.content.backends.index import BackendIndex, KnownFile
from nearcast.content.blocks import check_block
from nearcast.content.cid import RAW, Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.delivery.session import NodeWalk
from nearcast.delivery.source import NodesWanted, Span, TakeLeaf, TakeNode
from nearcast.delivery.tasks import in_thread
from nearcast.errors import (
    ChangedError,
    IntegrityError,
    NearcastError,
    NotFoundError,
    UnavailableError,
    one_error,
)
from nearcast.telemetry import Telemetry

if TYPE_CHECKING:
    from nearcast.delivery.purchase import Purchase

RANGE_BYTES_MAX = 8 << 20  # per request to the backend: S3's own advice is 8 to 16 MiB
AHEAD_BYTES_MAX = 16 << 20  # on its way per request of ours, the range that is handed over included
AHEAD_RANGES_MAX = 8  # the same for small files; guess: hides 50 ms per file
BACKEND_REQUESTS_MAX = 32  # at a time per backend, over all downloads; guess: what an object store gives gladly
RANGE_TIMEOUT_S = 60.0  # obstore's own retries included; guess: 8 MiB at 2 Mbit/s take half of it
REQUESTS_IN_FLIGHT = 3  # as for every source: delivery/source.py


@dataclass(slots=True)
class Range:
    """Adjacent leaves of one file, or (no file) leaves that this backend does not have."""

    file: KnownFile | None
    start: int
    sizes: list[int] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)


def joined(leaves: Iterator[tuple[KnownFile | None, int, int]]) -> list[Range]:
    """(file, offset, size) of leaves in the order asked, as ranges in that order."""
    ranges: list[Range] = []
    end = size_bytes = 0
    for file, offset, leaf_bytes in leaves:
        last = ranges[-1] if ranges else None
        is_next = last is not None and last.file == file and (file is None or offset == end)
        if last is None or not is_next or size_bytes + leaf_bytes > RANGE_BYTES_MAX:
            last = Range(file, offset)
            ranges.append(last)
            size_bytes = 0
        last.sizes.append(leaf_bytes)
        end, size_bytes = offset + leaf_bytes, size_bytes + leaf_bytes
    return ranges


class BackendSource:
    """Source of delivery/source.py over one backend. Its `name` is a number, not where it is."""

    gives_nodes = True
    purchase: "Purchase | None" = None  # one's own backend is not paid over Nearcast
    requests_in_flight = REQUESTS_IN_FLIGHT

    def __init__(self, index: BackendIndex, backend_id: int, backend: Backend, telemetry: Telemetry) -> None:
        self._index = index
        self._backend_id = backend_id
        self._backend = backend
        self._telemetry = telemetry
        self._slots = asyncio.Semaphore(BACKEND_REQUESTS_MAX)
        self._changed: set[int] = set()
        self.name = f"backend {backend_id}"

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
        reading: deque[tuple[Range, asyncio.Task[bytes | NearcastError]]] = deque()
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

    def _places(self, spans: Sequence[Span]) -> Iterator[tuple[KnownFile | None, int, int]]:
        """(file, offset, size) of every leaf, in order; looks into the index, so in a thread."""
        for span in spans:
            file = self._index.file_named(self._backend_id, span.cid)
            for index in range(span.first, span.first + span.count):
                if span.leaves is None:
                    yield self._leaf_place(span.cid) if file is None else (file, 0, file.object.size_bytes)
                elif file is None:
                    yield self._leaf_place(span.leaves.cid(index))
                else:
                    yield file, *span.leaves.span(index)

    def _leaf_place(self, cid: Cid) -> tuple[KnownFile | None, int, int]:
        """A leaf that is asked for by itself, or as a part of a file that is no file here."""
        file = self._index.file_named(self._backend_id, cid)
        if file is not None:
            return file, 0, file.object.size_bytes
        found = self._index.leaf(self._backend_id, cid)
        if found is None:
            return None, 0, 0
        file, offset = found
        return file, offset, min(LEAF_BYTES, file.object.size_bytes - offset)

    async def _read(self, wanted: Range) -> bytes | NearcastError:
        """The range's bytes, or why not; never raises what the backend raises."""
        file = wanted.file
        if file is None or file.file_id in self._changed:
            return NotFoundError("it does not have it")
        try:
            async with self._slots, asyncio.timeout(RANGE_TIMEOUT_S):
                data = await self._backend.read(file.object, wanted.start, wanted.start + wanted.size_bytes)
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
            return data
        return UnavailableError("it cannot be read now")

    async def _hand_over(self, wanted: Range, data: bytes | NearcastError, position: int, take: TakeLeaf) -> bool:
        """False when the taker has enough."""
        if isinstance(data, UnavailableError):
            raise data
        start = 0
        for index, size_bytes in enumerate(wanted.sizes):
            is_gone = wanted.file is None or isinstance(data, NearcastError) or wanted.file.file_id in self._changed
            leaf = None if is_gone or isinstance(data, NearcastError) else data[start : start + size_bytes]
            start += size_bytes
            try:
                goes_on = await take(position + index, leaf)
            except IntegrityError:
                if leaf is None or wanted.file is None:
                    raise
                await self._note_changed(wanted.file, "its bytes are others than when it was added")
                goes_on = await take(position + index, None)
            if not goes_on:
                return False
        return True

    async def _block(self, cid: Cid) -> bytes:
        """One node, or a leaf. Raises NotFoundError, UnavailableError."""
        if cid.codec != RAW:
            node = await in_thread(self._index.node, self._backend_id, cid)
            if node is None:
                raise NotFoundError("it does not have it")
            return node
        file, offset, size_bytes = await in_thread(self._leaf_place, cid)
        data = await self._read(Range(file, offset, [size_bytes]))
        if isinstance(data, NearcastError):
            raise data
        try:
            await in_thread(check_block, cid, data)
        except IntegrityError:
            assert file is not None
            await self._note_changed(file, "its bytes are others than when it was added")
            raise NotFoundError("it is not what it was any more") from None
        return data

    async def _note_changed(self, file: KnownFile, reason: str) -> None:
        self._changed.add(file.file_id)
        self._tell(file, reason)
        await in_thread(self._index.mark_changed, file.file_id)

    def _tell(self, file: KnownFile, reason: str) -> None:
        """To the operator of this node. Whoever listens must not hand it on: it names the backend."""
        self._telemetry.count("backend_failures")
        self._telemetry.event("backend-failed", backend=self._backend_id, key=file.object.key, reason=reason)


def _may_start(reading: deque[tuple[Range, asyncio.Task[bytes | NearcastError]]], wanted: Range) -> bool:
    ahead_bytes = sum(each.size_bytes for each, _ in reading)
    fits = ahead_bytes + wanted.size_bytes <= AHEAD_BYTES_MAX and len(reading) < AHEAD_RANGES_MAX
    return not reading or fits
