"""The serving end: answers the probes and fetches that the other side of a connection asks for.

One task per stream, under the connection's TaskGroup. Whatever goes wrong on a stream costs that stream alone: a
request that does not parse gets a typed end, a reader that takes nothing is cut off, one that is gone is forgotten.

Bounds: STREAMS_MAX answers at a time per connection (more wait in the transport), ANSWERS_MAX per node where its
connections share a ServeGate (more are told that the node is busy), and two pieces in memory per answer: the one that
is being written and the one that is read ahead.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from nearcast.clock import Clock
from nearcast.content.cid import Cid
from nearcast.content.store import Store
from nearcast.delivery.answer import Answer
from nearcast.delivery.large_buffers import keep_large_buffers
from nearcast.delivery.messages import (
    PRICE_FREE,
    End,
    FetchRequest,
    Holding,
    Offer,
    ProbeRequest,
    Refusal,
    answer_fields,
    holdings_fields,
    parse_request,
)
from nearcast.delivery.tasks import in_thread
from nearcast.errors import ChangedError, NearcastError, RemoteError, UnavailableError
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Stream
from nearcast.wire import FrameReader, encode_message

STREAMS_MAX = 64  # answered at a time per connection; guess: a client asks 3 per download
ANSWERS_MAX = 128  # per node: at 2 to 3 MiB each 0.4 GB at the very worst, when every reader stands still
REQUEST_TIMEOUT_S = 10.0  # from a stream's first byte to its whole request; guess
SLOW_READER_S = 30.0  # a reader that takes not one piece in so long is cut off; IPFS gateways use the same
RESET_SLOW = 2  # the code that a reader which was cut off sees

ServePolicy: TypeAlias = Callable[[Cid], bool]
"""Whether to serve what a stranger names: asked for the root of every request, and for every file in its spans."""


class ServeGate:
    """How many fetches are answered at once, over all connections that share it."""

    def __init__(self, answers_max: int = ANSWERS_MAX) -> None:
        self._free = answers_max

    def enter(self) -> bool:
        if not self._free:
            return False
        self._free -= 1
        return True

    def leave(self) -> None:
        self._free += 1


async def serve_connection(
    connection: Connection,
    store: Store,
    policy: ServePolicy,
    telemetry: Telemetry,
    clock: Clock,
    *,
    gate: ServeGate | None = None,
    slow_reader_s: float = SLOW_READER_S,
) -> None:
    """Answer until the connection ends; returns then.

    Tells telemetry of every fetch: event "served" with peer, root, path, end, size_bytes and seconds.
    """
    keep_large_buffers()
    answering = _Answering(connection, store, policy, telemetry, clock, gate or ServeGate(), slow_reader_s)
    slots = asyncio.Semaphore(STREAMS_MAX)
    async with asyncio.TaskGroup() as group:
        while True:
            await slots.acquire()
            try:
                stream = await connection.accept_stream()
            except UnavailableError:
                return
            task = group.create_task(answering.stream(stream))
            task.add_done_callback(lambda _task: slots.release())


class _Answering:
    """What the streams of one connection share."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        policy: ServePolicy,
        telemetry: Telemetry,
        clock: Clock,
        gate: ServeGate,
        slow_reader_s: float,
    ) -> None:
        self._peer = connection.remote_id.hex()
        self._store = store
        self._policy = policy
        self._telemetry = telemetry
        self._clock = clock
        self._gate = gate
        self._slow_reader_s = slow_reader_s

    async def stream(self, stream: Stream) -> None:
        """One request and its answer. The other side's faults end here."""
        try:
            await self._answer(stream)
        except TimeoutError:
            self._telemetry.count("slow_readers")
            await stream.send.reset(RESET_SLOW)
        except UnavailableError:
            self._telemetry.count("readers_gone")

    async def _answer(self, stream: Stream) -> None:
        try:
            request = await self._request(stream)
        except RemoteError as error:
            self._telemetry.count("malformed_requests")
            await self._say(stream, answer_fields(End("error", error.message)))
        else:
            match request:
                case None:
                    await self._say(stream, answer_fields(End("unsupported", "")))
                case ProbeRequest():
                    holdings = await in_thread(self._holdings, request.roots)
                    self._telemetry.count("probes_answered")
                    await self._say(stream, holdings_fields(holdings))
                case FetchRequest():
                    await self._fetch(stream, request)
        async with asyncio.timeout(self._slow_reader_s):
            await stream.send.finish()

    async def _request(self, stream: Stream) -> ProbeRequest | FetchRequest | None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return parse_request(await FrameReader(stream.receive).message())
        except TimeoutError:
            raise RemoteError(f"no request within {REQUEST_TIMEOUT_S:g} s") from None

    def _holdings(self, roots: tuple[Cid, ...]) -> list[Holding]:
        return [self._holding(root) if self._policy(root) else Holding("refused", None) for root in roots]

    def _holding(self, root: Cid) -> Holding:
        """`all` only where one look tells that nothing is missing: a file, or what is held by a pin."""
        try:
            stat = self._store.stat(root)
        except ChangedError:
            stat = None
        if stat is None or stat.kind == "changed":
            return Holding("none", None)
        is_whole = stat.complete and (stat.held or stat.kind in ("flat", "in place"))
        return Holding("all" if is_whole else "some", stat.size_bytes)

    async def _fetch(self, stream: Stream, request: FetchRequest) -> None:
        started_s = self._clock.monotonic_s()
        refusal = self._refusal(request)
        if refusal is not None:
            await self._say(stream, answer_fields(refusal))
            self._told(request, refusal.reason, 0, started_s)
            return
        answer = Answer(self._store, request)
        try:
            await self._say(stream, answer_fields(Offer(PRICE_FREE)))
            await self._send(stream, answer)
        except (TimeoutError, NearcastError):
            answer.reason = "aborted"
            raise
        finally:
            self._gate.leave()
            self._told(request, answer.reason, answer.sent_bytes, started_s)

    def _refusal(self, request: FetchRequest) -> Refusal | None:
        """Why not to answer. When there is no reason, a place at the gate has been taken."""
        named = {request.root, *(span.cid for span in request.spans)}
        if not all(self._policy(cid) for cid in named):
            return Refusal("refused", "")
        if not self._gate.enter():
            return Refusal("busy", "")
        return None

    def _told(self, request: FetchRequest, end: str, size_bytes: int, started_s: float) -> None:
        self._telemetry.count("served_fetches")
        self._telemetry.count("served_bytes", size_bytes)
        self._telemetry.event(
            "served",
            peer=self._peer,
            root=str(request.root),
            path=request.path,
            end=end,
            size_bytes=size_bytes,
            seconds=self._clock.monotonic_s() - started_s,
        )

    async def _send(self, stream: Stream, answer: Answer) -> None:
        """Write piece after piece; the next one is read from the disk meanwhile."""
        loop = asyncio.get_running_loop()
        pieces = answer.pieces()
        piece = await in_thread(next, pieces, None)
        while piece is not None:
            ahead = loop.run_in_executor(None, next, pieces, None)
            try:
                async with asyncio.timeout(self._slow_reader_s):
                    await stream.send.write(piece)
            finally:
                await asyncio.wait([ahead])  # also when the write fails: nobody may read on behind our back
            answer.sent_bytes += len(piece)
            piece = ahead.result()

    async def _say(self, stream: Stream, fields: dict[str, object]) -> None:
        async with asyncio.timeout(self._slow_reader_s):
            await stream.send.write(encode_message(fields))
