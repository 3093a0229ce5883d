"""What is said is read back the same; what is not of that form raises RemoteError and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import RemoteError
from nearcast.overlay.failure import messages
from nearcast.overlay.failure.messages import Ping, fields, parse
from nearcast.overlay.failure.rumours import INCARNATION_MAX, Alive, Dead, Left, Suspect
from nearcast.transport.base import PeerAddress
from nearcast.wire import decode_message, encode_message

IDS = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(0, INCARNATION_MAX)
CONTACTS = st.builds(
    PeerAddress,
    IDS,
    st.lists(st.sampled_from(["192.0.2.1:1", "[2001:db8::1]:4433", "host.example:80"]), unique=True).map(tuple),
    st.none() | st.just("https://relay.example"),
)
RUMOURS = st.lists(
    st.builds(Alive, CONTACTS, NUMBERS)
    | st.builds(Suspect, IDS, NUMBERS, IDS)
    | st.builds(Dead, IDS, NUMBERS, IDS)
    | st.builds(Left, IDS, NUMBERS),
    max_size=5,
).map(tuple)
COORDINATES = st.none() | st.binary(max_size=100)
MESSAGES = (
    st.builds(messages.Ping, NUMBERS, NUMBERS, RUMOURS, COORDINATES, st.booleans())
    | st.builds(messages.Ack, NUMBERS, NUMBERS, RUMOURS, COORDINATES)
    | st.builds(messages.PingRequest, NUMBERS, NUMBERS, IDS, RUMOURS)
    | st.builds(messages.IndirectAck, NUMBERS)
    | st.builds(messages.Nack, NUMBERS)
    | st.builds(messages.Gossip, NUMBERS, RUMOURS)
    | st.builds(messages.SyncRequest, st.builds(Alive, CONTACTS, NUMBERS), st.binary(min_size=512, max_size=512))
    | st.builds(
        messages.SyncAnswer, NUMBERS, st.lists(st.integers(0, 63), unique=True).map(bytes), RUMOURS, st.booleans()
    )
    | st.builds(messages.Heartbeats, st.lists(st.tuples(CONTACTS, NUMBERS), max_size=5).map(tuple))
)


@given(MESSAGES)
def test_what_is_said_is_read_back(message: messages.FailureMessage) -> None:
    assert parse(decode_message(encode_message(fields(message))[4:])) == message


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from([*"paqingseh", "x"]), st.dictionaries(st.sampled_from([*"nircfmdbowh"]), JUNK), JUNK)
def test_junk_is_refused_and_nothing_else_happens(kind: str, junk: dict[str, Any], other: Any) -> None:
    for value in (other, {**junk, "t": kind}):
        try:
            message = parse(value)
        except RemoteError:
            continue
        assert fields(message)["t"] == value["t"]


@given(MESSAGES, st.data())
def test_a_message_with_one_wrong_field_is_refused_or_still_in_bounds(
    message: messages.FailureMessage, data: st.DataObject
) -> None:
    value = fields(message)
    key = data.draw(st.sampled_from(sorted(value)))
    value[key] = data.draw(JUNK)
    try:
        read = parse(value)
    except RemoteError:
        return
    assert parse(fields(read)) == read


SUSPECT = [1, bytes(32), 0, bytes(32)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"t": "p"},
        {"t": "p", "n": -1, "i": 0},
        {"t": "p", "n": True, "i": 0},
        {"t": "p", "n": 0, "i": (1 << 53) + 1},
        {"t": "p", "n": 0, "i": 0, "c": bytes(101)},
        {"t": "p", "n": 0, "i": 0, "f": 1},
        {"t": "p", "n": 0, "i": 0, "r": [SUSPECT] * 257},
        {"t": "p", "n": 0, "i": 0, "r": [[4, bytes(32), 0]]},
        {"t": "p", "n": 0, "i": 0, "r": [[1, bytes(31), 0, bytes(32)]]},
        {"t": "p", "n": 0, "i": 0, "r": [[1, bytes(32), 0]]},
        {"t": "p", "n": 0, "i": 0, "r": [[0, [bytes(32), []], -1]]},
        {"t": "p", "n": 0, "i": 0, "r": [[False, [bytes(32), []], 0]]},
        {"t": "q", "n": 0, "i": 0, "m": bytes(33)},
        {"t": "s", "o": SUSPECT, "d": bytes(512)},
        {"t": "s", "o": [0, [bytes(32), []], 0], "d": bytes(511)},
        {"t": "e", "i": 0, "b": b"\x40", "w": False},
        {"t": "e", "i": 0, "b": b"\x01\x01", "w": False},
        {"t": "h", "h": [[[bytes(32), []], 0, 0]]},
        {"t": "h", "h": [[[bytes(32), []], 0]] * 1025},
    ],
)
def test_what_is_out_of_bounds_is_refused(value: Any) -> None:
    with pytest.raises(RemoteError):
        parse(value)


def test_many_long_contacts_are_refused() -> None:
    long = [0, [bytes(32), [f"{'a' * 60}{n:x}.example:4433" for n in range(12)]], 0]
    with pytest.raises(RemoteError, match="bytes"):
        parse({"t": "g", "i": 0, "r": [long] * 90})


def test_fields_of_later_versions_are_ignored() -> None:
    assert parse({"t": "p", "n": 1, "i": 2, "z": 3}) == Ping(1, 2)
