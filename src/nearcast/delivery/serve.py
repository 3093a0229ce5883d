"""The serving end: answers the probes and fetches that the other side of a connection asks for.

One task per stream, under the connection's TaskGroup. Whatever goes wrong on a stream costs that stream alone: a
request that does not parse gets a typed end, a reader that takes nothing is cut off, one that is gone is forgotten.

Bounds: STREAMS_MAX answers at a time per connection (more wait in the transport), ANSWERS_MAX per node where its
connections share a ServeGate (more stand in line), and two pieces in memory per answer: the one that
is being written and the one that is read ahead.
"""

import asyncio
from dataclasses import replace
from typing import Any, Protocol

from nearcast.clock import Clock
from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import DAG_PB, Cid
from nearcast.content.dagpb import decode_node
from nearcast.content.store import Store
from nearcast.delivery.answer import Listed
from nearcast.delivery.charging import Charging
from nearcast.delivery.large_buffers import keep_large_buffers
from nearcast.delivery.messages import (
    SIZE_BYTES_MAX,
    End,
    FetchRequest,
    Holding,
    ProbeRequest,
    holdings_fields,
    parse_request,
)
from nearcast.delivery.sending import SLOW_READER_S, Relaying, Sending, ServePolicy, Serving
from nearcast.delivery.serve_gate import ServeGate
from nearcast.errors import ChangedError, IntegrityError, LimitError, RemoteError, StoreError, UnavailableError
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Stream
from nearcast.wire import FrameReader, encode_message

__all__ = ["Overlay", "Relaying", "ServeGate", "ServePolicy", "serve_connection"]

STREAMS_MAX = 64  # answered at a time per connection; guess: a client asks 3 per download
REQUEST_TIMEOUT_S = 10.0  # from a stream's first byte to its whole request; guess
RESET_SLOW = 2  # the code that a reader which was cut off sees


class Overlay(Protocol):
    """What is needed of overlay/links.py: streams that live as long as their connection."""

    def is_hello(self, first: Any) -> bool: ...

    async def serve(self, connection: Connection, stream: Stream, frames: FrameReader, first: Any) -> None: ...


async def serve_connection(
    connection: Connection,
    store: Store,
    policy: ServePolicy,
    telemetry: Telemetry,
    clock: Clock,
    *,
    gate: ServeGate | None = None,
    slow_reader_s: float = SLOW_READER_S,
    charging: Charging | None = None,
    listed: Listed | None = None,
    relaying: Relaying | None = None,
    overlay: Overlay | None = None,
) -> None:
    """Answer until the connection ends; returns then.

    `charging`: None serves everybody for free. `listed`: what is never served, whoever asks; None where there is no
    list. `relaying`: who brings what is not here. `overlay`: who reads the overlay's
    streams; None: they are not spoken. Tells telemetry of every fetch: event "served" with peer, root, path,
    end, size_bytes and seconds.
    """
    keep_large_buffers()
    gate, peer = gate or ServeGate(), connection.remote_id
    serving = Serving(peer, store, policy, telemetry, clock, gate, slow_reader_s, charging, listed, relaying)
    answering = _Answering(serving, connection, overlay)
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
    """The streams of one connection."""

    def __init__(self, serving: Serving, connection: Connection, overlay: Overlay | None) -> None:
        self._serving = serving
        self._connection = connection
        self._overlay = overlay

    async def stream(self, stream: Stream) -> None:
        """One request and its answer. The other side's faults end here."""
        telemetry = self._serving.telemetry
        try:
            await self._answer(stream)
        except TimeoutError:
            telemetry.count("slow_readers")
            await stream.send.reset(RESET_SLOW)
        except UnavailableError:
            telemetry.count("readers_gone")

    async def _answer(self, stream: Stream) -> None:
        serving = self._serving
        frames = FrameReader(stream.receive)
        try:
            first = await self._first_message(frames)
            if serving.charging is not None and serving.charging.is_greeting(first):
                await serving.charging.collect(stream, frames, first, serving.peer)
            elif self._overlay is not None and self._overlay.is_hello(first):
                await self._overlay.serve(self._connection, stream, frames, first)
                return
            else:
                await self._request(stream, parse_request(first))
        except RemoteError as error:
            serving.telemetry.count("malformed_requests")
            await serving.say(stream, End("error", error.message))
        except StoreError as error:  # its words name files of ours; and a disk that fails now may work again
            serving.telemetry.count("store_failures")
            serving.telemetry.event("store-failed", reason=error.message)
            await serving.say(stream, End("error", "reading failed"))
        async with asyncio.timeout(serving.slow_reader_s):
            await stream.send.finish()

    async def _first_message(self, frames: FrameReader) -> Any:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await frames.message()
        except TimeoutError:
            raise RemoteError(f"no request within {REQUEST_TIMEOUT_S:g} s") from None

    async def _request(self, stream: Stream, request: ProbeRequest | FetchRequest | None) -> None:
        match request:
            case None:
                await self._serving.say(stream, End("unsupported", ""))
            case ProbeRequest():
                holdings = await self._relayed(request, await in_thread(self._holdings, request.roots))
                self._serving.telemetry.count("probes_answered")
                await self._serving.write(stream, encode_message(holdings_fields(holdings)))
            case FetchRequest():
                await Sending(self._serving, stream, request).run()

    def _holdings(self, roots: tuple[Cid, ...]) -> list[Holding]:
        price = self._serving.price()
        holdings = [replace(self._holding(root), price=price) for root in roots]
        if len(roots) == 1 and holdings[0].state in Holding.SERVABLE and holdings[0].size_bytes is None:
            # Who asks for one thing is about to get it, and wants to know what that costs. Not of many: it takes 5 ms
            # for a folder of a thousand names (measured).
            holdings = [replace(holdings[0], size_bytes=self._size_by_links(roots[0]))]
        return holdings

    def _holding(self, root: Cid) -> Holding:
        """`all` only where one look tells that nothing is missing: a file, or what is held by a pin."""
        serving = self._serving
        if serving.listed is not None and serving.listed(root):
            return Holding("refused", None, is_listed=True)
        if not serving.policy(root):
            return Holding("refused", None)
        try:
            stat = serving.store.stat(root)
        except ChangedError:
            stat = None
        is_here = stat is not None and stat.kind != "changed"
        is_one_block = stat is not None and stat.kind in ("packed", "inside")
        size_bytes = None if stat is None or (is_one_block and root.codec == DAG_PB) else stat.size_bytes
        if stat is not None and is_here and stat.complete and (stat.held or stat.kind in ("flat", "in place")):
            return Holding("all", size_bytes)
        own = None if serving.relaying is None else serving.relaying.own(root)
        if own is not None:
            return own
        return Holding("some", size_bytes) if stat is not None and is_here else Holding("none", None)

    def _size_by_links(self, root: Cid) -> int | None:
        """Of a folder with all that is below it, as its own links say; None where they do not."""
        try:
            block = self._serving.store.get_block(root)
            below = [link.tsize for link in decode_node(block).links]
        except (ChangedError, IntegrityError, LimitError, MissingBlockError):
            return None
        sizes = [each for each in below if each is not None]
        return min(len(block) + sum(sizes), SIZE_BYTES_MAX) if len(sizes) == len(below) else None

    async def _relayed(self, request: ProbeRequest, holdings: list[Holding]) -> list[Holding]:
        """The same, with what others could bring in place of what is not here."""
        relaying, trail, price = self._serving.relaying, request.trail, self._serving.price()
        if relaying is None or not self._serving.may_relay() or not trail.may_pass(relaying.endpoint_id):
            return holdings

        async def ask(root: Cid, holding: Holding) -> Holding:
            if holding.state != "none":
                return holding
            found = await relaying.upstream.can_bring(root, trail, price, self._serving.peer)
            return holding if found is None else replace(found, price=price)

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(*pair)) for pair in zip(request.roots, holdings, strict=True)]
        return [task.result() for task in asked]
