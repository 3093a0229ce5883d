"""Frames: what travels on a stream.

A frame is a 4-byte big-endian header and a payload. The header's top bit says which kind:

    0  a message: deterministic DAG-CBOR, at most MESSAGE_BYTES_MAX
    1  a block: raw bytes that hash to a name the receiver already knows, at most BLOCK_BYTES_MAX

Everything read here comes from strangers: lengths are checked before a byte is allocated, messages are decoded
strictly (only the one encoding that DAG-CBOR gives a value: sorted unique keys, shortest numbers, definite lengths,
no trailing bytes), nesting is bounded.
This file does not know any particular message; delivery/messages.py does.
"""

from typing import Any, Protocol

import libipld

from nearcast.errors import LimitError, RemoteError

HEADER_BYTES = 4
BLOCK_FLAG = 1 << 31
MESSAGE_BYTES_MAX = 256 << 10  # a fetch request with 1,024 spans is about 45 KiB
BLOCK_BYTES_MAX = 2 << 20  # UnixFS: "implementations MUST support blocks of up to 2 MiB"
READ_AHEAD_BYTES = 256 << 10  # one read of the stream; guess: amortises the call over many small blocks


class ByteSource(Protocol):
    """The receiving half of a stream (transport/base.py has the full interface)."""

    async def read(self, limit_bytes: int) -> bytes:
        """Up to `limit_bytes` bytes; b"" at the end of the stream."""

    async def read_exactly(self, count_bytes: int) -> bytes:
        """Exactly `count_bytes` bytes. Raises RemoteError if the stream ends before."""


def encode_message(value: Any) -> bytes:
    """One message frame. The value is made of None, bool, int, float, str, bytes, list and dict with str keys."""
    payload = bytes(libipld.encode_dag_cbor(value))
    if len(payload) > MESSAGE_BYTES_MAX:
        raise LimitError(f"a message of {len(payload)} bytes is over the limit of {MESSAGE_BYTES_MAX}")
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def block_header(size_bytes: int) -> bytes:
    """The 4 bytes that announce a block of `size_bytes`; the block's bytes follow as they are."""
    if size_bytes > BLOCK_BYTES_MAX:
        raise LimitError(f"a block of {size_bytes} bytes is over the limit of {BLOCK_BYTES_MAX}")
    return (BLOCK_FLAG | size_bytes).to_bytes(HEADER_BYTES, "big")


def decode_message(payload: bytes) -> Any:
    """The value of a message payload. Raises RemoteError when it is not strict DAG-CBOR."""
    try:
        value = libipld.decode_dag_cbor(payload)
        canonical = bytes(libipld.encode_dag_cbor(value)) == payload  # libipld lets numbers in a longer form pass
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"malformed message: {error}") from error
    if not canonical:
        raise RemoteError("malformed message: not in the one form that DAG-CBOR gives it")
    return value


class FrameReader:
    """Reads frames from a stream: few large reads for small frames, one exact read for the rest of a large one."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._buffer = b""
        self._position = 0

    async def next(self) -> tuple[bool, bytes] | None:
        """(is_block, payload), or None at a clean end of the stream.

        Raises LimitError on an announced length over the bound, RemoteError when the stream ends inside a frame.
        """
        header = await self._take(HEADER_BYTES, at_start=True)
        if header is None:
            return None
        word = int.from_bytes(header, "big")
        is_block, size_bytes = bool(word & BLOCK_FLAG), word & ~BLOCK_FLAG
        limit = BLOCK_BYTES_MAX if is_block else MESSAGE_BYTES_MAX
        if size_bytes > limit:
            raise LimitError(f"a peer announced a frame of {size_bytes} bytes, over the limit of {limit}")
        payload = await self._take(size_bytes, at_start=False)
        if payload is None:
            raise RemoteError("the stream ended inside a frame")
        return is_block, payload

    async def message(self) -> Any:
        """The next frame, which must be a message. Raises RemoteError otherwise."""
        frame = await self.next()
        if frame is None:
            raise RemoteError("the stream ended where a message was due")
        is_block, payload = frame
        if is_block:
            raise RemoteError("a block came where a message was due")
        return decode_message(payload)

    async def _take(self, count: int, *, at_start: bool) -> bytes | None:
        """`count` bytes, or None when the stream ends (cleanly, if `at_start`)."""
        available = len(self._buffer) - self._position
        if available < count:
            if count - available >= READ_AHEAD_BYTES:
                return await self._take_large(count)
            if not await self._fill(count):
                if at_start and len(self._buffer) == self._position:
                    return None
                raise RemoteError("the stream ended inside a frame")
        start = self._position
        self._position += count
        return self._buffer[start : start + count]

    async def _take_large(self, count: int) -> bytes:
        head = self._buffer[self._position :]
        self._buffer, self._position = b"", 0
        rest = await self._source.read_exactly(count - len(head))
        return head + rest if head else rest

    async def _fill(self, count: int) -> bool:
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < count:
            more = await self._source.read(READ_AHEAD_BYTES)
            if not more:
                self._buffer, self._position = b"".join(parts), 0
                return False
            parts.append(more)
            have += len(more)
        self._buffer, self._position = b"".join(parts), 0
        return True
