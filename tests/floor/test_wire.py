"""Frames from strangers: whatever arrives, FrameReader yields frames or raises ours, and asks for bounded reads."""

import asyncio
from typing import Any

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day

from nearcast.errors import LimitError, NearcastError, RemoteError
from nearcast.wire import (
    BLOCK_BYTES_MAX,
    BLOCK_FLAG,
    MESSAGE_BYTES_MAX,
    READ_AHEAD_BYTES,
    FrameReader,
    block_header,
    decode_message,
    encode_message,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20) | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)


class Source:
    """A stream of `data` that arrives `step` bytes at a time, and remembers how much was asked for at once."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = data
        self._step = step
        self._position = 0
        self.asked_bytes_max = 0

    async def read(self, limit_bytes: int) -> bytes:
        self.asked_bytes_max = max(self.asked_bytes_max, limit_bytes)
        part = self._data[self._position : self._position + min(limit_bytes, self._step)]
        self._position += len(part)
        return part

    async def read_exactly(self, count_bytes: int) -> bytes:
        self.asked_bytes_max = max(self.asked_bytes_max, count_bytes)
        part = self._data[self._position : self._position + count_bytes]
        self._position += len(part)
        if len(part) < count_bytes:
            raise RemoteError("the stream ended early")
        return part


async def all_frames(source: Source) -> list[tuple[bool, bytes]]:
    reader, frames = FrameReader(source), []
    while (frame := await reader.next()) is not None:
        frames.append(frame)
    return frames


def read_all(data: bytes, step: int = 1 << 30) -> list[tuple[bool, bytes]]:
    return asyncio.run(all_frames(Source(data, step)))


@by_day(150)
@given(st.binary(max_size=300), st.integers(1, 40))
def test_arbitrary_bytes_end_in_frames_or_in_our_errors(data: bytes, step: int) -> None:
    source = Source(data, step)
    try:
        frames = asyncio.run(all_frames(source))
    except NearcastError:
        pass
    else:
        assert sum(4 + len(payload) for _, payload in frames) == len(data)
        for is_block, payload in frames:
            if not is_block:
                try:
                    decode_message(payload)
                except NearcastError:
                    continue
    assert source.asked_bytes_max <= BLOCK_BYTES_MAX


@by_day(100)
@given(st.lists(st.tuples(st.booleans(), VALUES, st.binary(max_size=400)), max_size=8), st.integers(1, 500))
def test_what_is_sent_is_what_arrives(frames: list[tuple[bool, Any, bytes]], step: int) -> None:
    sent = b"".join(
        block_header(len(block)) + block if is_block else encode_message(value) for is_block, value, block in frames
    )
    received = read_all(sent, step)
    assert [is_block for is_block, _ in received] == [is_block for is_block, _, _ in frames]
    for (is_block, value, block), (_, payload) in zip(frames, received, strict=True):
        assert payload == block if is_block else decode_message(payload) == value


@pytest.mark.parametrize("size", [READ_AHEAD_BYTES - 1, READ_AHEAD_BYTES, READ_AHEAD_BYTES + 5, BLOCK_BYTES_MAX])
@pytest.mark.parametrize("step", [1000, 1 << 30])
def test_large_blocks_between_small_messages(size: int, step: int) -> None:
    block = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sent = encode_message({"a": 1}) + block_header(size) + block + encode_message({"b": 2})
    assert [payload if is_block else decode_message(payload) for is_block, payload in read_all(sent, step)] == [
        {"a": 1},
        block,
        {"b": 2},
    ]


@pytest.mark.parametrize(
    "word", [MESSAGE_BYTES_MAX + 1, BLOCK_FLAG - 1, BLOCK_FLAG | (BLOCK_BYTES_MAX + 1), 0xFFFF_FFFF]
)
def test_an_announced_length_over_the_bound_allocates_nothing(word: int) -> None:
    source = Source(word.to_bytes(4, "big"), 4)
    with pytest.raises(LimitError):
        asyncio.run(all_frames(source))
    assert source.asked_bytes_max <= READ_AHEAD_BYTES


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 400, 300_000])
def test_a_stream_that_ends_inside_a_frame(cut: int) -> None:
    whole = block_header(500_000) + bytes(500_000)
    with pytest.raises(RemoteError):
        read_all(whole[:cut], 7000)


def test_our_own_side_keeps_the_bounds_too() -> None:
    with pytest.raises(LimitError):
        encode_message(bytes(MESSAGE_BYTES_MAX))
    with pytest.raises(LimitError):
        block_header(BLOCK_BYTES_MAX + 1)


def test_a_message_is_due() -> None:
    async def message(data: bytes) -> Any:
        return await FrameReader(Source(data, 100)).message()

    assert asyncio.run(message(encode_message([1, "two"]))) == [1, "two"]
    for data in (b"", block_header(1) + b"x", (3).to_bytes(4, "big") + b"\xff\xff\xff"):
        with pytest.raises(RemoteError):
            asyncio.run(message(data))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01\x01",  # trailing bytes
        b"\x18\x01",  # a number not in its shortest form
        b"\xa2\x61b\x01\x61a\x02",  # keys out of order
        b"\xa2\x61a\x01\x61a\x02",  # a key twice
        b"\x9f\x01\xff",  # indefinite length
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",  # a list that claims 2^64 items
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",  # a byte string that claims 2^63 bytes
        b"\x81" * 200_000 + b"\x01",  # nested without end
        b"\xf9\x7e\x00",  # a half-precision NaN
        b"\xd8\x2a\x41\x00",  # a link that is no CID
        b"\x61\xff",  # text that is not UTF-8
    ],
)
def test_cbor_that_is_not_strict_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteError):
        decode_message(payload)


@by_day(150)
@given(VALUES)
def test_messages_have_one_encoding(value: Any) -> None:
    payload = encode_message(value)[4:]
    assert bytes(libipld.encode_dag_cbor(decode_message(payload))) == payload
