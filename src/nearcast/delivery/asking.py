"""One request to a peer: a stream, the offer, the frames of the answer, and what a bad end of it means.

A free request that is not wanted any more is cut off. One that is paid is not: what is on its way was sent on credit,
and is verified and paid when it arrives. The peer is told to stop and says its end; DRAIN_S is waited for it. So both
ends count the same bytes, and no credit is lost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from nearcast.delivery.messages import (
    PRICE_FREE,
    End,
    FetchRequest,
    MissingLeaf,
    Offer,
    Refusal,
    Wait,
    parse_answer,
    request_fields,
)
from nearcast.delivery.patience import Patience, PatientFrames, SilentError
from nearcast.delivery.purchase import Purchase
from nearcast.errors import (
    IntegrityError,
    LimitError,
    NearcastError,
    NotFoundError,
    RefusedError,
    RemoteError,
    UnavailableError,
)
from nearcast.tasks import leading_error
from nearcast.transport.base import Connection, PeerAddress
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import decode_message, encode_message

STOP_CODE = 1  # "not wanted any more", to the other side's transport
# One after the other, without a block between them. An honest peer says it twice per stall timeout: two minutes in line
# for a place, ten seconds for a voucher, a minute for what it brings from others (sending.py).
WAITS_MAX = 512
WAIT_S = 200.0
DRAIN_S = 2.0  # for what a peer that was told to stop has sent already; guess: a window of 64 MiB at 32 MB/s


class Asked:
    """One request under way. `awaited_bytes`: how much content it may bring, set aside from the caps."""

    def __init__(
        self, request: FetchRequest, patience: Patience, purchase: Purchase | None, awaited_bytes: int
    ) -> None:
        self.request = request
        self.price = PRICE_FREE
        self.was_sent = False
        self.is_given_up = False
        self._patience = patience
        self._purchase = purchase
        self._awaited_bytes = awaited_bytes
        self._frames: PatientFrames | None = None
        self._deadline_s: float | None = None
        self._alive: Callable[[], None] = _nothing

    async def run(self, pool: ConnectionPool, address: PeerAddress, read: Callable[[], Awaitable[None]]) -> None:
        """Send the request and let `read` take the frames. Cancelled, a paid one ends as the file's head says."""
        if self._purchase is None:
            await self._exchange(pool, address, read)
            return
        self._purchase.ask(self._awaited_bytes)
        try:
            await self._run_paid(pool, address, read, self._purchase)
        finally:
            self._purchase.awaited_no_more(self._awaited_bytes)

    async def next(self) -> bytes | MissingLeaf | None:
        """The next block, or a leaf that the peer lacks; None after the last. Raises what a bad end means."""
        try:
            async with asyncio.timeout_at(self._deadline_s):
                answer = await self._next_answer()
        except TimeoutError:
            return None
        if isinstance(answer, bytes | MissingLeaf):
            return answer
        if isinstance(answer, End):
            if answer.reason == "done" or (answer.reason == "stopped" and self.is_given_up):
                return None
            raise error_of(answer)
        raise RemoteError("it made a second offer")

    def verified(self, size_bytes: int) -> None:
        """A block of the answer is right, so it is paid."""
        if self._purchase is not None:
            come_bytes = min(size_bytes, self._awaited_bytes)
            self._awaited_bytes -= come_bytes
            self._purchase.awaited_no_more(come_bytes)
            self._purchase.verified(size_bytes, self.price)

    def give_up(self) -> bool:
        """The rest is not wanted. Whether to read on all the same, because it is being paid for."""
        if self._purchase is None or (self._frames is not None and not self.price):
            return False
        if not self.is_given_up:
            self.is_given_up = True
            self._deadline_s = asyncio.get_running_loop().time() + DRAIN_S
            self._purchase.channel.give_up(self.request.nonce)
        return True

    async def _run_paid(
        self, pool: ConnectionPool, address: PeerAddress, read: Callable[[], Awaitable[None]], purchase: Purchase
    ) -> None:
        """In a task of its own, which outlives a cancellation of ours by DRAIN_S at most."""
        failure: NearcastError | None = None

        async def exchange() -> None:
            nonlocal failure
            try:
                await self._exchange(pool, address, read)
            except (IntegrityError, LimitError) as error:
                purchase.distrust(error)
                failure = error
            except NearcastError as error:
                failure = error

        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(exchange())
                try:
                    await asyncio.wait([task])
                except asyncio.CancelledError:
                    if self.was_sent and not task.done() and self.give_up():
                        await asyncio.wait([task], timeout=DRAIN_S)
                    task.cancel()
                    raise
        except BaseExceptionGroup as failures:
            raise leading_error(failures) from None
        if failure is not None:
            raise failure

    async def _exchange(self, pool: ConnectionPool, address: PeerAddress, read: Callable[[], Awaitable[None]]) -> None:
        """Over the pool's connection, which is told whether it lives."""
        connection = await pool.get(address)
        self._alive = partial(pool.answered, connection)
        try:
            await self._exchange_over(connection, read)
        except SilentError:
            pool.unanswered(connection, self._patience.stall_timeout_s)
            raise

    async def _exchange_over(self, connection: Connection, read: Callable[[], Awaitable[None]]) -> None:
        """The stream is given up at the end, whatever happens."""
        if self._purchase is not None:
            await self._purchase.channel.ready(connection)
        try:
            async with asyncio.timeout(self._patience.stall_timeout_s):
                stream = await connection.open_stream()
                await stream.send.write(encode_message(request_fields(self.request)))
                await stream.send.finish()
        except TimeoutError:
            raise SilentError(f"it took no request for {self._patience.stall_timeout_s:g} s") from None
        self.was_sent = True
        try:
            frames = PatientFrames(stream.receive, self._patience)
            is_block, payload = await frames.next()
            self._alive()
            if is_block:
                raise RemoteError("a block came where a message was due")
            self.price = self._accepted(parse_answer(decode_message(payload)))
            self._frames = frames
            await read()
        finally:
            await stream.receive.stop(STOP_CODE)

    def _accepted(self, answer: Offer | Refusal | MissingLeaf | Wait | End) -> int:
        """The price of an offer that is as it should be, in units per GiB."""
        if isinstance(answer, Refusal | End):
            raise error_of(answer)
        if not isinstance(answer, Offer):
            raise RemoteError("it began without an offer")
        if self._purchase is not None:
            return self._purchase.accept(self.request.root, answer)
        if answer.price:
            raise RefusedError("it asks for money where none was offered")
        return PRICE_FREE

    async def _next_answer(self) -> bytes | Offer | Refusal | MissingLeaf | End:
        """The next frame that says something."""
        assert self._frames is not None
        loop = asyncio.get_running_loop()
        until_s = loop.time() + WAIT_S
        for _ in range(WAITS_MAX):
            is_block, payload = await self._frames.next()
            self._alive()
            if is_block:
                return payload
            answer = parse_answer(decode_message(payload))
            if not isinstance(answer, Wait):
                return answer
            if loop.time() > until_s:
                break
        raise RemoteError("it only says that one has to wait")


def _nothing() -> None:
    """Before there is a connection."""


def error_of(answer: Refusal | End) -> NearcastError:
    """What a refusal or a bad end means to whoever asked."""
    text = f": {answer.text}" if answer.text else ""
    match answer.reason:
        case "missing":
            return NotFoundError(f"it does not have it{text}")
        case "refused":
            return RefusedError(f"it will not serve this{text}")
        case "price":
            return RefusedError(f"it asks for more money{text}", fix="allow a higher price, or get it from others")
        case "listed":
            return RefusedError(f"it does not serve what is blacklisted{text}")
        case "loop":
            return RefusedError(f"it would have to ask whoever asks it{text}")
        case "unsupported":
            return RemoteError(f"it does not speak this protocol{text}")
        case "busy":
            return UnavailableError(f"it is busy{text}")
        case "credit":
            return UnavailableError(f"it gives no credit on this channel{text}")
        case "unpaid":
            return UnavailableError(f"it waited for payment in vain{text}")
        case "stopped":
            return UnavailableError(f"it stopped, and nobody had told it to{text}")
        case "changed":
            return UnavailableError(f"its file was changed after it was shared{text}")
        case "error":
            return UnavailableError(f"it had an error{text}")
        case "done":
            return RemoteError("it ended at once")
