"""Between the frames of an overlay stream and the messages of the protocols.

    {"p": "dht" | "gossip" | "swim" | "rtt", "m": {…}}         the inner map is the protocol's own (its messages.py)

Strict and bounded: what comes out of `parse` is a message of one of the protocols with every field in its type and
within its bound; anything else raises RemoteError. Who sent it is for the transport to say, and no signature is
verified here.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, get_args

from nearcast.errors import LimitError
from nearcast.fields import choice_of, map_of
from nearcast.overlay import measuring
from nearcast.overlay.failure import messages as failure
from nearcast.overlay.gossip import messages as gossip
from nearcast.overlay.kademlia import messages as kademlia
from nearcast.wire import HEADER_BYTES, decode_message, encode_message

DHT: Final = "dht"
GOSSIP: Final = "gossip"
SWIM: Final = "swim"
RTT: Final = "rtt"
MESSAGE_BYTES_MAX: Final = 64 << 10  # the largest is a snapshot of announcements, at most 512 B each

Message: TypeAlias = kademlia.Message | gossip.Message | failure.FailureMessage | measuring.Message

_UNIONS: Final[dict[str, Any]] = {
    DHT: kademlia.Message,
    GOSSIP: gossip.Message,
    SWIM: failure.FailureMessage,
    RTT: measuring.Message,
}
_FIELDS: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    DHT: kademlia.fields,
    GOSSIP: gossip.fields,
    SWIM: failure.fields,
    RTT: measuring.fields,
}
_PARSERS: Final[dict[str, Callable[[Any], Message]]] = {
    DHT: kademlia.parse,
    GOSSIP: gossip.parse,
    SWIM: failure.parse,
    RTT: measuring.parse,
}
PROTOCOL_OF: Final[dict[type, str]] = {kind: name for name, union in _UNIONS.items() for kind in get_args(union)}
"""Of each class of message, whose it is."""


def fields(message: Message) -> dict[str, Any]:
    """The message as a DAG-CBOR-able map."""
    protocol = PROTOCOL_OF[type(message)]
    return {"p": protocol, "m": _FIELDS[protocol](message)}


def parse(value: Any) -> Message:
    """The message of a frame's decoded value. Raises RemoteError."""
    value = map_of(value, "a message of the overlay")
    parser = choice_of(value.get("p"), "the protocol", _PARSERS)
    return parser(value.get("m"))


def frame(message: Message) -> bytes:
    """The bytes that travel, with the frame's header. Raises LimitError when they are too many."""
    data = encode_message(fields(message))
    if len(data) > MESSAGE_BYTES_MAX:
        raise LimitError(f"a message of {len(data)} bytes is over the overlay's limit of {MESSAGE_BYTES_MAX}")
    return data


def parse_payload(payload: bytes) -> Message:
    """The message of a frame's payload, the header taken off. Raises RemoteError."""
    if len(payload) > MESSAGE_BYTES_MAX - HEADER_BYTES:
        raise LimitError(f"a message of {len(payload)} bytes is over the overlay's limit of {MESSAGE_BYTES_MAX}")
    return parse(decode_message(payload))


def size_bytes(message: Message) -> int:
    """How many bytes the message is on the wire, with the frame's header."""
    return len(encode_message(fields(message)))
