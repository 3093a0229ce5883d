"""What failure detectors say to each other, and how strictly it is read.

    ping           {"t": "p", "n", "i", "r", "c", "f"}    <- ack, reliably if "f" is true
    ack            {"t": "a", "n", "i", "r", "c"}
    ping request   {"t": "q", "n", "i", "r", "m"}         please ping member m for me <- indirect ack or nack
    indirect ack   {"t": "i", "n"}
    nack           {"t": "n", "n"}                        I am here, but m has not answered yet
    gossip         {"t": "g", "i", "r"}
    sync request   {"t": "s", "o", "d"}                   my own record, and a digest of each bucket of my table
    sync answer    {"t": "e", "i", "r", "b", "w"}         records of the buckets b that differ; w: there are more
    heartbeats     {"t": "h", "h"}                        van Renesse's: [[contact, heartbeat]...]

"n" is a sequence number of whoever asks, "i" the sender's own incarnation, "r" rumours, "c" the sender's coordinate,
opaque and at most 100 bytes. A rumour is [0, contact, incarnation] alive, [1, id, incarnation, accuser] suspected,
[2, id, incarnation, accuser] dead, [3, id, incarnation] left. What is empty is left out.

Invariants: whatever parses here has every field in its type and within its bound; unknown fields are ignored; a message
that does not parse raises RemoteError and nothing else.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from nearcast.errors import RemoteError
from nearcast.fields import boolean_of, bytes_of, bytes_within, exactly, integer_of, list_of, map_of
from nearcast.overlay.contact_fields import contact_fields, parse_contact, parse_endpoint_id
from nearcast.overlay.failure.rumours import INCARNATION_MAX, Alive, Dead, Left, Rumour, Suspect
from nearcast.transport.base import PeerAddress

COORDINATE_BYTES_MAX = 100
SEQUENCE_MAX = 1 << 53
RUMOURS_MAX = 256  # in one message
RUMOURS_BYTES_MAX = 64 << 10  # all rumours of one message; a piece of a table that we send has 16 KiB at most
BUCKETS = 64  # a table is compared in 64 parts, by the first six bits of the ids
DIGEST_BYTES = 8
HEARTBEATS_MAX = 1024  # entries of one list; with one IPv4 address each they are about the 60 KiB that we send
HEARTBEAT_MAX = 1 << 53


@dataclass(frozen=True, slots=True)
class Ping:
    sequence: int
    incarnation: int
    rumours: tuple[Rumour, ...] = ()
    coordinate: bytes | None = None
    is_reliable: bool = False


@dataclass(frozen=True, slots=True)
class Ack:
    sequence: int
    incarnation: int
    rumours: tuple[Rumour, ...] = ()
    coordinate: bytes | None = None


@dataclass(frozen=True, slots=True)
class PingRequest:
    sequence: int
    incarnation: int
    target: bytes
    rumours: tuple[Rumour, ...] = ()


@dataclass(frozen=True, slots=True)
class IndirectAck:
    sequence: int


@dataclass(frozen=True, slots=True)
class Nack:
    sequence: int


@dataclass(frozen=True, slots=True)
class Gossip:
    incarnation: int
    rumours: tuple[Rumour, ...]


@dataclass(frozen=True, slots=True)
class SyncRequest:
    own: Alive
    digests: bytes  # BUCKETS times DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    incarnation: int
    buckets: bytes  # the numbers of the buckets that are told in full
    rumours: tuple[Rumour, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Heartbeats:
    entries: tuple[tuple[PeerAddress, int], ...]


SwimMessage: TypeAlias = Ping | Ack | PingRequest | IndirectAck | Nack | Gossip | SyncRequest | SyncAnswer
FailureMessage: TypeAlias = SwimMessage | Heartbeats


def fields(message: FailureMessage) -> dict[str, Any]:
    """The message as a DAG-CBOR-able map."""
    match message:
        case Ping(sequence, incarnation, rumours, coordinate, is_reliable):
            flag = {"f": True} if is_reliable else {}
            return {"t": "p", "n": sequence, "i": incarnation, **_extras(rumours, coordinate), **flag}
        case Ack(sequence, incarnation, rumours, coordinate):
            return {"t": "a", "n": sequence, "i": incarnation, **_extras(rumours, coordinate)}
        case PingRequest(sequence, incarnation, target, rumours):
            return {"t": "q", "n": sequence, "i": incarnation, "m": target, **_extras(rumours, None)}
        case IndirectAck(sequence):
            return {"t": "i", "n": sequence}
        case Nack(sequence):
            return {"t": "n", "n": sequence}
        case Gossip(incarnation, rumours):
            return {"t": "g", "i": incarnation, **_extras(rumours, None)}
        case SyncRequest(own, digests):
            return {"t": "s", "o": _rumour_fields(own), "d": digests}
        case SyncAnswer(incarnation, buckets, rumours, has_more):
            return {"t": "e", "i": incarnation, "b": buckets, "w": has_more, **_extras(rumours, None)}
        case Heartbeats(entries):
            return {"t": "h", "h": [[contact_fields(contact), heartbeat] for contact, heartbeat in entries]}


def parse(value: Any) -> FailureMessage:
    """The message of what `fields` gave. Raises RemoteError."""
    value = map_of(value, "a detector's message")
    match value.get("t"):
        case "p":
            return Ping(
                *_header(value),
                _rumours(value),
                _coordinate(value),
                boolean_of(value.get("f", False), "whether a ping is reliable"),
            )
        case "a":
            return Ack(*_header(value), _rumours(value), _coordinate(value))
        case "q":
            return PingRequest(*_header(value), parse_endpoint_id(value.get("m")), _rumours(value))
        case "i":
            return IndirectAck(_sequence(value))
        case "n":
            return Nack(_sequence(value))
        case "g":
            return Gossip(_incarnation(value.get("i")), _rumours(value))
        case "s":
            return SyncRequest(_own(value), bytes_of(value.get("d"), "the digests", BUCKETS * DIGEST_BYTES))
        case "e":
            incarnation = _incarnation(value.get("i"))
            has_more = boolean_of(value.get("w", False), "whether there is more")
            return SyncAnswer(incarnation, _buckets(value.get("b")), _rumours(value), has_more)
        case "h":
            return Heartbeats(_heartbeats(value.get("h")))
        case _:
            raise RemoteError("malformed detector message: of no kind that is known here")


def _extras(rumours: tuple[Rumour, ...], coordinate: bytes | None) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if rumours:
        extras["r"] = [_rumour_fields(rumour) for rumour in rumours]
    if coordinate is not None:
        extras["c"] = coordinate
    return extras


def _rumour_fields(rumour: Rumour) -> list[Any]:
    match rumour:
        case Alive(contact, incarnation):
            return [0, contact_fields(contact), incarnation]
        case Suspect(endpoint_id, incarnation, accuser):
            return [1, endpoint_id, incarnation, accuser]
        case Dead(endpoint_id, incarnation, accuser):
            return [2, endpoint_id, incarnation, accuser]
        case Left(endpoint_id, incarnation):
            return [3, endpoint_id, incarnation]


def _parse_rumour(value: Any) -> Rumour:
    if type(value) is not list or not value or type(value[0]) is not int:  # False is 0 to a pattern
        raise RemoteError("malformed rumour: it is not a list that begins with its kind")
    match value:
        case [0, contact, incarnation]:
            return Alive(parse_contact(contact), _incarnation(incarnation))
        case [1, subject, incarnation, accuser]:
            number = _incarnation(incarnation)
            return Suspect(parse_endpoint_id(subject), number, parse_endpoint_id(accuser))
        case [2, subject, incarnation, accuser]:
            return Dead(parse_endpoint_id(subject), _incarnation(incarnation), parse_endpoint_id(accuser))
        case [3, subject, incarnation]:
            return Left(parse_endpoint_id(subject), _incarnation(incarnation))
        case _:
            raise RemoteError("malformed rumour: of no kind that is known here")


def _rumours(value: dict[str, Any]) -> tuple[Rumour, ...]:
    items = value.get("r")
    if items is None:
        return ()
    rumours = tuple(_parse_rumour(item) for item in list_of(items, "the rumours", RUMOURS_MAX))
    if sum(rumour.size_bytes for rumour in rumours) > RUMOURS_BYTES_MAX:
        raise RemoteError(f"malformed rumours: together more than {RUMOURS_BYTES_MAX} bytes")
    return rumours


def _own(value: dict[str, Any]) -> Alive:
    own = _parse_rumour(value.get("o"))
    if not isinstance(own, Alive):
        raise RemoteError("malformed sync request: it begins with the sender's own record")
    return own


def _buckets(value: Any) -> bytes:
    buckets = bytes_within(value, "a sync answer's buckets", 0, BUCKETS)
    if any(number >= BUCKETS for number in buckets):
        raise RemoteError(f"malformed sync answer: its buckets are numbers below {BUCKETS}")
    if len(set(buckets)) != len(buckets):
        raise RemoteError("malformed sync answer: it has a bucket twice")
    return buckets


def _heartbeats(value: Any) -> tuple[tuple[PeerAddress, int], ...]:
    entries: list[tuple[PeerAddress, int]] = []
    for item in list_of(value, "the heartbeats", HEARTBEATS_MAX):
        contact, heartbeat = exactly(item, "an entry of the heartbeats", 2)
        entries.append((parse_contact(contact), integer_of(heartbeat, "a heartbeat", HEARTBEAT_MAX)))
    return tuple(entries)


def _header(value: dict[str, Any]) -> tuple[int, int]:
    return _sequence(value), _incarnation(value.get("i"))


def _sequence(value: dict[str, Any]) -> int:
    return integer_of(value.get("n"), "a sequence number", SEQUENCE_MAX)


def _incarnation(value: Any) -> int:
    return integer_of(value, "an incarnation", INCARNATION_MAX)


def _coordinate(value: dict[str, Any]) -> bytes | None:
    coordinate = value.get("c")
    if coordinate is None:
        return None
    return bytes_within(coordinate, "a coordinate", 0, COORDINATE_BYTES_MAX)
