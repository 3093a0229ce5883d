"""What nodes of the hash table say to each other, and how strictly it is read.

A request carries an id that its answer repeats; the answer must come from the peer that was asked, whose identity the
transport proves, so nobody else can answer. A request also carries the asker's own contact; one without is a client's:
it is answered, and never put into a routing table. An answer to a stranger may ask back (b): whether it answers, too.
That is a ping which needs no message of its own; its id is answered by a pong.

    ping      {"t": "p", "i": id, "a"?: contact}                              <- {"t": "o", "i": id, "b"?: id}
    find      {"t": "f", "i": id, "a"?, "k": key, "w": what, "n"?: near}      <- {"t": "n", "i", "c": [contact…],
                                                                                  "r"?: [record…], "b"?}
    store     {"t": "s", "i": id, "a"?, "r": record, "c"?: true}              <- {"t": "k", "i", "y": kept, "b"?}

`what` is "n" (nodes only), "p" (provider records, too) or "v" (the value, too). Contacts of an answer are the closest
to `near`, which is the key itself if it is left out: around a besieged key one asks for those a little aside. "c" marks
the copy that a lookup leaves behind.

Invariants: whatever parses is within its bounds; unknown fields are ignored, so that later versions can add some; what
does not parse raises RemoteError and nothing else. Signatures are not verified here.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from nearcast.errors import RemoteError
from nearcast.fields import boolean_of, bytes_of, integer_of, list_of, map_of
from nearcast.overlay.contact_fields import contact_fields, parse_contact, parse_contacts
from nearcast.overlay.kademlia.keys import KEY_BYTES
from nearcast.overlay.kademlia.records import Record, parse_provider, parse_value, record_fields
from nearcast.transport.base import PeerAddress

REQUEST_ID_MAX: Final = (1 << 53) - 1  # a request id; never reached by counting
CONTACTS_PER_ANSWER_MAX: Final = 20  # k
RECORDS_PER_ANSWER_MAX: Final = 16

NODES: Final = "n"
PROVIDERS: Final = "p"
VALUE: Final = "v"


@dataclass(frozen=True, slots=True)
class Ping:
    request_id: int
    own: PeerAddress | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    """`back`, here as in all answers: the id of a ping that rides on it."""

    request_id: int
    back: int | None = None


@dataclass(frozen=True, slots=True)
class Find:
    """`what`: NODES, PROVIDERS or VALUE. `near`: 32 bytes, whereabouts contacts are wanted; None: around the key."""

    request_id: int
    key: bytes
    what: str
    near: bytes | None = None
    own: PeerAddress | None = None


@dataclass(frozen=True, slots=True)
class Nodes:
    """The answer to Find: the closest contacts, and the records that were asked for, as far as there are any."""

    request_id: int
    contacts: tuple[PeerAddress, ...]
    records: tuple[Record, ...] = ()
    back: int | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """`is_copy`: a lookup leaves it on its way; it is kept for a short time only."""

    request_id: int
    record: Record
    is_copy: bool = False
    own: PeerAddress | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer to Store. `is_kept` False: there is no room, or the record is of no use."""

    request_id: int
    is_kept: bool
    back: int | None = None


Request: TypeAlias = Ping | Find | Store
Response: TypeAlias = Pong | Nodes | Kept
Message: TypeAlias = Request | Response


def fields(message: Message) -> dict[str, Any]:
    """The message as a DAG-CBOR-able map."""
    match message:
        case Nodes(request_id, contacts, records, back):
            found: dict[str, Any] = {"t": "n", "i": request_id, "c": [contact_fields(contact) for contact in contacts]}
            if records:
                found["r"] = [record_fields(record) for record in records]
            return found | _back(back)
        case Pong(request_id, back):
            return {"t": "o", "i": request_id} | _back(back)
        case Kept(request_id, is_kept, back):
            return {"t": "k", "i": request_id, "y": is_kept} | _back(back)
        case Ping(request_id, own):
            return {"t": "p", "i": request_id} | _own(own)
        case Find(request_id, key, what, near, own):
            aside = {} if near is None else {"n": near}
            return {"t": "f", "i": request_id, "k": key, "w": what} | aside | _own(own)
        case Store(request_id, record, is_copy, own):
            copy = {"c": True} if is_copy else {}
            return {"t": "s", "i": request_id, "r": record_fields(record)} | copy | _own(own)


def parse(value: Any) -> Message:
    """The message of a map of fields. Raises RemoteError."""
    value = map_of(value, "a message of the hash table")
    request_id = integer_of(value.get("i"), "a request's id", REQUEST_ID_MAX)
    match value.get("t"):
        case "p":
            return Ping(request_id, _parse_own(value))
        case "o":
            return Pong(request_id, _parse_back(value))
        case "f":
            what = value.get("w")
            if what not in (NODES, PROVIDERS, VALUE):
                raise RemoteError("malformed message of the hash table: nobody can look for that")
            near = None if value.get("n") is None else _key(value["n"])
            return Find(request_id, _key(value.get("k")), what, near, _parse_own(value))
        case "n":
            contacts = parse_contacts(value.get("c"), CONTACTS_PER_ANSWER_MAX)
            return Nodes(request_id, contacts, _parse_records(value.get("r")), _parse_back(value))
        case "s":
            is_copy = boolean_of(value.get("c", False), "whether a record is a copy")
            return Store(request_id, _parse_record(value.get("r")), is_copy, _parse_own(value))
        case "k":
            return Kept(request_id, boolean_of(value.get("y"), "whether a record was kept"), _parse_back(value))
        case _:
            raise RemoteError("malformed message of the hash table: of no known type")


def _own(own: PeerAddress | None) -> dict[str, Any]:
    return {} if own is None else {"a": contact_fields(own)}


def _back(back: int | None) -> dict[str, Any]:
    return {} if back is None else {"b": back}


def _parse_back(value: dict[str, Any]) -> int | None:
    return None if value.get("b") is None else integer_of(value["b"], "a request's id", REQUEST_ID_MAX)


def _parse_own(value: dict[str, Any]) -> PeerAddress | None:
    return parse_contact(value["a"]) if value.get("a") is not None else None


def _parse_records(value: Any) -> tuple[Record, ...]:
    if value is None:
        return ()
    records = list_of(value, "the records of an answer", RECORDS_PER_ANSWER_MAX)
    return tuple(_parse_record(record) for record in records)


def _parse_record(value: Any) -> Record:
    return parse_value(value) if isinstance(value, list) and len(value) == 6 else parse_provider(value)


def _key(value: Any) -> bytes:
    return bytes_of(value, "a key", KEY_BYTES)
