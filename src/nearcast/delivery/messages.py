"""What is said on a delivery stream, and how strictly it is read.

One bidirectional stream carries one request. Everything said is a message frame of wire.py; blocks travel between them.

    probe   {"p": "probe", "v": 1, "roots": [cid…]}
            <- {"have": [{"state", "size", "price"}…]}, in the order asked
    fetch   {"p": "fetch", "v": 1, "root", "path", "want", "spans", "inline", "skip", "shallow", "nonce"}
            <- {"ok": true, "price"} or {"ok": false, "reason", "text"}
            <- block frames; in "leaves" a leaf that is not there is {"missing": [cid, index]} in its place
            <- {"end": reason, "text"}

Invariants: whatever parses here has every field in its type and within its bound; unknown fields are ignored, so that
later versions can add some; a message that does not parse raises RemoteError and nothing else.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from nearcast.content.cid import Cid, decode_cid
from nearcast.content.leaves import LEAVES_MAX
from nearcast.errors import RemoteError, UsageError

VERSION = 1
ROOTS_MAX = 64  # one probe; guess: a page and everything it links to
SPANS_MAX = 1024  # one fetch; about 45 KiB of request, well under a message's limit
SPAN_LEAVES_MAX = 1 << 16  # leaves asked in one fetch; guess: 64 GiB, far over what a client asks at a time
PATH_BYTES_MAX = 4096  # PATH_MAX of Linux
INLINE_BYTES_MAX = 4 << 20  # guess: a page's worth of leaves sent unasked behind the nodes
SKIP_MAX = 1 << 32  # nodes that the client already has; the walk's own bound is far lower
NONCE_BYTES = 16
TEXT_CHARACTERS_MAX = 512  # what a peer may put into an error line of ours
PRICE_FREE = 0

T = TypeVar("T")
Want: TypeAlias = Literal["nodes", "leaves", "all"]
State: TypeAlias = Literal["all", "some", "none", "refused"]
EndReason: TypeAlias = Literal["done", "missing", "changed", "refused", "busy", "error", "unsupported"]
_WANTS: dict[str, Want] = {"nodes": "nodes", "leaves": "leaves", "all": "all"}
_STATES: dict[str, State] = {"all": "all", "some": "some", "none": "none", "refused": "refused"}
_REASONS: dict[str, EndReason] = {
    "done": "done", "missing": "missing", "changed": "changed", "refused": "refused",
    "busy": "busy", "error": "error", "unsupported": "unsupported",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    roots: tuple[Cid, ...]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a peer says that it has of one root. `size_bytes` is its word, not a verified fact."""

    SERVABLE: ClassVar[frozenset[State]] = frozenset({"all", "some"})

    state: State
    size_bytes: int | None
    price: int = PRICE_FREE


@dataclass(frozen=True, slots=True)
class LeafSpan:
    """`count` leaves of the file `cid`, from leaf `first` on. A file of one raw leaf is its own span (cid, 0, 1)."""

    cid: Cid
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """`skip`: how many blocks at the beginning of the nodes' sequence the client already has.

    `shallow`: nodes only as far as it takes to resolve the path and to list or describe its target.
    `inline_bytes`: how many bytes of the target's leaves may follow the nodes in the same answer.
    """

    root: Cid
    path: str
    want: Want
    spans: tuple[LeafSpan, ...]
    inline_bytes: int
    nonce: bytes
    skip: int = 0
    shallow: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    price: int


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: EndReason
    text: str


@dataclass(frozen=True, slots=True)
class MissingLeaf:
    cid: Cid
    index: int


@dataclass(frozen=True, slots=True)
class End:
    reason: EndReason
    text: str


def request_fields(request: ProbeRequest | FetchRequest) -> dict[str, Any]:
    """The request as a message's value."""
    match request:
        case ProbeRequest():
            return {"p": "probe", "v": VERSION, "roots": [root.to_bytes() for root in request.roots]}
        case FetchRequest():
            return {
                "p": "fetch",
                "v": VERSION,
                "root": request.root.to_bytes(),
                "path": request.path,
                "want": request.want,
                "spans": [[span.cid.to_bytes(), span.first, span.count] for span in request.spans],
                "inline": request.inline_bytes,
                "skip": request.skip,
                "shallow": request.shallow,
                "nonce": request.nonce,
            }


def parse_request(value: Any) -> ProbeRequest | FetchRequest | None:
    """The request, or None when it names a protocol or version that we do not speak. Raises RemoteError."""
    fields = _fields(value)
    protocol = fields.get("p")
    if not isinstance(protocol, str) or protocol not in ("probe", "fetch") or fields.get("v") != VERSION:
        return None
    if protocol == "probe":
        return ProbeRequest(tuple(_cid(item) for item in _list(fields.get("roots"), "roots", ROOTS_MAX)))
    return _parse_fetch(fields)


def _parse_fetch(fields: dict[str, Any]) -> FetchRequest:
    spans = tuple(_span(item) for item in _list(fields.get("spans", []), "spans", SPANS_MAX))
    if sum(span.count for span in spans) > SPAN_LEAVES_MAX:
        raise RemoteError(f"a request for more than {SPAN_LEAVES_MAX} leaves")
    shallow = fields.get("shallow", False)
    if not isinstance(shallow, bool):
        raise RemoteError("the field 'shallow' is not true or false")
    nonce = fields.get("nonce")
    if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise RemoteError(f"the nonce is not {NONCE_BYTES} bytes")
    return FetchRequest(
        root=_cid(fields.get("root")),
        path=_path(fields.get("path", "")),
        want=_choice(fields.get("want"), "want", _WANTS),
        spans=spans,
        inline_bytes=_integer(fields.get("inline", 0), "inline", INLINE_BYTES_MAX),
        nonce=nonce,
        skip=_integer(fields.get("skip", 0), "skip", SKIP_MAX),
        shallow=shallow,
    )


def holdings_fields(holdings: list[Holding]) -> dict[str, Any]:
    """The answer to a probe as a message's value."""
    return {"have": [{"state": h.state, "size": h.size_bytes, "price": h.price} for h in holdings]}


def parse_holdings(value: Any, count: int) -> list[Holding]:
    """The answer to a probe for `count` roots. Raises RemoteError."""
    fields = _fields(value)
    if "end" in fields:
        raise RemoteError(f"the probe was refused: {_text(fields.get('text', ''))}")
    items = _list(fields.get("have"), "have", ROOTS_MAX)
    if len(items) != count:
        raise RemoteError(f"{len(items)} answers to a probe for {count} roots")
    return [_holding(_fields(item)) for item in items]


def answer_fields(answer: Offer | Refusal | MissingLeaf | End) -> dict[str, Any]:
    """What the serving side says during a fetch, as a message's value."""
    match answer:
        case Offer():
            return {"ok": True, "price": answer.price}
        case Refusal():
            return {"ok": False, "reason": answer.reason, "text": answer.text[:TEXT_CHARACTERS_MAX]}
        case MissingLeaf():
            return {"missing": [answer.cid.to_bytes(), answer.index]}
        case End():
            return {"end": answer.reason, "text": answer.text[:TEXT_CHARACTERS_MAX]}


def parse_answer(value: Any) -> Offer | Refusal | MissingLeaf | End:
    """What the serving side said. Raises RemoteError when it is none of the four."""
    fields = _fields(value)
    if fields.get("ok") is True:
        return Offer(_integer(fields.get("price"), "price", 1 << 63))
    if fields.get("ok") is False:
        return Refusal(_choice(fields.get("reason"), "reason", _REASONS), _text(fields.get("text", "")))
    if "missing" in fields:
        item = _list(fields["missing"], "missing", 2)
        if len(item) != 2:
            raise RemoteError("the field 'missing' is not a CID and an index")
        return MissingLeaf(_cid(item[0]), _integer(item[1], "missing", LEAVES_MAX))
    return End(_choice(fields.get("end"), "end", _REASONS), _text(fields.get("text", "")))


def _holding(fields: dict[str, Any]) -> Holding:
    size = fields.get("size")
    return Holding(
        state=_choice(fields.get("state"), "state", _STATES),
        size_bytes=None if size is None else _integer(size, "size", 1 << 63),
        price=_integer(fields.get("price", PRICE_FREE), "price", 1 << 63),
    )


def _span(value: Any) -> LeafSpan:
    item = _list(value, "spans", 3)
    if len(item) != 3:
        raise RemoteError("a span is not a CID, a first leaf and a count")
    return LeafSpan(_cid(item[0]), _integer(item[1], "spans", LEAVES_MAX), _integer(item[2], "spans", LEAVES_MAX))


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RemoteError("a message is not a map of fields")
    return value


def _list(value: Any, name: str, limit: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > limit:
        raise RemoteError(f"the field {name!r} is not a list of at most {limit}")
    return value


def _integer(value: Any, name: str, limit: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise RemoteError(f"the field {name!r} is not a whole number up to {limit}")
    return value


def _choice(value: Any, name: str, choices: dict[str, T]) -> T:
    found = choices.get(value) if isinstance(value, str) else None
    if found is None:
        raise RemoteError(f"the field {name!r} is none of {', '.join(choices)}")
    return found


def _path(value: Any) -> str:
    if not isinstance(value, str) or len(value.encode(errors="surrogatepass")) > PATH_BYTES_MAX:
        raise RemoteError(f"the field 'path' is not a text of at most {PATH_BYTES_MAX} bytes")
    return value


def _text(value: Any) -> str:
    """A stranger's words for our error line: short, and without control characters that could move a terminal."""
    if not isinstance(value, str):
        raise RemoteError("the field 'text' is not a text")
    return "".join(character if character.isprintable() else " " for character in value[:TEXT_CHARACTERS_MAX])


def _cid(value: Any) -> Cid:
    if not isinstance(value, bytes):
        raise RemoteError("a CID in a message is not bytes")
    try:
        return decode_cid(value)
    except UsageError as error:
        raise RemoteError(error.message) from error
