"""What a node says of itself: where it is, what it asks, how busy and how fast it is, where it stands in the network.

The body of a signed envelope (envelope.py), a DAG-CBOR map:

    {"c": contact, "p": price, "l": load, "b": Mbps, "x": coordinate, "g": region, "n": is a newcomer's first}

The whole envelope has at most ANNOUNCEMENT_BYTES_MAX. Nothing in it is proven but who said it: the price is bound by
the signed offer of a fetch, the load and the coordinate are hints.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import libipld

from nearcast.errors import RemoteError
from nearcast.fields import boolean_of, bytes_within, integer_of, map_of
from nearcast.overlay.contact_fields import contact_fields, parse_contact
from nearcast.overlay.gossip.envelope import ANNOUNCEMENT_KIND, OPENED_MAX, Envelope, Sign, open_envelope, seal
from nearcast.overlay.gossip.messages import ANNOUNCEMENT_BYTES_MAX
from nearcast.overlay.gossip.topics import REGION_PREFIX, parse_region
from nearcast.transport.base import PeerAddress
from nearcast.wire import decode_message

PRICE_MAX = 1 << 63  # units per GiB, as in a fetch's offer
LOAD_MAX = 1000  # per mille
MBPS_MAX = 10_000_000  # guess: 10 Tbit/s
COORDINATE_BYTES_MAX = 100  # the bound of every coordinate's wire form
BODY_BYTES_MAX = ANNOUNCEMENT_BYTES_MAX - 128  # the envelope around it: an id, a signature, two numbers, a word
ADDRESSES_SAID_MAX = 4  # of 16: an announcement is small; the others come when one connects


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is announced beside the addresses."""

    price_per_gib: int = 0  # in units of the token; 0 is free
    load_permille: int = 0
    mbps: int = 0  # declared upload bandwidth; 0: not declared
    coordinate: bytes = b""  # as its protocol encodes it; empty: none yet
    region: str = ""  # empty: unknown


@dataclass(frozen=True, slots=True)
class Announcement:
    """A node's newest word: parsed and, wherever one is handed out, verified."""

    contact: PeerAddress
    facts: NodeFacts
    issued_ms: int
    lifetime_s: int
    is_first: bool  # it has just come: says nothing about how often it will announce itself
    payload: bytes

    @property
    def expires_s(self) -> float:
        """Unix time, in seconds."""
        return self.issued_ms / 1000 + self.lifetime_s


def seal_announcement(
    topic: str,
    contact: PeerAddress,
    facts: NodeFacts,
    sign: Sign,
    *,
    issued_ms: int,
    lifetime_s: int,
    is_first: bool = False,
) -> bytes:
    """The payload in which `contact` announces itself: with as many of its first addresses as there is room for.

    Raises RemoteError when the facts are out of bounds.
    """
    body: dict[str, Any] = {"p": facts.price_per_gib, "l": facts.load_permille, "b": facts.mbps}
    body |= {"x": facts.coordinate, "g": facts.region, "n": is_first}
    for addresses in range(ADDRESSES_SAID_MAX, -1, -1):
        relay_url = contact.relay_url if addresses else None  # one so long that no address fits beside it is no help
        said = PeerAddress(contact.endpoint_id, contact.addresses[:addresses], relay_url)
        encoded = bytes(libipld.encode_dag_cbor(body | {"c": contact_fields(said)}))
        if len(encoded) <= BODY_BYTES_MAX:
            break
    payload = seal(
        topic,
        contact.endpoint_id,
        sign,
        kind=ANNOUNCEMENT_KIND,
        body=encoded,
        issued_ms=issued_ms,
        lifetime_s=lifetime_s,
    )
    parse_announcement(topic, payload)
    return payload


@lru_cache(maxsize=OPENED_MAX)
def parse_announcement(topic: str, payload: bytes) -> Announcement:
    """The announcement of an envelope's payload. Raises RemoteError; the signature is still to be checked."""
    if len(payload) > ANNOUNCEMENT_BYTES_MAX:
        raise RemoteError(f"malformed announcement: more than {ANNOUNCEMENT_BYTES_MAX} bytes")
    envelope = open_envelope(topic, payload)
    if envelope.kind != ANNOUNCEMENT_KIND:
        raise RemoteError("malformed announcement: it is something else")
    return _parse_body(topic, envelope, payload)


def _parse_body(topic: str, envelope: Envelope, payload: bytes) -> Announcement:
    body = map_of(decode_message(envelope.body), "an announcement")
    contact = parse_contact(body.get("c"))
    if contact.endpoint_id != envelope.origin:
        raise RemoteError("malformed announcement: it is of somebody else than its origin")
    region = parse_region(body.get("g")) if body.get("g") != "" else ""
    if topic.startswith(REGION_PREFIX) and region != topic.removeprefix(REGION_PREFIX):
        raise RemoteError("malformed announcement: it is of another region")
    is_first = boolean_of(body.get("n"), "whether an announcement is the first one")
    facts = NodeFacts(
        price_per_gib=integer_of(body.get("p"), "an announced price", PRICE_MAX),
        load_permille=integer_of(body.get("l"), "an announced load", LOAD_MAX),
        mbps=integer_of(body.get("b"), "an announced bandwidth", MBPS_MAX),
        coordinate=bytes_within(body.get("x"), "an announced coordinate", 0, COORDINATE_BYTES_MAX),
        region=region,
    )
    return Announcement(contact, facts, envelope.issued_ms, envelope.lifetime_s, is_first, payload)
