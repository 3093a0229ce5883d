"""Range headers, by the table and by the thousand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.gateways.http.ranges import ByteRange, UnsatisfiableRangeError, select_range


@pytest.mark.parametrize(
    ("header", "size_bytes", "expected"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=0-9", 10, (0, 10)),
        ("bytes=0-99", 10, (0, 10)),
        ("bytes=5-", 10, (5, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-30", 10, (0, 10)),
        ("BYTES = 2-3 ", 10, (2, 4)),
        ("bytes=9223372036854775806-9223372036854775807", 1 << 63, (9223372036854775806, 1 << 63)),
    ],
)
def test_single_ranges(header: str, size_bytes: int, expected: tuple[int, int]) -> None:
    assert select_range(header, size_bytes) == ByteRange(*expected)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=0-1,4-5",
        "lines=0-1",
        "bytes=0x1-2",
        "bytes 0-1",
        "bytes=\u0661-\u0662",
        "bytes=--1",
        "bytes=0-999999999999999999999999999999",
        "bytes=0-1\n",
    ],
)
def test_what_is_no_single_range_is_ignored(header: str | None) -> None:
    assert select_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size_bytes"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_ranges_behind_the_end(header: str, size_bytes: int) -> None:
    with pytest.raises(UnsatisfiableRangeError) as raised:
        select_range(header, size_bytes)
    assert raised.value.size_bytes == size_bytes


def test_the_suffix_of_an_empty_file_is_the_whole_file() -> None:
    assert select_range("bytes=-5", 0) is None


def test_content_range_counts_both_ends() -> None:
    assert ByteRange(2, 5).content_range(9) == "bytes 2-4/9"


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_range_is_what_slicing_gives(first: int, last: int, size_bytes: int) -> None:
    data = bytes(range(size_bytes))
    try:
        chosen = select_range(f"bytes={first}-{last}", size_bytes)
    except UnsatisfiableRangeError:
        assert first >= size_bytes
        return
    if chosen is None:
        assert last < first
    else:
        assert data[chosen.start : chosen.end] == data[first : last + 1] != b""


@given(st.text(max_size=40), st.integers(0, 1 << 40))
def test_no_header_breaks_it(header: str, size_bytes: int) -> None:
    for text in (header, "bytes=" + header):
        try:
            chosen = select_range(text, size_bytes)
        except UnsatisfiableRangeError:
            continue
        assert chosen is None or 0 <= chosen.start < chosen.end <= size_bytes
