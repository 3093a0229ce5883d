"""Frames read patiently: the same frames however the bytes arrive, bounded, and an error where the stream is silent."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.delivery.world import run

from nearcast.delivery.large_buffers import keep_large_buffers
from nearcast.delivery.patience import (
    PIECE_BYTES_FIRST,
    PIECE_BYTES_MAX,
    PIECE_BYTES_MIN,
    Patience,
    PatientFrames,
)
from nearcast.errors import LimitError, RemoteError, UnavailableError
from nearcast.wire import BLOCK_BYTES_MAX, BLOCK_FLAG, block_header, encode_message


class Arriving:
    """A ReceiveStream whose bytes come in the given portions; silent afterwards, or at its end."""

    def __init__(self, data: bytes, portion_bytes: int, *, ends: bool = True) -> None:
        self._data = data
        self._portion_bytes = portion_bytes
        self._ends = ends
        self.reads = 0

    async def read(self, limit_bytes: int) -> bytes:
        self.reads += 1
        if not self._data and not self._ends:
            await asyncio.Event().wait()
        size = min(limit_bytes, self._portion_bytes)
        portion, self._data = self._data[:size], self._data[size:]
        return portion

    async def read_exactly(self, count_bytes: int) -> bytes:
        self.reads += 1
        if len(self._data) < count_bytes and not self._ends:
            await asyncio.Event().wait()
        if len(self._data) < count_bytes:
            raise RemoteError("the stream ended in the middle")
        portion, self._data = self._data[:count_bytes], self._data[count_bytes:]
        return portion

    async def stop(self, code: int) -> None:
        """Nothing to stop."""


END = encode_message({"end": "done"})


@given(
    sizes=st.lists(st.integers(0, 3000) | st.integers(200_000, 700_000), max_size=6),
    portion_bytes=st.sampled_from([1000, 70_000, 1 << 20]),
)
def test_frames_are_the_same_however_they_arrive(sizes: list[int], portion_bytes: int) -> None:
    blocks = [bytes([number]) * size for number, size in enumerate(sizes)]
    wire = b"".join(block_header(len(block)) + block for block in blocks) + END

    async def main() -> None:
        frames = PatientFrames(Arriving(wire, portion_bytes), Patience(1.0))
        assert [await frames.next() for _ in blocks] == [(True, block) for block in blocks]
        assert (await frames.next())[0] is False
        with pytest.raises(RemoteError):
            await frames.next()

    run(main())


def test_large_blocks_take_one_read_each_once_the_link_is_known() -> None:
    block = bytes(1 << 20)
    stream = Arriving((block_header(len(block)) + block) * 20 + END, 1 << 20)

    async def main() -> None:
        patience = Patience(4.0)
        patience.piece_bytes = PIECE_BYTES_MAX
        frames = PatientFrames(stream, patience)
        for _ in range(20):
            assert await frames.next() == (True, block)
        assert stream.reads <= 22

    run(main())


@pytest.mark.parametrize("cut", [0, 2, 4, 100, 300_000])
def test_a_stream_that_ends_or_falls_silent_anywhere_is_an_error(cut: int) -> None:
    wire = (block_header(400_000) + bytes(400_000))[:cut]

    async def main() -> None:
        with pytest.raises(RemoteError):
            await PatientFrames(Arriving(wire, 1 << 20), Patience(1.0)).next()
        with pytest.raises(UnavailableError, match="no bytes"):
            await PatientFrames(Arriving(wire, 1 << 20, ends=False), Patience(0.05)).next()

    run(main())


@pytest.mark.parametrize("word", [BLOCK_FLAG | (BLOCK_BYTES_MAX + 1), 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_announced_length_over_the_bound_is_refused_before_a_byte_is_read(word: int) -> None:
    async def main() -> None:
        stream = Arriving(word.to_bytes(4, "big") + bytes(1000), 4)
        with pytest.raises(LimitError):
            await PatientFrames(stream, Patience(1.0)).next()
        assert stream.reads == 1

    run(main())


def test_pieces_grow_on_a_quick_link_and_shrink_on_a_slow_one() -> None:
    patience = Patience(4.0)
    assert patience.piece_bytes == PIECE_BYTES_FIRST
    for _ in range(10):
        patience.learn(0.1)
    assert patience.piece_bytes == PIECE_BYTES_MAX
    patience.learn(1.0)
    assert patience.piece_bytes == PIECE_BYTES_MAX
    for _ in range(10):
        patience.learn(3.0)
    assert patience.piece_bytes == PIECE_BYTES_MIN


def test_asking_to_keep_buffers_twice_changes_nothing() -> None:
    assert keep_large_buffers() == keep_large_buffers()
