"""One payment stream that we opened to a payee: vouchers and stops go out, its word comes in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from nearcast.errors import NearcastError, RefusedError, RemoteError, UnavailableError
from nearcast.payments.messages import (
    Hello,
    Promise,
    Stop,
    Unwelcome,
    Welcome,
    hello_fields,
    parse_answer,
    promise_fields,
    stop_fields,
)
from nearcast.transport.base import Connection, Stream
from nearcast.wire import FrameReader, decode_message, encode_message

SEND_PATIENCE_S: Final = 10.0  # guess: a payee that takes no voucher of 100 bytes for so long does not want any
ANSWERS_MAX: Final = 16  # a payee says one thing, and at the end another
_STOPPED: Final = 0  # the code of a stream that nobody needs any more


class PayStream:
    """It lives until `is_over`. `sent_units`: the highest promise that was handed to the transport.

    `refusal`: why the payee will not have it; None while it will, or when the stream just broke.
    """

    def __init__(self, connection: Connection, stream: Stream, promise: Promise) -> None:
        self.connection = connection
        self.sent_units = promise.units
        self.is_over = False
        self.refusal: NearcastError | None = None
        self._stream = stream
        self._writing = asyncio.Lock()
        self._heard_all = asyncio.Event()

    @classmethod
    async def open(cls, connection: Connection, hello: Hello) -> "PayStream":
        """Say hello on a new stream. UnavailableError when the connection is gone, or the payee allows no stream."""
        try:
            async with asyncio.timeout(SEND_PATIENCE_S):
                stream = await connection.open_stream()
        except TimeoutError:
            raise UnavailableError(f"the payee let no payment stream be opened for {SEND_PATIENCE_S:g} s") from None
        opened = cls(connection, stream, hello.promise)
        if not await opened._write(hello_fields(hello)):
            raise UnavailableError("the connection to the payee broke")
        return opened

    @property
    def lives(self) -> bool:
        return not self.is_over and not self.connection.is_closed

    @property
    def is_refused(self) -> bool:
        """Whether the payee said no, and would say it again over this connection."""
        return self.refusal is not None and not self.connection.is_closed

    async def send(self, promise: Promise) -> None:
        """A voucher. A stream that cannot take it is over."""
        if await self._write(promise_fields(promise)):
            self.sent_units = max(self.sent_units, promise.units)

    async def send_stop(self, nonce: bytes) -> None:
        """One answer is not wanted any more."""
        await self._write(stop_fields(Stop(nonce)))

    async def listen(
        self,
        welcomed: Callable[[Welcome], Awaitable[None]],
        refused: Callable[[RefusedError], Awaitable[None]],
    ) -> None:
        """Hear the payee until the stream is over; never raises.

        `welcomed` may raise RefusedError. `refused`: the payee wants no more of us, but what is due is still taken.
        """
        frames = FrameReader(self._stream.receive)
        try:
            for _ in range(ANSWERS_MAX):
                frame = await frames.next()
                if frame is None:
                    return
                await self._hear(frame, welcomed)
            raise RemoteError("the payee talks without end on a payment stream")
        except RefusedError as error:
            self.refusal = error
            await refused(error)
        except RemoteError as error:
            self.refusal = error
        except UnavailableError:
            pass
        finally:
            await self._end()

    async def close(self, patience_s: float) -> None:
        """Say that no more follows, and give the payee so long to have read all of it.

        Closing a connection loses what is in flight; that the payee ended its half too says that it has everything.
        """
        try:
            async with asyncio.timeout(patience_s):
                async with self._writing:
                    await self._stream.send.finish()
                await self._heard_all.wait()
        except (TimeoutError, UnavailableError):
            return

    async def _hear(self, frame: tuple[bool, bytes], welcomed: Callable[[Welcome], Awaitable[None]]) -> None:
        is_block, payload = frame
        if is_block:
            raise RemoteError("a block came where a payee's word was due")
        answer = parse_answer(decode_message(payload))
        match answer:
            case Welcome():
                await welcomed(answer)
            case Unwelcome(text):
                raise RefusedError(f"the node takes no payment on this channel: {text}")

    async def _write(self, fields: dict[str, Any]) -> bool:
        """Whether it was handed over."""
        if self.is_over:
            return False
        try:
            async with asyncio.timeout(SEND_PATIENCE_S), self._writing:
                await self._stream.send.write(encode_message(fields))
        except (TimeoutError, UnavailableError):
            self.is_over = True
            return False
        return True

    async def _end(self) -> None:
        self.is_over = True
        self._heard_all.set()
        try:
            await self._stream.receive.stop(_STOPPED)
            async with self._writing:
                await self._stream.send.finish()
        except UnavailableError:
            return
