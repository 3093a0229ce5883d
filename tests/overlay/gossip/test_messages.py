"""What gossip reads: everything that it writes, and nothing else."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import RemoteError
from nearcast.overlay.gossip.messages import (
    CONTACTS_MAX,
    HOPS_MAX,
    ID_BYTES,
    IDS_MAX,
    NONCE_BYTES,
    PAYLOAD_BYTES_MAX,
    ROUND_MAX,
    SNAPSHOT_ANNOUNCEMENTS_MAX,
    Answer,
    Ask,
    Graft,
    Have,
    Join,
    Listen,
    Message,
    Part,
    Prune,
    Push,
    Shuffle,
    Shuffled,
    Snapshot,
    Walk,
    fields,
    parse,
)
from nearcast.transport.base import PeerAddress
from nearcast.wire import decode_message, encode_message

topics = st.sampled_from(["global", "region/eu", "region/us-west-2"])
contacts = st.builds(
    PeerAddress, st.binary(min_size=32, max_size=32), st.sampled_from([(), ("10.0.0.1:4001",), ("[::1]:1", "a.b:2")])
)
lists = st.lists(contacts, max_size=CONTACTS_MAX, unique_by=lambda contact: contact.endpoint_id).map(tuple)
hops = st.integers(0, HOPS_MAX)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
ids = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)
id_lists = st.lists(ids, max_size=IDS_MAX, unique=True).map(tuple)
rounds = st.integers(0, ROUND_MAX)
haves = st.dictionaries(ids, rounds, min_size=1, max_size=IDS_MAX)
snapshots = st.lists(st.binary(min_size=1, max_size=512), max_size=SNAPSHOT_ANNOUNCEMENTS_MAX).map(tuple)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Join, topics, contacts),
    st.builds(Walk, topics, contacts, hops),
    st.builds(Ask, topics, contacts, st.booleans()),
    st.builds(Answer, topics, st.booleans(), lists),
    st.builds(Part, topics, lists),
    st.builds(Shuffle, topics, contacts, lists, hops, nonces),
    st.builds(Shuffled, topics, lists, nonces),
    st.builds(Listen, topics),
    st.builds(Push, topics, rounds, st.binary(min_size=1, max_size=PAYLOAD_BYTES_MAX)),
    st.builds(lambda topic, have: Have(topic, tuple(have), tuple(have.values())), topics, haves),
    st.builds(Graft, topics, id_lists),
    st.builds(Prune, topics),
    st.builds(Snapshot, topics, snapshots, st.integers(0, 86_400).map(float), st.booleans()),
)

VALID: dict[str, dict[str, Any]] = {
    "walk": {"m": "walk", "t": "global", "c": [bytes(32), []], "h": 3},
    "ask": {"m": "ask", "t": "global", "c": [bytes(32), []], "u": True},
    "push": {"m": "push", "t": "global", "r": 1, "b": b"x"},
    "have": {"m": "have", "t": "global", "i": [bytes(16)], "r": [1]},
    "graft": {"m": "graft", "t": "global", "i": []},
    "shuffled": {"m": "shuffled", "t": "global", "l": [], "n": bytes(8)},
    "snapshot": {"m": "snapshot", "t": "global", "l": [], "p": 60, "q": False},
}


@given(messages)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert parse(decode_message(encode_message(fields(message))[4:])) == message


def test_every_kind_is_tried() -> None:
    assert len(get_args(Message)) == 13, "a new message belongs into `messages` above"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_garbage_is_a_remote_error(value: Any) -> None:
    with pytest.raises(RemoteError):
        parse(value)


@given(st.sampled_from(sorted(VALID)), st.data())
def test_one_wrong_field_is_a_remote_error_or_harmless(kind: str, data: st.DataObject) -> None:
    good = VALID[kind]
    parse(good)
    key = data.draw(st.sampled_from(sorted(good)))
    changed = good | {key: data.draw(values)}
    try:
        message = parse(changed)
    except RemoteError:
        return
    assert parse(fields(message)) == message, "what was let through is within every bound"


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("walk", "h", -1),
        ("walk", "h", True),
        ("walk", "t", "Global"),
        ("walk", "t", "region/eu/west"),
        ("walk", "t", "x" * 65),
        ("ask", "u", 1),
        ("push", "b", b""),
        ("push", "b", bytes(PAYLOAD_BYTES_MAX + 1)),
        ("push", "r", ROUND_MAX + 1),
        ("have", "i", [bytes(16), bytes(16)]),
        ("have", "i", []),
        ("have", "r", [1, 2]),
        ("graft", "i", [bytes([number]) * 16 for number in range(IDS_MAX + 1)]),
        ("graft", "i", [bytes(15)]),
        ("shuffled", "l", [[bytes([number]) * 32, []] for number in range(CONTACTS_MAX + 1)]),
        ("shuffled", "n", bytes(7)),
        ("snapshot", "l", [b"x"] * (SNAPSHOT_ANNOUNCEMENTS_MAX + 1)),
        ("snapshot", "l", [bytes(513)]),
        ("snapshot", "p", 1 << 60),
    ],
)
def test_each_bound_is_a_remote_error(kind: str, key: str, value: Any) -> None:
    with pytest.raises(RemoteError):
        parse(VALID[kind] | {key: value})


def test_a_long_walk_is_cut() -> None:
    assert parse(VALID["walk"] | {"h": 60_000}) == Walk("global", PeerAddress(bytes(32)), HOPS_MAX)


def test_unknown_fields_are_ignored() -> None:
    assert parse(VALID["graft"] | {"later": 1}) == Graft("global", ())
