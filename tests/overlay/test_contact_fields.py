"""Contacts inside messages: what is written is read back, and whatever else comes is refused as the peer's fault."""

from typing import Any

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import RemoteError
from nearcast.overlay.contact_fields import (
    ADDRESS_CHARACTERS_MAX,
    CONTACT_CHARACTERS_MAX,
    contact_fields,
    parse_contact,
    parse_contacts,
)
from nearcast.overlay.peers import ADDRESSES_MAX
from nearcast.transport.base import PeerAddress

ID = bytes(range(32))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=40) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "contact",
    [
        PeerAddress(ID),
        PeerAddress(ID, ("192.0.2.1:4001", "[2001:db8::1]:4001", "node.example:1")),
        PeerAddress(ID, ("192.0.2.1:4001",), "https://relay.example:443/path"),
        PeerAddress(ID, (), "https://relay.example"),
    ],
)
def test_what_is_written_is_read_back(contact: PeerAddress) -> None:
    wire = libipld.encode_dag_cbor(contact_fields(contact))
    assert parse_contact(libipld.decode_dag_cbor(wire)) == contact


def test_too_much_of_our_own_is_cut_the_first_addresses_stay() -> None:
    many = tuple(f"{'h' * 100}{number}.example:1" for number in range(40))
    contact = parse_contact(contact_fields(PeerAddress(ID, (*many, many[0]), "https://" + "r" * 300)))
    assert contact.relay_url is None
    assert 0 < len(contact.addresses) <= ADDRESSES_MAX
    assert contact.addresses == many[: len(contact.addresses)]
    assert sum(map(len, contact.addresses)) <= CONTACT_CHARACTERS_MAX


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        [ID],
        [ID, [], None],
        [ID, [], "https://relay.example", 1],
        [ID[:31], []],
        ["0" * 32, []],
        [ID, "192.0.2.1:1"],
        [ID, ["192.0.2.1"]],
        [ID, ["192.0.2.1:99999"]],
        [ID, ["192.0.2.1:1", "192.0.2.1:1"]],
        [ID, ["a b:1"]],
        [ID, [b"192.0.2.1:1"]],
        [ID, ["h" * ADDRESS_CHARACTERS_MAX + ":1"]],
        [ID, [f"192.0.2.{number}:1" for number in range(ADDRESSES_MAX + 1)]],
        [ID, [f"{'h' * 100}{number}:1" for number in range(ADDRESSES_MAX)]],
        [ID, [], "http://relay.example"],
        [ID, [], "https://relay.example/ path"],
        [ID, [], "https://" + "r" * 300],
    ],
)
def test_a_malformed_contact_is_refused(fields: Any) -> None:
    with pytest.raises(RemoteError):
        parse_contact(fields)


def test_a_list_of_contacts_is_bounded_and_names_nobody_twice() -> None:
    fields = [contact_fields(PeerAddress(bytes([number]) * 32)) for number in range(3)]
    assert [contact.endpoint_id[0] for contact in parse_contacts(fields, 3)] == [0, 1, 2]
    with pytest.raises(RemoteError):
        parse_contacts(fields, 2)
    with pytest.raises(RemoteError):
        parse_contacts([fields[0], fields[0]], 3)
    with pytest.raises(RemoteError):
        parse_contacts({}, 3)


@given(ANYTHING)
def test_anything_is_a_contact_or_the_peers_fault(value: Any) -> None:
    try:
        contact = parse_contact(value)
    except RemoteError:
        return
    assert parse_contact(contact_fields(contact)) == contact
