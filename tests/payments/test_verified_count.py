"""What a payer leaves behind for the process after it. That it is signed for then: test_purse_killed.py."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.payments.counts import held_count

CHANNEL = bytes(range(32))
PARTS_MAX = (1 << 112) << 30  # the most that a channel can hold


@given(st.lists(st.integers(0, PARTS_MAX), min_size=1, max_size=4))
def test_the_newest_count_is_read_by_the_next_holder(counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with held_count(Path(folder), CHANNEL) as count:
            assert count.read() == 0
            for parts in counts:
                count.note(parts)
        with held_count(Path(folder), CHANNEL) as count:
            assert count.read() == counts[-1]


@given(st.binary(max_size=100))
def test_what_nobody_wrote_counts_as_nothing(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{CHANNEL.hex()}.lock").write_bytes(data)
        with held_count(Path(folder), CHANNEL) as count:
            assert count.read() == 0


def test_a_count_that_was_torn_counts_as_nothing(tmp_path: Path) -> None:
    with held_count(tmp_path, CHANNEL) as count:
        count.note(1 << 40)
    path = tmp_path / f"{CHANNEL.hex()}.lock"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with held_count(tmp_path, CHANNEL) as count:
            assert count.read() == 0
        path.write_bytes(whole[:size] + bytes([whole[size] ^ 1]) + whole[size + 1 :])
        with held_count(tmp_path, CHANNEL) as count:
            assert count.read() == 0


def test_only_the_holder_has_it(tmp_path: Path) -> None:
    with held_count(tmp_path, CHANNEL), pytest.raises(AssertionError), held_count(tmp_path, CHANNEL):
        pass
