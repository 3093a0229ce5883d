"""What is said on a delivery stream, and how strictly it is read.

One bidirectional stream carries one request. Everything said is a message frame of wire.py; blocks travel between them.

    probe   {"p": "probe", "v": 1, "roots": [cid…], "hops", "trail"}
            <- {"have": [{"state", "size", "price", "reason"}…]}, in the order asked
    fetch   {"p": "fetch", "v": 1, "root", "path", "want", "spans", "inline", "skip", "shallow", "nonce",
             "channel", "max_price", "hops", "trail"}
            <- {"ok": true, "price", "offer", "signature"} or {"ok": false, "reason", "text"}
            <- block frames; in "leaves" a leaf that is not there is {"missing": [cid, index]} in its place
            <- {"wait": true} between them: nothing follows before something else has happened (a payment, an arrival)
            <- {"end": reason, "text"}

Whoever pays names the channel and the most that it pays for a GiB; the money itself travels on a stream of its own
(payments/messages.py), where the nonce names the fetch that is not wanted any more. An offer is signed where it has a
price (chain/offers.py). `hops` and `trail` say how far a request may be passed on by nodes that lack the content, and
whom it has passed (trail.py).

Invariants: whatever parses here has every field in its type and within its bound; unknown fields are ignored, so that
later versions can add some; a message that does not parse raises RemoteError and nothing else.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from nearcast.chain.offers import Offer as ContentOffer
from nearcast.chain.offers import parse_offer
from nearcast.chain.signing import SIGNATURE_BYTES
from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAVES_MAX
from nearcast.delivery.message_fields import cid_of, path_of
from nearcast.delivery.trail import HOPS_MAX, MARK_BYTES, MARKS_MAX, NO_TRAIL, Trail
from nearcast.errors import RemoteError
from nearcast.fields import (
    WORDS_CHARACTERS_MAX,
    boolean_of,
    bytes_of,
    choice_of,
    exactly,
    integer_of,
    list_of,
    map_of,
    words_of,
)

VERSION = 1
SIZE_BYTES_MAX = 1 << 63  # of what a peer says that it has
ROOTS_MAX = 64  # one probe; guess: a page and everything it links to
SPANS_MAX = 1024  # one fetch; about 45 KiB of request, well under a message's limit
SPAN_LEAVES_MAX = 1 << 16  # leaves asked in one fetch; guess: 64 GiB, far over what a client asks at a time
INLINE_BYTES_MAX = 4 << 20  # guess: a page's worth of leaves sent unasked behind the nodes
SKIP_MAX = 1 << 32  # nodes that the client already has; the walk's own bound is far lower
NONCE_BYTES = 16
CHANNEL_BYTES = 32
PRICE_MAX = 1 << 63  # units per GiB
PRICE_FREE = 0

Want: TypeAlias = Literal["nodes", "leaves", "all"]
State: TypeAlias = Literal["all", "some", "relay", "none", "refused"]
EndReason: TypeAlias = Literal[
    "done", "missing", "changed", "refused", "busy", "error", "unsupported",
    "price", "credit", "listed", "loop", "unpaid", "stopped",
]  # fmt: skip
_WANTS: dict[str, Want] = {"nodes": "nodes", "leaves": "leaves", "all": "all"}
_STATES: dict[str, State] = {state: state for state in get_args(State)}
_REASONS: dict[str, EndReason] = {reason: reason for reason in get_args(EndReason)}


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    roots: tuple[Cid, ...]
    trail: Trail = NO_TRAIL


@dataclass(frozen=True, slots=True)
class Holding:
    """What a peer says that it has of one root. `size_bytes` is its word, not a verified fact.

    `price`: units per GiB that it asks of whoever probes. "relay": it has nothing of it, but can bring it from others.
    `is_listed`: it refuses because the content is on the chain's blacklist, as it says.
    """

    SERVABLE: ClassVar[frozenset[State]] = frozenset({"all", "some"})

    state: State
    size_bytes: int | None
    price: int = PRICE_FREE
    is_listed: bool = False


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
    `channel`: the id of the one that pays, at most `max_price` units per GiB; None and 0: nothing is paid.
    """

    root: Cid
    path: str
    want: Want
    spans: tuple[LeafSpan, ...]
    inline_bytes: int
    nonce: bytes
    skip: int = 0
    shallow: bool = False
    channel: bytes | None = None
    max_price: int = PRICE_FREE
    trail: Trail = NO_TRAIL


@dataclass(frozen=True, slots=True)
class SignedOffer:
    """What makes an offer evidence: the statement, and 65 bytes of the hot key's signature, not yet verified."""

    offer: ContentOffer
    signature: bytes


@dataclass(frozen=True, slots=True)
class Offer:
    """It serves, at so many units per GiB. `signed` is there exactly where the price is above 0."""

    price: int
    signed: SignedOffer | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: EndReason
    text: str


@dataclass(frozen=True, slots=True)
class MissingLeaf:
    cid: Cid
    index: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The answer goes on later. Whoever reads blocks together with what follows them has all of them now."""


@dataclass(frozen=True, slots=True)
class End:
    reason: EndReason
    text: str


def request_fields(request: ProbeRequest | FetchRequest) -> dict[str, Any]:
    """The request as a message's value."""
    trail = request.trail
    way: dict[str, Any] = {"hops": trail.hops, "trail": list(trail.marks)} if trail.marks else {}
    match request:
        case ProbeRequest():
            return {"p": "probe", "v": VERSION, "roots": [root.to_bytes() for root in request.roots], **way}
        case FetchRequest():
            money = {"channel": request.channel, "max_price": request.max_price} if request.channel else {}
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
                **money,
                **way,
            }


def parse_request(value: Any) -> ProbeRequest | FetchRequest | None:
    """The request, or None when it names a protocol or version that we do not speak. Raises RemoteError."""
    fields = map_of(value, "a request")
    protocol = fields.get("p")
    if not isinstance(protocol, str) or protocol not in ("probe", "fetch") or fields.get("v") != VERSION:
        return None
    if protocol == "probe":
        roots = tuple(cid_of(item) for item in list_of(fields.get("roots"), "the roots of a probe", ROOTS_MAX))
        return ProbeRequest(roots, _trail(fields))
    return _parse_fetch(fields)


def _parse_fetch(fields: dict[str, Any]) -> FetchRequest:
    spans = tuple(_span(item) for item in list_of(fields.get("spans", []), "the spans", SPANS_MAX))
    if sum(span.count for span in spans) > SPAN_LEAVES_MAX:
        raise RemoteError(f"a request for more than {SPAN_LEAVES_MAX} leaves")
    channel = fields.get("channel")
    return FetchRequest(
        root=cid_of(fields.get("root")),
        path=path_of(fields.get("path", "")),
        want=choice_of(fields.get("want"), "what is wanted", _WANTS),
        spans=spans,
        inline_bytes=integer_of(fields.get("inline", 0), "the bytes inline", INLINE_BYTES_MAX),
        nonce=bytes_of(fields.get("nonce"), "the nonce", NONCE_BYTES),
        skip=integer_of(fields.get("skip", 0), "what to skip", SKIP_MAX),
        shallow=boolean_of(fields.get("shallow", False), "whether it is shallow"),
        channel=None if channel is None else bytes_of(channel, "the channel", CHANNEL_BYTES),
        max_price=integer_of(fields.get("max_price", PRICE_FREE), "the highest price", PRICE_MAX),
        trail=_trail(fields),
    )


def _trail(fields: dict[str, Any]) -> Trail:
    marks = list_of(fields.get("trail", []), "the trail", MARKS_MAX)
    hops = integer_of(fields.get("hops", 0), "the hops", HOPS_MAX)
    return Trail(hops, tuple(bytes_of(mark, "a mark of the trail", MARK_BYTES) for mark in marks))


def holdings_fields(holdings: list[Holding]) -> dict[str, Any]:
    """The answer to a probe as a message's value."""
    return {"have": [_holding_fields(holding) for holding in holdings]}


def _holding_fields(holding: Holding) -> dict[str, Any]:
    """The reason is a field of its own: nodes of the version before know the state "refused", and skip the rest."""
    reason = {"reason": "listed"} if holding.is_listed else {}
    return {"state": holding.state, "size": holding.size_bytes, "price": holding.price, **reason}


def parse_holdings(value: Any, count: int) -> list[Holding]:
    """The answer to a probe for `count` roots. Raises RemoteError."""
    fields = map_of(value, "an answer")
    if "end" in fields:
        raise RemoteError(f"the probe was refused: {words_of(fields.get('text', ''), 'the text')}")
    items = list_of(fields.get("have"), "what it has", ROOTS_MAX)
    if len(items) != count:
        raise RemoteError(f"{len(items)} answers to a probe for {count} roots")
    return [_holding(map_of(item, "an answer to a probe")) for item in items]


def answer_fields(answer: Offer | Refusal | MissingLeaf | Wait | End) -> dict[str, Any]:
    """What the serving side says during a fetch, as a message's value."""
    match answer:
        case Offer():
            return {"ok": True, "price": answer.price, **_signed_fields(answer.signed)}
        case Refusal():
            return {"ok": False, "reason": answer.reason, "text": answer.text[:WORDS_CHARACTERS_MAX]}
        case MissingLeaf():
            return {"missing": [answer.cid.to_bytes(), answer.index]}
        case Wait():
            return {"wait": True}
        case End():
            return {"end": answer.reason, "text": answer.text[:WORDS_CHARACTERS_MAX]}


def _signed_fields(signed: SignedOffer | None) -> dict[str, Any]:
    return {} if signed is None else {"offer": signed.offer.as_fields(), "signature": signed.signature}


def parse_answer(value: Any) -> Offer | Refusal | MissingLeaf | Wait | End:
    """What the serving side said. Raises RemoteError when it is none of the five."""
    fields = map_of(value, "an answer")
    if fields.get("ok") is True:
        return _offer(fields)
    if fields.get("ok") is False:
        return Refusal(
            choice_of(fields.get("reason"), "the reason", _REASONS), words_of(fields.get("text", ""), "the text")
        )
    if "missing" in fields:
        cid, index = exactly(fields["missing"], "a missing leaf", 2)
        return MissingLeaf(cid_of(cid), integer_of(index, "the index of a missing leaf", LEAVES_MAX))
    if fields.get("wait") is True:
        return Wait()
    return End(choice_of(fields.get("end"), "the end", _REASONS), words_of(fields.get("text", ""), "the text"))


def _offer(fields: dict[str, Any]) -> Offer:
    """With a price, the statement and its signature must be there, and the statement must name the same price."""
    price = integer_of(fields.get("price"), "the price", PRICE_MAX)
    if price == PRICE_FREE:
        return Offer(price)
    offer = parse_offer(fields.get("offer"))
    if offer.price_units_per_gib != price:
        raise RemoteError("the offer that was signed has another price")
    return Offer(price, SignedOffer(offer, bytes_of(fields.get("signature"), "the signature", SIGNATURE_BYTES)))


def _holding(fields: dict[str, Any]) -> Holding:
    size, state = fields.get("size"), choice_of(fields.get("state"), "the state", _STATES)
    return Holding(
        state=state,
        size_bytes=None if size is None else integer_of(size, "the size", SIZE_BYTES_MAX),
        price=integer_of(fields.get("price", PRICE_FREE), "the price", PRICE_MAX),
        is_listed=state == "refused" and fields.get("reason") == "listed",  # later versions may know other reasons
    )


def _span(value: Any) -> LeafSpan:
    cid, first, count = exactly(value, "a span", 3)
    first = integer_of(first, "the first leaf of a span", LEAVES_MAX)
    return LeafSpan(cid_of(cid), first, integer_of(count, "the count of a span", LEAVES_MAX))
