"""The codec of all protocols: every kind of message there and back, and anything else is the peer's fault."""

from typing import Any, get_args

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.overlay.overlay_messages import ID, MESSAGES, OTHER

from nearcast.errors import LimitError, RemoteError
from nearcast.overlay import codec
from nearcast.overlay.gossip import messages as gossip
from nearcast.wire import HEADER_BYTES, encode_message

PROTOCOLS = ["dht", "gossip", "swim", "rtt"]
WORDS: list[Any] = [ID, OTHER, bytes(8), bytes(16), bytes(64), "global", "region/eu", "n", "p", "join", "push"]
ATOMS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-1, 1 << 62) | st.floats(allow_nan=False, allow_infinity=False)
)
ATOMS = ATOMS | st.text(max_size=8) | st.binary(max_size=8) | st.sampled_from(WORDS)
KEYS = st.sampled_from([*"abcdefghilmnoprtuwxy", "ok"])
VALUES = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=4))


def test_every_kind_of_message_is_here() -> None:
    assert set(codec.PROTOCOL_OF) == set(get_args(codec.Message))
    assert {type(message) for message in MESSAGES} == set(codec.PROTOCOL_OF)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__qualname__)
def test_what_is_written_is_read_back(message: codec.Message) -> None:
    frame = codec.frame(message)
    assert codec.size_bytes(message) == len(frame)
    assert codec.parse_payload(frame[HEADER_BYTES:]) == message
    assert codec.frame(codec.parse_payload(frame[HEADER_BYTES:])) == frame


def test_the_bound_holds_on_both_ends() -> None:
    payload = bytes(4096)
    snapshot = gossip.Snapshot("global", (payload,) * 32, 60.0, False)
    with pytest.raises(LimitError):
        codec.frame(snapshot)
    with pytest.raises(LimitError):
        codec.parse_payload(bytes(codec.MESSAGE_BYTES_MAX))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_the_peers_fault(payload: bytes) -> None:
    try:
        message = codec.parse_payload(payload)
    except RemoteError:
        return
    assert codec.frame(message)


@given(st.sampled_from(PROTOCOLS) | ATOMS, VALUES | st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_value_is_a_message_or_the_peers_fault(protocol: Any, value: Any) -> None:
    read({"p": protocol, "m": value})


@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_with_one_field_changed_is_a_message_or_the_peers_fault(message: codec.Message, data: Any) -> None:
    fields = codec.fields(message)
    key = data.draw(st.sampled_from(sorted(fields["m"])))
    changed = fields["m"] | {key: data.draw(VALUES)}
    if data.draw(st.booleans()):
        del changed[key]
    read({"p": fields["p"], "m": changed})


@given(st.sampled_from(MESSAGES), st.data())
def test_a_frame_with_one_byte_changed_is_a_message_or_the_peers_fault(message: codec.Message, data: Any) -> None:
    payload = bytearray(codec.frame(message)[HEADER_BYTES:])
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        codec.parse_payload(bytes(payload))
    except RemoteError:
        return


def read(value: Any) -> None:
    """As a stranger's frame; what comes out can be written."""
    try:
        payload = encode_message(value)[HEADER_BYTES:]
    except (ValueError, OverflowError):
        return  # not DAG-CBOR at all
    try:
        message = codec.parse_payload(payload)
    except RemoteError:
        return
    assert libipld.decode_dag_cbor(codec.frame(message)[HEADER_BYTES:])["p"] == value["p"]
