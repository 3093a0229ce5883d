"""One direction of a stream within a process: a bounded buffer between a sender and a receiver.

What the sender does (bytes, the end, a reset) reaches the receiver over a Way, in order; what the receiver does (stop)
travels back over the opposite one. `is_over` once nothing more can come of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from nearcast.errors import RemoteError, UnavailableError
from nearcast.transport.memory_way import Way

STREAM_BUFFER_BYTES = 1_250_000  # quinn's default window for one stream: 12.5 MB/s × 100 ms


class Pipe:
    """The state that PipeSender and PipeReceiver share."""

    def __init__(self, way: Way, way_back: Way, on_over: Callable[[], None]) -> None:
        self._way = way
        self._way_back = way_back
        self._on_over = on_over
        self._on_their_way: deque[Callable[[], None]] = deque()
        self._arrival_s = 0.0  # of the newest of them
        self._chunks: deque[bytes] = deque()
        self._head_offset = 0
        self._changed = asyncio.Event()
        self.held_bytes = 0  # sent and not read yet, wherever they are
        self.ended = False  # the sender has finished or reset
        self.sender_failure: str | None = None  # why the sender cannot send
        self.receiver_failure: str | None = None  # why the receiver gets nothing
        self.at_end = False  # the end has arrived
        self.is_over = False

    def later(self, action: Callable[[], None], size_bytes: int = 0) -> None:
        """Do it when it has arrived at the receiver. Whichever arrival comes first takes the oldest action."""
        self._on_their_way.append(action)
        self._arrival_s = self._way.send(self._arrive, size_bytes, self._arrival_s)

    def back(self, action: Callable[[], None]) -> None:
        """Do it when word of it has arrived at the sender."""

        def arrive() -> None:
            action()
            self.wake()

        self._way_back.send(arrive, 0, 0.0)

    def _arrive(self) -> None:
        if self._on_their_way:  # else the connection has ended since
            self._on_their_way.popleft()()
            self.wake()

    def wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Until something happens to this pipe."""
        await self._changed.wait()

    def put(self, chunk: bytes) -> None:
        if self.receiver_failure is None:
            self._chunks.append(chunk)

    def take(self, limit_bytes: int) -> bytes:
        """What has arrived, at most `limit_bytes` of it."""
        parts: list[bytes] = []
        wanted = limit_bytes
        while wanted > 0 and self._chunks:
            part = self._chunks[0][self._head_offset : self._head_offset + wanted]
            parts.append(part)
            wanted -= len(part)
            self._head_offset += len(part)
            if self._head_offset == len(self._chunks[0]):
                self._chunks.popleft()
                self._head_offset = 0
        taken = b"".join(parts)
        self.held_bytes -= len(taken)
        if taken:
            self.wake()
        return taken

    def fail_receiver(self, reason: str) -> None:
        """The receiver gets nothing more, not even what had arrived."""
        if self.receiver_failure is None and not self.at_end:
            self.receiver_failure = reason
            self._chunks.clear()
            self.over()

    def fail_sender(self, reason: str) -> None:
        if self.sender_failure is None:
            self.sender_failure = reason
            self.over()

    def lose_sender(self, reason: str) -> None:
        """The connection has ended at the sender's side; what is on its way is lost."""
        self._on_their_way.clear()
        self.fail_sender(reason)
        self.wake()

    def lose_receiver(self, reason: str) -> None:
        """The connection has ended at the receiver's side."""
        self.fail_receiver(reason)
        self.wake()

    def finish_arrived(self) -> None:
        self.at_end = self.receiver_failure is None

    def over(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._on_over()


class PipeSender:
    """SendStream of transport/base.py; `announce` makes the stream known to the acceptor, once."""

    def __init__(self, pipe: Pipe, announce: Callable[[], None]) -> None:
        self._pipe = pipe
        self._announce = announce

    async def write(self, data: bytes) -> None:
        view = memoryview(data).cast("B")
        position = 0
        while True:
            self._check()
            if position == len(view):
                return
            room = STREAM_BUFFER_BYTES - self._pipe.held_bytes
            if room <= 0:
                await self._pipe.changed()
                continue
            self._announce()
            chunk = bytes(view[position : position + room])
            self._pipe.held_bytes += len(chunk)
            position += len(chunk)
            self._pipe.later(partial(self._pipe.put, chunk), len(chunk))

    async def finish(self) -> None:
        if self._pipe.ended or self._pipe.sender_failure is not None:
            return
        self._announce()
        self._pipe.ended = True
        self._pipe.later(self._pipe.finish_arrived)

    async def reset(self, code: int) -> None:
        if self._pipe.is_over:
            return
        self._announce()
        self._pipe.ended = True
        self._pipe.later(lambda: self._pipe.fail_receiver(f"the peer reset the stream (code {code})"))

    def _check(self) -> None:
        if self._pipe.sender_failure is not None:
            raise UnavailableError(self._pipe.sender_failure)
        if self._pipe.ended:
            raise UnavailableError("this stream was already ended")


class PipeReceiver:
    """ReceiveStream of transport/base.py."""

    def __init__(self, pipe: Pipe, announce: Callable[[], None]) -> None:
        self._pipe = pipe
        self._announce = announce

    async def read(self, limit_bytes: int) -> bytes:
        while True:
            if self._pipe.receiver_failure is not None:
                raise UnavailableError(self._pipe.receiver_failure)
            data = self._pipe.take(limit_bytes)
            if data or limit_bytes == 0:
                return data
            if self._pipe.at_end:
                self._pipe.over()
                return b""
            await self._pipe.changed()

    async def read_exactly(self, count_bytes: int) -> bytes:
        parts: list[bytes] = []
        missing = count_bytes
        while missing > 0:
            part = await self.read(missing)
            if not part:
                raise RemoteError(f"the stream ended {missing} bytes early")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    async def stop(self, code: int) -> None:
        if self._pipe.is_over:
            return
        self._announce()
        self._pipe.at_end = False
        self._pipe.fail_receiver("this stream was stopped by us")
        self._pipe.back(lambda: self._pipe.fail_sender(f"the peer stopped the stream (code {code})"))
        self._pipe.wake()
