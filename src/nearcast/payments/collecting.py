"""The payee's end of one payment stream: vouchers come in until somebody ends it."""

import asyncio
from typing import Final

from nearcast.clock import Clock
from nearcast.errors import NearcastError, RemoteError, StoreError, UnavailableError
from nearcast.payments.customer import Customer
from nearcast.payments.messages import (
    Promise,
    Stop,
    Unwelcome,
    Welcome,
    answer_fields,
    parse_payers_word,
)
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Stream
from nearcast.wire import FrameReader, decode_message, encode_message

# One voucher costs us 0.1 ms. A payer signs eight times per window: 1 GB/s at the largest window is 120 a second, and
# while the window grows from its least to its largest there are about 100 at once.
WORDS_PER_S_MAX: Final = 200
WORDS_AT_ONCE_MAX: Final = 400
SLOW_READER_S: Final = 10.0  # a payer that does not read an answer of 100 bytes in so long is gone; guess
LINGER_S: Final = 2.0  # after we said that there is no more credit: a last voucher may be on its way; guess


class PayStream:
    """One stream, from its greeting on."""

    def __init__(self, stream: Stream, frames: FrameReader, clock: Clock, telemetry: Telemetry) -> None:
        self._stream = stream
        self._frames = frames
        self._clock = clock
        self._telemetry = telemetry
        self._end = asyncio.Event()
        self._reason: str | None = None  # what the payer is told at the end
        self._words = float(WORDS_AT_ONCE_MAX)
        self._words_at_s = clock.monotonic_s()

    def end(self, reason: str) -> None:
        """Say so and end it."""
        self._reason = self._reason or reason
        self._end.set()

    async def refuse(self, reason: str) -> None:
        """Say so instead of a welcome; never raises."""
        try:
            await self._say(Unwelcome(reason))
            await self._stream.send.finish()
        except (NearcastError, TimeoutError):
            self._telemetry.count("payers_gone")

    async def run(self, customer: Customer, peer: bytes) -> None:
        """Welcome the payer and take its words until it ends the stream or is to hear no more. Never raises."""
        try:
            await self._say(Welcome(customer.promise, customer.account.capacity_units))
            await self._take_until_end(customer, peer)
        except (NearcastError, TimeoutError):
            self._telemetry.count("payers_gone")

    async def _take_until_end(self, customer: Customer, peer: bytes) -> None:
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(self._take(customer, peer))
            ending = group.create_task(self._end.wait())
            await asyncio.wait([taking, ending], return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if self._reason is None:
                await self._bid_farewell(customer)
                return
            await self.refuse(self._reason)
            await asyncio.wait([taking], timeout=LINGER_S)
            if not taking.done():
                taking.cancel()
                await self._stream.receive.stop(0)

    async def _bid_farewell(self, customer: Customer) -> None:
        """The payer has ended its half. That we end ours tells it that every voucher is on disk."""
        try:
            await customer.until_written(customer.promise.units)
        except StoreError:
            return
        await self._stream.send.finish()

    async def _take(self, customer: Customer, peer: bytes) -> None:
        """Word after word. What is wrong with one is the reason why the stream ends."""
        try:
            while (frame := await self._frames.next()) is not None:
                is_block, payload = frame
                if is_block:
                    raise RemoteError("a block has no place on a payment stream")
                await self._slow_down()
                match parse_payers_word(decode_message(payload)):
                    case Promise() as promise:
                        await customer.accept(promise)
                    case Stop(nonce):
                        customer.stop(nonce=nonce, peer=peer)
        except RemoteError as error:
            self._telemetry.count("pay_streams_broken")
            self._reason = self._reason or error.message
        except UnavailableError:
            self._telemetry.count("payers_gone")

    async def _slow_down(self) -> None:
        """No payer gets more than its share of our time: who says more than its words is read later."""
        now_s = self._clock.monotonic_s()
        self._words = min(WORDS_AT_ONCE_MAX, self._words + (now_s - self._words_at_s) * WORDS_PER_S_MAX) - 1
        self._words_at_s = now_s
        if self._words < 0:
            await asyncio.sleep(-self._words / WORDS_PER_S_MAX)

    async def _say(self, answer: Welcome | Unwelcome) -> None:
        async with asyncio.timeout(SLOW_READER_S):
            await self._stream.send.write(encode_message(answer_fields(answer)))
