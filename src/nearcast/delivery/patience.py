"""Reading a stream with a limit on silence, in few large pieces.

What counts is whether any bytes arrive within the stall timeout, not how long a leaf takes: a slow but living link is
never mistaken for a dead one. Reads are exact, and as large as the link has shown to deliver well within the timeout;
every read crosses into the transport and back, which costs more than copying a leaf.
"""

import asyncio

from nearcast.errors import LimitError, RemoteError, UnavailableError
from nearcast.transport.base import ReceiveStream
from nearcast.wire import BLOCK_BYTES_MAX, BLOCK_FLAG, HEADER_BYTES, MESSAGE_BYTES_MAX, READ_AHEAD_BYTES

PIECE_BYTES_FIRST = 64 << 10  # what an unknown link must deliver within the stall timeout: 16 KiB/s at 4 s
PIECE_BYTES_MIN = 16 << 10  # and the slowest one that we put up with: 4 KiB/s
PIECE_BYTES_MAX = 4 << 20  # any frame at once
PIECE_GROWTH = 4  # factor, up or down; guess
QUICK = 1 / 8  # of the stall timeout: a piece that took less could have been larger
SLOW = 1 / 2  # of the stall timeout: a piece that took more should have been smaller


class SilentError(UnavailableError):
    """Nothing at all came for the stall timeout."""


class Patience:
    """How long to wait, and for how much at a time. One per peer: what one stream learns, the next one knows."""

    def __init__(self, stall_timeout_s: float) -> None:
        self.stall_timeout_s = stall_timeout_s
        self.piece_bytes = PIECE_BYTES_FIRST

    def learn(self, duration_s: float) -> None:
        """A full piece took so long."""
        if duration_s < self.stall_timeout_s * QUICK:
            self.piece_bytes = min(PIECE_BYTES_MAX, self.piece_bytes * PIECE_GROWTH)
        elif duration_s > self.stall_timeout_s * SLOW:
            self.piece_bytes = max(PIECE_BYTES_MIN, self.piece_bytes // PIECE_GROWTH)

    def error(self) -> SilentError:
        return SilentError(f"no bytes for {self.stall_timeout_s:g} s")


class PatientFrames:
    """The frames of a stream (wire.py): the same checks as its FrameReader, fewer reads for large blocks.

    A block is always followed by another frame, so a large one is read together with the header behind it.
    """

    def __init__(self, receive: ReceiveStream, patience: Patience) -> None:
        self._receive = receive
        self._patience = patience
        self._buffer = b""
        self._position = 0

    async def next(self) -> tuple[bool, bytes]:
        """(is_block, payload). Raises LimitError on an announced length over the bound, RemoteError when the stream
        ends, UnavailableError when it is silent."""
        word = int.from_bytes(await self._take(HEADER_BYTES), "big")
        is_block, size_bytes = bool(word & BLOCK_FLAG), word & ~BLOCK_FLAG
        limit = BLOCK_BYTES_MAX if is_block else MESSAGE_BYTES_MAX
        if size_bytes > limit:
            raise LimitError(f"a peer announced a frame of {size_bytes} bytes, over the limit of {limit}")
        if is_block and size_bytes - self._buffered() >= READ_AHEAD_BYTES:
            return True, await self._large_block(size_bytes)
        return is_block, await self._take(size_bytes)

    def _buffered(self) -> int:
        return len(self._buffer) - self._position

    async def _large_block(self, size_bytes: int) -> bytes:
        head = self._buffer[self._position :]
        rest = await self._exactly(size_bytes - len(head) + HEADER_BYTES)
        self._buffer, self._position = rest, len(rest) - HEADER_BYTES
        block = rest[:-HEADER_BYTES]
        return head + block if head else block

    async def _take(self, count_bytes: int) -> bytes:
        """So many bytes, few enough to be read ahead."""
        while self._buffered() < count_bytes:
            more = await self._some()
            self._buffer = self._buffer[self._position :] + more
            self._position = 0
        start = self._position
        self._position += count_bytes
        return self._buffer[start : self._position]

    async def _some(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience.stall_timeout_s):
                more = await self._receive.read(READ_AHEAD_BYTES)
        except TimeoutError:
            raise self._patience.error() from None
        if not more:
            raise RemoteError("the stream ended without saying why")
        return more

    async def _exactly(self, count_bytes: int) -> bytes:
        pieces: list[bytes] = []
        while count_bytes:
            piece = await self._piece(min(count_bytes, self._patience.piece_bytes))
            pieces.append(piece)
            count_bytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _piece(self, size_bytes: int) -> bytes:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            async with asyncio.timeout(self._patience.stall_timeout_s):
                piece = await self._receive.read_exactly(size_bytes)
        except TimeoutError:
            raise self._patience.error() from None
        if size_bytes >= self._patience.piece_bytes or size_bytes >= PIECE_BYTES_FIRST:
            self._patience.learn(loop.time() - started_s)
        return piece
