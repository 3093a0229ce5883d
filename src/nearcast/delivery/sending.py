"""One fetch, answered: refused, or offered and sent piece by piece; on credit where the node has a price.

Before a piece of paid content leaves, there must be room for it on the tab; what waits for a voucher has been read
ahead already, and the vouchers for what is on its way come in meanwhile. What is missing here is waited for where
somebody brings it.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

from nearcast.clock import Clock
from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.delivery.answer import ALL_BYTES, Answer, Gap, Listed, Piece
from nearcast.delivery.charging import Bill, Charging, Tab
from nearcast.delivery.messages import (
    PRICE_FREE,
    End,
    FetchRequest,
    Holding,
    MissingLeaf,
    Offer,
    Refusal,
    Wait,
    answer_fields,
)
from nearcast.delivery.relay import wait_again_s
from nearcast.delivery.relay_layout import AHEAD_LEAVES
from nearcast.delivery.serve_gate import ServeGate
from nearcast.delivery.upstream import Upstream, UpstreamSession
from nearcast.delivery.waiting import waiting
from nearcast.errors import ChangedError, NearcastError
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Stream
from nearcast.wire import encode_message

# For one thing that is missing. Guess: longer than the last of three relays takes to open a channel; whoever is asked
# could say for ever that it will come, and with each answer that waits for it this node has one less to give.
BRING_S = 60.0
TURN_S = 120.0  # in line for a place; guess, and less than a client puts up with (asking.py)
SLOW_READER_S = 30.0  # a reader that takes not one piece in so long is cut off; IPFS gateways use the same
LISTED = Refusal("listed", "it is on the chain's blacklist, so this node does not serve it")
WORN_OUT = "more was lost on this channel than this node bears; take it back, and pay from a new one"
LOOP = Refusal("loop", "the request came through this node before")

ServePolicy: TypeAlias = Callable[[Cid], bool]
"""Whether to serve what a stranger names: asked for the root of every request, and for every file in its spans."""


def _nothing(_root: Cid) -> Holding | None:
    return None


@dataclass(frozen=True, slots=True)
class Relaying:
    """Who brings what is missing here, and this node's own endpoint id, by which it knows its mark on a trail.

    `own(root)`: what the backends of this node have of it, which is brought for everybody; None: nothing. Quick.
    `for_payers`: whether other nodes are asked for what a payer wants.
    """

    upstream: Upstream
    endpoint_id: bytes
    own: Callable[[Cid], Holding | None] = _nothing
    for_payers: bool = True


@dataclass(frozen=True, slots=True)
class Serving:
    """What all answers on one connection share. `peer`: the other side's endpoint id."""

    peer: bytes
    store: Store
    policy: ServePolicy
    telemetry: Telemetry
    clock: Clock
    gate: ServeGate
    slow_reader_s: float
    charging: Charging | None
    listed: Listed | None
    relaying: Relaying | None

    def price(self) -> int:
        """Units per GiB that this peer is asked for."""
        return PRICE_FREE if self.charging is None else self.charging.price_for(self.peer)

    def may_relay(self) -> bool:
        """Whether others are asked on this peer's behalf: it pays, or the operator named it as a friend."""
        if self.charging is None or self.relaying is None or not self.relaying.for_payers:
            return False
        return self.price() > PRICE_FREE or self.charging.is_free(self.peer)

    def size_bytes(self, root: Cid) -> int:
        """Of what is here of a root; 0 where nothing is known. Reads the store: for threads."""
        try:
            stat = self.store.stat(root)
        except ChangedError:
            stat = None
        return 0 if stat is None else stat.size_bytes

    async def say(self, stream: Stream, answer: Offer | Refusal | MissingLeaf | Wait | End) -> None:
        await self.write(stream, encode_message(answer_fields(answer)))

    async def write(self, stream: Stream, data: bytes) -> None:
        """Raises TimeoutError for a slow reader, UnavailableError for one that is gone."""
        async with asyncio.timeout(self.slow_reader_s):
            await stream.send.write(data)


class Sending:
    """One fetch on one stream."""

    def __init__(self, serving: Serving, stream: Stream, request: FetchRequest) -> None:
        self._serving = serving
        self._stream = stream
        self._wait_again_s = wait_again_s(request.trail)
        self._request = request
        relaying, trail = serving.relaying, request.trail
        may_ask = relaying is not None and serving.may_relay() and trail.may_pass(relaying.endpoint_id)
        brings = may_ask or (relaying is not None and relaying.own(request.root) is not None)
        self._answer = Answer(serving.store, request, listed=serving.listed, brings=brings)

    async def run(self) -> None:
        """Raises TimeoutError and UnavailableError as `Serving.write` does. Tells telemetry, however it ends."""
        started_s = self._serving.clock.monotonic_s()
        answer = self._answer
        bill = self._refusal() or await self._bill()
        if isinstance(bill, Refusal):
            await self._serving.say(self._stream, bill)
            self._told(bill.reason, started_s)
            return
        try:
            await self._send_all(bill)
        except (TimeoutError, NearcastError):
            answer.reason = "aborted"
            raise
        finally:
            self._told(answer.reason, started_s)

    def _refusal(self) -> Refusal | None:
        """Why not to answer, whoever pays."""
        request, serving = self._request, self._serving
        named = {request.root, *(span.cid for span in request.spans)}
        if serving.listed is not None and any(map(serving.listed, named)):
            return LISTED
        if not all(map(serving.policy, named)):
            return Refusal("refused", "")
        if serving.relaying is not None and request.trail.has_passed(serving.relaying.endpoint_id):
            return LOOP
        return None

    async def _bill(self) -> Bill | Refusal | None:
        """None: it is free."""
        charging = self._serving.charging
        if charging is None or self._serving.price() == PRICE_FREE:
            return None
        size_bytes = await in_thread(self._serving.size_bytes, self._request.root)
        return await charging.bill(self._request, size_bytes, self._serving.peer)

    async def _send_all(self, bill: Bill | None) -> None:
        async with AsyncExitStack() as stack:
            tab = None if bill is None else stack.enter_context(bill.open_tab())
            await self._serving.say(self._stream, Offer(PRICE_FREE) if bill is None else bill.offer)
            asker = self._serving.peer if bill is None or self._request.channel is None else self._request.channel
            if not await self._admitted(asker):
                await self._end(End("busy", "too many answers are under way"))
                return
            stack.callback(self._serving.gate.leave, asker)
            await self._send(bill, tab, stack)

    async def _admitted(self, asker: bytes) -> bool:
        """Whether there is a place to answer, in its turn. Who waits for it hears so now and then."""
        gate = self._serving.gate
        if gate.enter(asker):
            return True
        turn = gate.stand_in_line(asker)
        if turn is None:
            return False
        is_mine = False
        try:
            if not turn.done():
                async with self._waiting():
                    await asyncio.wait([turn], timeout=TURN_S)
            is_mine = turn.done()
            return is_mine
        finally:
            if not is_mine:
                gate.give_up(asker, turn)

    async def _send(self, bill: Bill | None, tab: Tab | None, stack: AsyncExitStack) -> None:
        """Write piece after piece; the next one is read from the disk meanwhile."""
        loop = asyncio.get_running_loop()
        answer, session = self._answer, None
        answer.content_bytes_max = ALL_BYTES if bill is None else bill.piece_bytes()
        pieces = answer.pieces()
        piece = await in_thread(next, pieces, None)
        while piece is not None:
            if isinstance(piece, Gap):
                session = session or await self._session(stack, PRICE_FREE if bill is None else bill.offer.price, tab)
                if (end := await self._bring(session, piece, tab)) is not None:
                    await self._end(end)
                    return
                piece = await in_thread(next, pieces, None)
                continue
            if bill is not None:
                answer.content_bytes_max = bill.piece_bytes()
            ahead = loop.run_in_executor(None, next, pieces, None)
            try:
                end = None if tab is None else await self._room(tab, piece)
                if end is None:
                    await self._serving.write(self._stream, piece.data)
            finally:
                await asyncio.wait([ahead])  # also when the write fails: nobody may read on behind our back
            if end is not None:
                await self._end(end)
                return
            answer.sent_bytes += len(piece.data)
            piece = ahead.result()

    async def _room(self, tab: Tab, piece: Piece) -> End | None:
        """Put a piece on the tab, as soon as there is credit for it. Why it may not leave, if so."""
        charging, size_bytes = self._serving.charging, piece.content_bytes
        assert charging is not None
        if size_bytes and piece.is_courtesy and not tab.is_stopped and not tab.may_send(size_bytes):
            return End("done", "")
        while not tab.is_stopped:
            if not size_bytes:
                return None  # nothing is sold: the books get no line of it
            if tab.may_send(size_bytes):
                tab.deliver(size_bytes)
                return None
            async with self._waiting():
                has_room = await tab.room(size_bytes, charging.unpaid_patience_s)
            if not has_room and not tab.is_stopped:
                return self._unpaid(tab)
        return self._unpaid(tab)

    def _waiting(self) -> AbstractAsyncContextManager[None]:
        """Whoever asked has to wait for what is done in it, and hears so until it is done."""
        return waiting(lambda: self._serving.say(self._stream, Wait()), self._wait_again_s)

    def _unpaid(self, tab: Tab) -> End:
        if tab.is_stopped or self._serving.charging is None:
            return End("stopped", "")
        if tab.is_worn_out:
            return End("unpaid", WORN_OUT)
        if tab.is_exhausted:
            return End("unpaid", "the channel's money is spent")
        patience_s = self._serving.charging.unpaid_patience_s
        return End("unpaid", f"no voucher for what was sent within {patience_s:g} s")

    async def _end(self, end: End) -> None:
        self._answer.reason = end.reason
        await self._serving.say(self._stream, end)

    async def _session(self, stack: AsyncExitStack, price: int, tab: Tab | None) -> UpstreamSession:
        assert self._serving.relaying is not None
        session = self._serving.relaying.upstream.session(self._request, self._request.trail, price, tab)
        return await stack.enter_async_context(session)

    async def _bring(self, session: UpstreamSession, gap: Gap, tab: Tab | None) -> End | None:
        """Wait for what is missing. What cannot be brought is missing, and so is what follows it.

        Nothing is brought for whoever has no credit for it: then why the answer ends.
        """
        reason = f"it did not come in {BRING_S:g} s"
        async with self._waiting():
            if tab is not None and not await self._may_bring(tab):
                return self._unpaid(tab)
            try:
                async with asyncio.timeout(BRING_S):
                    await (session.nodes() if gap.leaf is None else session.leaf(*gap.leaf))
            except TimeoutError:
                self._answer.brings = False
            except NearcastError as error:
                self._answer.brings, reason = False, error.message
        if not self._answer.brings:
            self._serving.telemetry.event("not-brought", root=str(self._request.root), reason=reason)
        return None

    async def _may_bring(self, tab: Tab) -> bool:
        charging, relaying, request = self._serving.charging, self._serving.relaying, self._request
        assert charging is not None
        assert relaying is not None
        if relaying.own(request.root) is not None:  # nobody is paid for it
            return await tab.room(1, charging.unpaid_patience_s)
        leaves_bytes = sum(span.count for span in request.spans) * LEAF_BYTES
        size_bytes = min(AHEAD_LEAVES * LEAF_BYTES, leaves_bytes) if request.spans else LEAF_BYTES
        return await tab.may_bring(size_bytes, charging.unpaid_patience_s)

    def _told(self, end: str, started_s: float) -> None:
        telemetry = self._serving.telemetry
        telemetry.count("served_fetches")
        telemetry.count("served_bytes", self._answer.sent_bytes)
        telemetry.event(
            "served",
            peer=self._serving.peer.hex(),
            root=str(self._request.root),
            path=self._request.path,
            end=end,
            size_bytes=self._answer.sent_bytes,
            seconds=self._serving.clock.monotonic_s() - started_s,
        )
