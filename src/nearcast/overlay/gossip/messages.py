"""What gossip peers say to each other, and how strictly it is read.

Every message is a map with its kind `m` and its topic `t`. Of membership (HyParView, hyparview.py):

    join       {"c": contact}                         a newcomer asks for everything: a link, walks, a snapshot
    walk       {"c": contact, "h": hops left}         forward join: somebody's newcomer looks for neighbours
    ask        {"c": contact, "u": urgent}            be my neighbour; urgent when there are no others
    answer     {"ok": yes or no, "l": contacts}       to join, ask and listen; a refusal names others to ask
    part       {"l": contacts}                        we are neighbours no more; who may take the place
    shuffle    {"c": origin, "l": contacts, "h": hops left, "n": nonce}
    shuffled   {"l": contacts, "n": nonce}
    listen     {}                                     push to me; I am a client and never publish

Of broadcast (Plumtree, plumtree.py):

    push       {"r": round, "b": payload}             its id is its hash: the receiver computes it
    have       {"i": [id…], "r": [round…]}            announced lazily, many at a time
    graft      {"i": [id…]}                           send me these, and push to me from now on
    prune      {}                                     do not push to me, announce
    snapshot   {"l": [announcement…], "p": period, "q": crowded}   to newcomers: what was announced, how often one does

Invariants: whatever parses here has every field in its type and within its bound; unknown fields are ignored, so that
later versions can add some; a message that does not parse raises RemoteError and nothing else.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from nearcast.errors import RemoteError
from nearcast.fields import boolean_of, bytes_of, bytes_within, integer_of, list_of, map_of
from nearcast.overlay.contact_fields import contact_fields, parse_contact, parse_contacts
from nearcast.overlay.gossip.topics import parse_topic
from nearcast.transport.base import PeerAddress

CONTACTS_MAX = 8  # of one message: HyParView's shuffle, 3 active + 4 passive + the origin
HOPS_MAX = 6  # HyParView's ARWL; a longer walk is cut to this
NONCE_BYTES = 8
ID_BYTES = 16  # half of a SHA-256: 2**64 tries for two payloads of one's own with one id, 2**128 for another's
IDS_MAX = 32  # of one message; guess: half a minute at the rate that topics are held to
ROUND_MAX = 255  # guess: a tree of 10,000 nodes is some 30 deep
PAYLOAD_BYTES_MAX = 4096  # guess: an announcement has at most 512; bulk is not broadcast
SNAPSHOT_ANNOUNCEMENTS_MAX = 32  # 32 × 512 B = 16 KiB at most for a newcomer
ANNOUNCEMENT_BYTES_MAX = 512
PERIOD_S_MAX = 7 * 86_400.0  # longest announcement period: 150,000 nodes at 0.25 per second


@dataclass(frozen=True, slots=True)
class Join:
    """A newcomer asks for a link, for walks to more neighbours, and for a snapshot."""

    topic: str
    contact: PeerAddress


@dataclass(frozen=True, slots=True)
class Walk:
    """HyParView's ForwardJoin: a newcomer's walk through the overlay, `hops` still to go."""

    topic: str
    contact: PeerAddress
    hops: int


@dataclass(frozen=True, slots=True)
class Ask:
    """HyParView's Neighbour: `is_urgent` (high priority) when the sender has no neighbour at all."""

    topic: str
    contact: PeerAddress
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """To Join, Ask and Listen. A refusal names others to ask."""

    topic: str
    is_accepted: bool
    contacts: tuple[PeerAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """HyParView's Disconnect. `contacts`: who has lost nothing yet and may take the sender's place."""

    topic: str
    contacts: tuple[PeerAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Shuffle:
    """A sample of `origin`'s views on a walk of `hops` more; who ends it answers the origin."""

    topic: str
    origin: PeerAddress
    contacts: tuple[PeerAddress, ...]
    hops: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Shuffled:
    """The answer to a shuffle, straight to its origin."""

    topic: str
    contacts: tuple[PeerAddress, ...]
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Listen:
    """A client asks to be pushed to."""

    topic: str


@dataclass(frozen=True, slots=True)
class Push:
    """A payload, `round` hops from its origin."""

    topic: str
    round: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Have:
    """Plumtree's IHAVE, batched: ids (ID_BYTES each) and the round at which the sender got each."""

    topic: str
    ids: tuple[bytes, ...]
    rounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graft:
    """Push to me from now on, and these (perhaps none) at once."""

    topic: str
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Prune:
    """Announce to me only."""

    topic: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """For a newcomer: signed announcements as they were broadcast, the sender's announcement period in seconds, and
    whether so many come at once that a newcomer should wait for its turn."""

    topic: str
    announcements: tuple[bytes, ...]
    period_s: float
    is_crowded: bool


Message: TypeAlias = (
    Join | Walk | Ask | Answer | Part | Shuffle | Shuffled | Listen | Push | Have | Graft | Prune | Snapshot
)


def fields(message: Message) -> dict[str, Any]:
    """The message as a DAG-CBOR-able map that `parse` reads."""
    match message:
        case Join(topic, contact):
            return {"m": "join", "t": topic, "c": contact_fields(contact)}
        case Walk(topic, contact, hops):
            return {"m": "walk", "t": topic, "c": contact_fields(contact), "h": hops}
        case Ask(topic, contact, is_urgent):
            return {"m": "ask", "t": topic, "c": contact_fields(contact), "u": is_urgent}
        case Answer(topic, is_accepted, contacts):
            return {"m": "answer", "t": topic, "ok": is_accepted, "l": _list(contacts)}
        case Part(topic, contacts):
            return {"m": "part", "t": topic, "l": _list(contacts)}
        case Shuffle(topic, origin, contacts, hops, nonce):
            walk = {"c": contact_fields(origin), "l": _list(contacts), "h": hops, "n": nonce}
            return {"m": "shuffle", "t": topic, **walk}
        case Shuffled(topic, contacts, nonce):
            return {"m": "shuffled", "t": topic, "l": _list(contacts), "n": nonce}
        case Listen(topic):
            return {"m": "listen", "t": topic}
        case Push(topic, round_, payload):
            return {"m": "push", "t": topic, "r": round_, "b": payload}
        case Have(topic, ids, rounds):
            return {"m": "have", "t": topic, "i": list(ids), "r": list(rounds)}
        case Graft(topic, ids):
            return {"m": "graft", "t": topic, "i": list(ids)}
        case Prune(topic):
            return {"m": "prune", "t": topic}
        case Snapshot(topic, announcements, period_s, is_crowded):
            pace = {"p": int(period_s), "q": is_crowded}
            return {"m": "snapshot", "t": topic, "l": list(announcements), **pace}
    assert_never(message)


def parse(value: Any) -> Message:
    """The message of such a map. Raises RemoteError."""
    value = map_of(value, "a message of gossip")
    topic = parse_topic(value.get("t"))
    kind = value.get("m")
    match kind:
        case "join" | "walk" | "ask" | "answer" | "part" | "shuffle" | "shuffled" | "listen":
            return _parse_membership(kind, topic, value)
        case "push":
            return Push(topic, _round(value.get("r")), bytes_within(value.get("b"), "a payload", 1, PAYLOAD_BYTES_MAX))
        case "have":
            ids, rounds = _ids(value.get("i")), _rounds(value.get("r"))
            if len(ids) != len(rounds) or not ids:
                raise RemoteError("malformed gossip: as many rounds as ids, at least one")
            return Have(topic, ids, rounds)
        case "graft":
            return Graft(topic, _ids(value.get("i")))
        case "prune":
            return Prune(topic)
        case "snapshot":
            period_s = float(integer_of(value.get("p"), "a snapshot's period", int(PERIOD_S_MAX)))
            is_crowded = boolean_of(value.get("q"), "whether it is crowded")
            return Snapshot(topic, _announcements(value.get("l")), period_s, is_crowded)
        case _:
            raise RemoteError("malformed gossip: no such message")


def _parse_membership(kind: str, topic: str, value: dict[str, Any]) -> Message:
    match kind:
        case "join":
            return Join(topic, parse_contact(value.get("c")))
        case "walk":
            return Walk(topic, parse_contact(value.get("c")), _hops(value))
        case "ask":
            return Ask(topic, parse_contact(value.get("c")), boolean_of(value.get("u"), "whether it is urgent"))
        case "answer":
            is_accepted = boolean_of(value.get("ok"), "whether it is accepted")
            return Answer(topic, is_accepted, parse_contacts(value.get("l"), CONTACTS_MAX))
        case "part":
            return Part(topic, parse_contacts(value.get("l"), CONTACTS_MAX))
        case "shuffle":
            contacts = parse_contacts(value.get("l"), CONTACTS_MAX)
            return Shuffle(topic, parse_contact(value.get("c")), contacts, _hops(value), _nonce(value))
        case "shuffled":
            return Shuffled(topic, parse_contacts(value.get("l"), CONTACTS_MAX), _nonce(value))
        case _:
            return Listen(topic)


def _list(contacts: tuple[PeerAddress, ...]) -> list[Any]:
    return [contact_fields(contact) for contact in contacts]


def _hops(value: dict[str, Any]) -> int:
    """Hops left, cut to HOPS_MAX: nobody sends walkers around the overlay for ever."""
    return min(integer_of(value.get("h"), "the hops left", 1 << 16), HOPS_MAX)


def _nonce(value: dict[str, Any]) -> bytes:
    return bytes_of(value.get("n"), "a nonce", NONCE_BYTES)


def _ids(value: Any) -> tuple[bytes, ...]:
    ids = tuple(bytes_of(item, "an id", ID_BYTES) for item in list_of(value, "the ids", IDS_MAX))
    if len(set(ids)) != len(ids):
        raise RemoteError("malformed gossip: an id is named twice")
    return ids


def _rounds(value: Any) -> tuple[int, ...]:
    return tuple(_round(item) for item in list_of(value, "the rounds", IDS_MAX))


def _round(value: Any) -> int:
    return integer_of(value, "a round", ROUND_MAX)


def _announcements(value: Any) -> tuple[bytes, ...]:
    items = list_of(value, "a snapshot's announcements", SNAPSHOT_ANNOUNCEMENTS_MAX)
    return tuple(bytes_within(item, "an announcement", 1, ANNOUNCEMENT_BYTES_MAX) for item in items)
