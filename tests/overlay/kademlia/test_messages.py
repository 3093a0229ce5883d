"""Messages and records: they come back whole, and nothing malformed gets past the parser."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.overlay.kademlia.network import UNIX_S, contact, key, provider_record

from nearcast.errors import RemoteError, UsageError
from nearcast.keys import identity_from_secret, verify
from nearcast.overlay.kademlia.keys import value_key
from nearcast.overlay.kademlia.messages import (
    CONTACTS_PER_ANSWER_MAX,
    NODES,
    PROVIDERS,
    RECORDS_PER_ANSWER_MAX,
    VALUE,
    Find,
    Kept,
    Message,
    Nodes,
    Ping,
    Pong,
    Store,
    fields,
    parse,
)
from nearcast.overlay.kademlia.records import (
    NAME_BYTES_MAX,
    VALUE_BYTES_MAX,
    is_genuine,
    parse_provider,
    parse_value,
    record_fields,
    signed_value,
)
from nearcast.wire import HEADER_BYTES, decode_message, encode_message

OWNER = identity_from_secret(b"o" * 32)
VALUE_RECORD = signed_value(OWNER.endpoint_id, b"site", b"v" * VALUE_BYTES_MAX, 3, UNIX_S, OWNER.sign)
EACH = [
    Ping(1),
    Ping(2, contact(1)),
    Pong(3),
    Find(4, key(1), NODES),
    Find(5, key(1), PROVIDERS, key(2), contact(2, "[2001:db8::1]:4433", "node.example:1")),
    Find(6, key(1), VALUE, None, contact(2)),
    Nodes(7, ()),
    Nodes(8, tuple(contact(number) for number in range(CONTACTS_PER_ANSWER_MAX)), (provider_record(1, key(1)),)),
    Nodes(9, (contact(1),), (VALUE_RECORD,)),
    Store(10, provider_record(2, key(1)), False, contact(3)),
    Store(11, VALUE_RECORD, True),
    Kept(12, True),
    Kept(13, False),
    Pong(14, 4),
    Nodes(15, (contact(1),), (), 5),
    Kept(16, True, 0),
]


@pytest.mark.parametrize("message", EACH, ids=repr)
def test_a_message_comes_back_whole(message: Message) -> None:
    assert parse(decode_message(encode_message(fields(message))[HEADER_BYTES:])) == message


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from("tikwnacrby"), inner, max_size=6),
    max_leaves=20,
)


@given(st.sampled_from(EACH), st.dictionaries(st.sampled_from("tikwnacr"), json_like, max_size=2))
def test_a_garbled_message_is_a_remote_error_or_within_its_bounds(message: Message, changes: dict[str, Any]) -> None:
    try:
        parsed = parse({**fields(message), **changes})
    except RemoteError:
        return
    assert parse(fields(parsed)) == parsed


@given(json_like)
def test_anything_is_parsed_or_refused(value: Any) -> None:
    for parser in (parse, parse_provider, parse_value):
        try:
            parser(value)
        except RemoteError:
            continue


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (EACH[3], {"k": key(1)[:31]}),
        (EACH[3], {"w": "x"}),
        (EACH[3], {"i": -1}),
        (EACH[3], {"i": True}),
        (EACH[4], {"n": b""}),
        (EACH[6], {"c": None}),
        (EACH[7], {"c": [[bytes([number]) * 32, []] for number in range(CONTACTS_PER_ANSWER_MAX + 1)]}),
        (EACH[7], {"r": [record_fields(provider_record(1, key(1)))] * (RECORDS_PER_ANSWER_MAX + 1)}),
        (EACH[9], {"r": None}),
        (EACH[9], {"c": 1}),
        (EACH[11], {"y": 1}),
        (EACH[11], {"t": "z"}),
    ],
)
def test_what_is_out_of_bounds_is_refused(message: Message, change: dict[str, Any]) -> None:
    with pytest.raises(RemoteError):
        parse({**fields(message), **change})


def test_a_record_is_genuine_only_as_it_was_signed() -> None:
    record = provider_record(1, key(1))
    assert is_genuine(record, verify)
    for forged in (
        replace(record, key=key(2)),
        replace(record, sequence=2),
        replace(record, expiry_s=record.expiry_s + 1),
        replace(record, provider=replace(record.provider, addresses=("9.9.9.9:9",))),
        replace(record, provider=replace(record.provider, endpoint_id=contact(9).endpoint_id)),
        replace(record, signature=bytes(64)),
    ):
        assert not is_genuine(forged, verify)
    assert is_genuine(VALUE_RECORD, verify)
    for change in ({"name": b"other"}, {"value": b""}, {"sequence": 4}, {"expiry_s": 1}, {"owner": b"x" * 32}):
        assert not is_genuine(replace(VALUE_RECORD, **change), verify)


def test_a_values_key_is_its_owners() -> None:
    assert VALUE_RECORD.key == value_key(OWNER.endpoint_id, b"site")
    assert VALUE_RECORD.key != value_key(OWNER.endpoint_id, b"other")
    assert VALUE_RECORD.key != value_key(b"x" * 32, b"site")


@pytest.mark.parametrize(
    ("name", "value", "sequence"),
    [(b"", b"", 0), (b"n" * (NAME_BYTES_MAX + 1), b"", 0), (b"n", b"v" * (VALUE_BYTES_MAX + 1), 0), (b"n", b"", -1)],
)
def test_a_value_out_of_bounds_is_not_signed(name: bytes, value: bytes, sequence: int) -> None:
    with pytest.raises(UsageError):
        signed_value(OWNER.endpoint_id, name, value, sequence, UNIX_S, OWNER.sign)
