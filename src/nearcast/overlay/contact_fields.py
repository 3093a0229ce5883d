"""A contact (who and where) inside the messages of every protocol of the overlay, read strictly.

    [endpoint id, ["host:port", …], "https://relay…"?]

The relay is left out where there is none. A contact without addresses is fine: one that listens nowhere, or whose
addresses the reader knows from elsewhere. Contacts come from strangers and are handed on to strangers, so each is
bounded, in number of addresses and in bytes; one that we make is cut to the same bounds, so that whatever
`contact_fields` gives, `parse_contact` reads.
"""

import re
from functools import lru_cache
from typing import Any

from nearcast.errors import RemoteError
from nearcast.fields import bytes_of, list_of
from nearcast.overlay.peers import ADDRESSES_MAX, ENDPOINT_ID_BYTES, parse_place
from nearcast.transport.base import PeerAddress

ADDRESS_CHARACTERS_MAX = 128  # of one address; guess: an IPv6 one has at most 47, a long host name some 70
RELAY_CHARACTERS_MAX = 255  # guess: a host name and a short path
CONTACT_CHARACTERS_MAX = 1024  # all texts of one contact: 16 long IPv6 addresses and a relay fit
PLACES_MAX = 4096  # addresses whose form is remembered, good or bad, 200 bytes each; guess: ten times a node's peers

_RELAY = re.compile(r"https://[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?(/[!-~]*)?")


def contact_fields(contact: PeerAddress) -> list[Any]:
    """The contact as a DAG-CBOR-able list; what is beyond the bounds is left out, the first addresses stay."""
    relay_url = contact.relay_url if _is_relay(contact.relay_url) else None
    budget = CONTACT_CHARACTERS_MAX - len(relay_url or "")
    addresses: list[str] = []
    for address in dict.fromkeys(contact.addresses):
        if len(addresses) < ADDRESSES_MAX and len(address) <= budget and _is_address(address):
            addresses.append(address)
            budget -= len(address)
    fields: list[Any] = [contact.endpoint_id, addresses]
    if relay_url is not None:
        fields.append(relay_url)
    return fields


def parse_contact(value: Any) -> PeerAddress:
    """A contact from what `contact_fields` gave. Raises RemoteError."""
    if not isinstance(value, list) or not 2 <= len(value) <= 3:
        raise RemoteError("malformed contact: it is a list of an endpoint id, addresses and perhaps a relay")
    relay_url = _parse_relay(value[2]) if len(value) == 3 else None
    addresses = parse_addresses(value[1])
    if sum(map(len, addresses)) + len(relay_url or "") > CONTACT_CHARACTERS_MAX:
        raise RemoteError(f"malformed contact: more than {CONTACT_CHARACTERS_MAX} characters")
    return PeerAddress(bytes_of(value[0], "an endpoint id", ENDPOINT_ID_BYTES), addresses, relay_url)


def parse_contacts(value: Any, count_max: int) -> tuple[PeerAddress, ...]:
    """A list of at most `count_max` contacts, nobody twice. Raises RemoteError."""
    contacts = tuple(parse_contact(item) for item in list_of(value, "the contacts", count_max))
    if len({contact.endpoint_id for contact in contacts}) != len(contacts):
        raise RemoteError("malformed contacts: one of them is named twice")
    return contacts


def parse_endpoint_id(value: Any) -> bytes:
    """32 bytes. Raises RemoteError."""
    return bytes_of(value, "an endpoint id", ENDPOINT_ID_BYTES)


def parse_addresses(value: Any) -> tuple[str, ...]:
    """At most 16 different `host:port`. Raises RemoteError."""
    addresses = list_of(value, "the addresses of a contact", ADDRESSES_MAX)
    if not all(_is_address(address) for address in addresses):
        raise RemoteError("malformed contact: an address is host:port, an IPv6 one [host]:port")
    if len(set(addresses)) != len(addresses):
        raise RemoteError("malformed contact: it has an address twice")
    return tuple(addresses)


def _parse_relay(value: Any) -> str:
    if not _is_relay(value):
        raise RemoteError("malformed contact: a relay is given by its https:// address")
    return str(value)


def _is_relay(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= RELAY_CHARACTERS_MAX and _RELAY.fullmatch(value) is not None


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= ADDRESS_CHARACTERS_MAX and _is_place(value)


@lru_cache(maxsize=PLACES_MAX)
def _is_place(text: str) -> bool:
    """Most messages name the same few peers again: reading their addresses anew was 8 % of a joining node's CPU."""
    try:
        parse_place(text)
    except ValueError:
        return False
    return True
