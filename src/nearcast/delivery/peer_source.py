"""A Nearcast peer as a source: one stream per request over a pooled connection (messages.py has what is said).

Bytes are read patiently: what counts is whether any arrive within the stall timeout, not how long a leaf takes, so a
slow but living link is never mistaken for a dead one.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nearcast.delivery.messages import (
    NONCE_BYTES,
    End,
    FetchRequest,
    LeafSpan,
    MissingLeaf,
    Offer,
    Refusal,
    parse_answer,
    request_fields,
)
from nearcast.delivery.source import REQUESTS_IN_FLIGHT, STALL_TIMEOUT_S, NodesWanted, Span, TakeLeaf, TakeNode
from nearcast.errors import NearcastError, NotFoundError, RefusedError, RemoteError, UnavailableError
from nearcast.transport.base import PeerAddress, ReceiveStream
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import FrameReader, decode_message, encode_message

NAME_DIGITS = 8  # of the endpoint id; enough to tell the few peers of a download apart
PIECE_BYTES_FIRST = 64 << 10  # what an unknown link must deliver within the stall timeout: 16 KiB/s at 4 s
PIECE_BYTES_MIN = 16 << 10  # and the slowest one that we put up with: 4 KiB/s
PIECE_BYTES_MAX = 2 << 20  # a whole block
STOP_CODE = 1  # "not wanted any more", to the other side's transport


class PatientReader:
    """The receiving half of a stream, with a limit on silence. Pieces grow while they come quickly."""

    def __init__(self, receive: ReceiveStream, stall_timeout_s: float) -> None:
        self._receive = receive
        self._stall_timeout_s = stall_timeout_s
        self._piece_bytes = PIECE_BYTES_FIRST

    async def read(self, limit_bytes: int) -> bytes:
        """Up to `limit_bytes`. Raises UnavailableError after the stall timeout."""
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                return await self._receive.read(limit_bytes)
        except TimeoutError:
            raise self._stalled() from None

    async def read_exactly(self, count_bytes: int) -> bytes:
        """Exactly so many bytes, with progress at least once per stall timeout."""
        pieces: list[bytes] = []
        while count_bytes:
            piece = await self._piece(min(count_bytes, self._piece_bytes))
            pieces.append(piece)
            count_bytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _piece(self, size_bytes: int) -> bytes:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                piece = await self._receive.read_exactly(size_bytes)
        except TimeoutError:
            raise self._stalled() from None
        duration_s = loop.time() - started_s
        if duration_s < self._stall_timeout_s / 8:
            self._piece_bytes = min(PIECE_BYTES_MAX, self._piece_bytes * 4)
        elif duration_s > self._stall_timeout_s / 2:
            self._piece_bytes = max(PIECE_BYTES_MIN, self._piece_bytes // 4)
        return piece

    def _stalled(self) -> UnavailableError:
        return UnavailableError(f"no bytes for {self._stall_timeout_s:g} s")


class PeerSource:
    """Source of delivery/source.py."""

    gives_nodes = True
    requests_in_flight = REQUESTS_IN_FLIGHT

    def __init__(self, pool: ConnectionPool, address: PeerAddress, *, stall_timeout_s: float = STALL_TIMEOUT_S) -> None:
        self._pool = pool
        self._address = address
        self._stall_timeout_s = stall_timeout_s
        self.name = address.endpoint_id.hex()[:NAME_DIGITS]

    async def nodes(self, want: NodesWanted, take: TakeNode) -> None:
        request = FetchRequest(
            root=want.root,
            path=want.path,
            want="nodes",
            spans=(),
            inline_bytes=want.inline_bytes,
            nonce=os.urandom(NONCE_BYTES),
            skip=want.skip,
            shallow=want.shallow,
        )
        async with self._asked(request) as frames:
            while (frame := await self._frame(frames)) is not None:
                if isinstance(frame, MissingLeaf):
                    raise RemoteError("it spoke of a leaf where nodes were asked for")
                await take(frame)

    async def leaves(self, spans: Sequence[Span], take: TakeLeaf) -> None:
        asked = tuple(LeafSpan(span.cid, span.first, span.count) for span in spans)
        request = FetchRequest(spans[0].cid, "", "leaves", asked, 0, os.urandom(NONCE_BYTES))
        expected = ((span.cid, span.first + index) for span in spans for index in range(span.count))
        async with self._asked(request) as frames:
            for position, (cid, index) in enumerate(expected):
                frame = await self._frame(frames)
                if frame is None:
                    raise RemoteError("it ended before the last leaf")
                if isinstance(frame, MissingLeaf):
                    if frame != MissingLeaf(cid, index):
                        raise RemoteError("it spoke of a leaf that was not asked for")
                    frame = None
                if not await take(position, frame):
                    return
            if await self._frame(frames) is not None:
                raise RemoteError("it sent more leaves than it was asked for")

    @asynccontextmanager
    async def _asked(self, request: FetchRequest) -> AsyncIterator[FrameReader]:
        """A stream on which the request was sent and accepted; it is given up at the end, whatever happens."""
        connection = await self._pool.get(self._address)
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                stream = await connection.open_stream()
                await stream.send.write(encode_message(request_fields(request)))
                await stream.send.finish()
        except TimeoutError:
            raise UnavailableError(f"it took no request for {self._stall_timeout_s:g} s") from None
        try:
            frames = FrameReader(PatientReader(stream.receive, self._stall_timeout_s))
            _check_offer(parse_answer(await frames.message()))
            yield frames
        finally:
            await stream.receive.stop(STOP_CODE)

    async def _frame(self, frames: FrameReader) -> bytes | MissingLeaf | None:
        """The next block, or a leaf that the peer lacks; None after the last. Raises what a bad end means."""
        frame = await frames.next()
        if frame is None:
            raise RemoteError("the stream ended without saying why")
        is_block, payload = frame
        if is_block:
            return payload
        answer = parse_answer(decode_message(payload))
        if isinstance(answer, MissingLeaf):
            return answer
        if isinstance(answer, End):
            if answer.reason == "done":
                return None
            raise error_of(answer)
        raise RemoteError("it made a second offer")


def _check_offer(answer: Offer | Refusal | MissingLeaf | End) -> None:
    if isinstance(answer, Refusal | End):
        raise error_of(answer)
    if not isinstance(answer, Offer):
        raise RemoteError("it began without an offer")
    if answer.price:
        raise RefusedError("it asks for money, and this node cannot pay yet")


def error_of(answer: Refusal | End) -> NearcastError:
    """What a refusal or a bad end means to whoever asked."""
    text = f": {answer.text}" if answer.text else ""
    match answer.reason:
        case "missing":
            return NotFoundError(f"it does not have it{text}")
        case "refused":
            return RefusedError(f"it will not serve this{text}")
        case "unsupported":
            return RemoteError(f"it does not speak this protocol{text}")
        case "busy":
            return UnavailableError(f"it is busy{text}")
        case "changed":
            return UnavailableError(f"its file was changed after it was shared{text}")
        case "error":
            return UnavailableError(f"it had an error{text}")
        case "done":
            return RemoteError("it ended at once")
