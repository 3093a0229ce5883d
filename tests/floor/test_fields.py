"""The readers of strangers' fields: each gives back what is in its type and bounds, and refuses everything else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import RemoteError
from nearcast.fields import (
    WORDS_CHARACTERS_MAX,
    boolean_of,
    bytes_of,
    bytes_within,
    choice_of,
    exactly,
    integer_of,
    list_of,
    map_of,
    words_of,
)

CHOICES = {"nodes": 1, "leaves": 2}
# What DAG-CBOR can hold, and lists and maps of it. Small ones, so that the bounds below are met and missed often.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 12),
    st.floats(),
    st.binary(max_size=9),
    st.text(max_size=9),
)
values = st.recursive(
    scalars | st.sampled_from(sorted(CHOICES)),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
bounds = st.integers(0, 8)


def is_exactly(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def check(read: Callable[[], object], expected: object, *, is_right: bool) -> None:
    """`read` gives `expected` itself where that is right, and a line about the field called "it" otherwise."""
    if is_right:
        assert read() is expected
        return
    with pytest.raises(RemoteError) as raised:
        read()
    message = raised.value.message
    assert message.startswith("malformed message: it is ")
    assert ", not " in message
    assert message.isprintable()
    assert len(message) < 120


@given(values, bounds)
def test_a_number_is_whole_and_within_its_bounds(value: Any, maximum: int) -> None:
    is_right = is_exactly(value, int) and 0 <= value <= maximum
    check(lambda: integer_of(value, "it", maximum), value, is_right=is_right)


@given(values)
def test_a_flag_is_true_or_false(value: Any) -> None:
    check(lambda: boolean_of(value, "it"), value, is_right=value is True or value is False)


@given(values, bounds, bounds)
def test_bytes_have_their_length(value: Any, one: int, other: int) -> None:
    low, high = sorted((one, other))
    is_bytes = isinstance(value, bytes)
    check(lambda: bytes_of(value, "it", one), value, is_right=is_bytes and len(value) == one)
    check(lambda: bytes_within(value, "it", low, high), value, is_right=is_bytes and low <= len(value) <= high)


@given(values, bounds)
def test_a_list_has_its_length(value: Any, count: int) -> None:
    is_list = isinstance(value, list)
    check(lambda: list_of(value, "it", count), value, is_right=is_list and len(value) <= count)
    check(lambda: exactly(value, "it", count), value, is_right=is_list and len(value) == count)


@given(values)
def test_a_map_is_a_map(value: Any) -> None:
    check(lambda: map_of(value, "it"), value, is_right=isinstance(value, dict))


@given(values)
def test_a_choice_is_one_of_the_choices(value: Any) -> None:
    is_right = isinstance(value, str) and value in CHOICES
    check(lambda: choice_of(value, "it", CHOICES), CHOICES[value] if is_right else None, is_right=is_right)


@given(values | st.text(min_size=WORDS_CHARACTERS_MAX))
def test_a_strangers_words_are_short_and_do_not_move_the_terminal(value: Any) -> None:
    if not isinstance(value, str):
        check(lambda: words_of(value, "it"), None, is_right=False)
        return
    words = words_of(value, "it")
    assert len(words) == min(len(value), WORDS_CHARACTERS_MAX)
    assert not words or words.isprintable()
    assert all(told in (" ", letter) for told, letter in zip(words, value, strict=False))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "missing"),
        (True, "true"),
        (9, "9"),
        (-1, "-1"),
        (1 << 64, "a huge number"),
        (-1 << 64, "a huge number"),
        (1.5, "of the type float"),
        (b"\x1b[2J", "4 bytes"),
        ("\x1b[2J", "a text of 4 characters"),
        ([1], "a list of 1"),
        ({"a": 1}, "a map of 1"),
    ],
)
def test_the_error_says_what_came_and_what_was_due(value: Any, told: str) -> None:
    with pytest.raises(RemoteError) as raised:
        integer_of(value, "the load", 8)
    assert raised.value.message == f"malformed message: the load is {told}, not a whole number from 0 to 8"


def test_a_number_too_long_to_print_is_refused_like_any_other() -> None:
    with pytest.raises(RemoteError, match="a huge number"):
        integer_of(1 << 20_000, "the load", 8)  # str() of it raises ValueError
