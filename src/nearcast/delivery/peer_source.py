"""A Nearcast peer as a source: one stream per request over a pooled connection (messages.py has what is said)."""

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
from nearcast.delivery.patience import Patience, PatientFrames
from nearcast.delivery.source import REQUESTS_IN_FLIGHT, STALL_TIMEOUT_S, NodesWanted, Span, TakeLeaf, TakeNode
from nearcast.errors import NearcastError, NotFoundError, RefusedError, RemoteError, UnavailableError
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import decode_message, encode_message

NAME_DIGITS = 8  # of the endpoint id; enough to tell the few peers of a download apart
STOP_CODE = 1  # "not wanted any more", to the other side's transport


class PeerSource:
    """Source of delivery/source.py."""

    gives_nodes = True
    requests_in_flight = REQUESTS_IN_FLIGHT

    def __init__(self, pool: ConnectionPool, address: PeerAddress, *, stall_timeout_s: float = STALL_TIMEOUT_S) -> None:
        self._pool = pool
        self._address = address
        self._patience = Patience(stall_timeout_s)
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
    async def _asked(self, request: FetchRequest) -> AsyncIterator[PatientFrames]:
        """A stream on which the request was sent and accepted; it is given up at the end, whatever happens."""
        connection = await self._pool.get(self._address)
        try:
            async with asyncio.timeout(self._patience.stall_timeout_s):
                stream = await connection.open_stream()
                await stream.send.write(encode_message(request_fields(request)))
                await stream.send.finish()
        except TimeoutError:
            raise UnavailableError(f"it took no request for {self._patience.stall_timeout_s:g} s") from None
        try:
            frames = PatientFrames(stream.receive, self._patience)
            is_block, payload = await frames.next()
            if is_block:
                raise RemoteError("a block came where a message was due")
            _check_offer(parse_answer(decode_message(payload)))
            yield frames
        finally:
            await stream.receive.stop(STOP_CODE)

    async def _frame(self, frames: PatientFrames) -> bytes | MissingLeaf | None:
        """The next block, or a leaf that the peer lacks; None after the last. Raises what a bad end means."""
        is_block, payload = await frames.next()
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
