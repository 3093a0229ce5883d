"""Where every byte of a file lies, for uniform and for uneven leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.content import leaves as leaves_module
from nearcast.content.cid import raw_cid
from nearcast.content.leaves import leaf_table
from nearcast.errors import LimitError


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_every_byte_lies_in_the_leaf_that_spans_it(sizes: list[int]) -> None:
    table = leaf_table(b"".join(bytes([number]) * 32 for number in range(len(sizes))), sizes)
    assert len(table) == len(sizes)
    assert table.size_bytes == sum(sizes)
    position = 0
    for index, size in enumerate(sizes):
        assert table.span(index) == (position, size)
        assert table.cid(index) == raw_cid(bytes([index]) * 32)
        assert {table.leaf_at(position), table.leaf_at(position + size - 1)} == {index}
        position += size
    assert table.covering(0, table.size_bytes) == (0, len(sizes))
    assert table.covering(3, 3) == (0, 0)


def test_offsets_are_kept_only_where_they_are_needed() -> None:
    assert leaf_table(bytes(96), [4, 4, 2]).offsets is None
    assert leaf_table(bytes(96), [4, 2, 4]).offsets is not None
    assert leaf_table(bytes(96), [2, 2, 4]).offsets is not None
    assert leaf_table(bytes(32), [0]).span(0) == (0, 0)


def test_too_many_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves_module, "LEAVES_MAX", 3)
    with pytest.raises(LimitError):
        leaf_table(bytes(128), [1] * 4)
