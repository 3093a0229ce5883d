"""What is said survives the wire, and whatever strangers say is either understood or a RemoteError."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day

from nearcast.chain.offers import Offer as ContentOffer
from nearcast.content.cid import dag_pb_cid, raw_cid
from nearcast.delivery.messages import (
    INLINE_BYTES_MAX,
    ROOTS_MAX,
    SPAN_LEAVES_MAX,
    SPANS_MAX,
    End,
    FetchRequest,
    Holding,
    LeafSpan,
    MissingLeaf,
    Offer,
    ProbeRequest,
    Refusal,
    SignedOffer,
    Wait,
    answer_fields,
    holdings_fields,
    parse_answer,
    parse_holdings,
    parse_request,
    request_fields,
)
from nearcast.delivery.trail import Trail
from nearcast.errors import RemoteError
from nearcast.wire import HEADER_BYTES, decode_message, encode_message

ROOT = dag_pb_cid(b"r" * 32)
LEAF = raw_cid(b"l" * 32)
FETCH = FetchRequest(ROOT, "a/b", "leaves", (LeafSpan(ROOT, 3, 4), LeafSpan(LEAF, 0, 1)), 7, b"n" * 16, 9, True)
TRAIL = Trail(2, (b"trail id", b"marktwo "))
PAID = FetchRequest(ROOT, "", "nodes", (), 0, b"n" * 16, channel=b"c" * 32, max_price=20_000, trail=TRAIL)
SIGNED = SignedOffer(ContentOffer(b"r" * 32, b"p" * 20, 10_000, 5, 77, b"h" * 32), b"s" * 65)
PRICED = Offer(10_000, SIGNED)


def over_the_wire(fields: dict[str, Any]) -> Any:
    return decode_message(encode_message(fields)[HEADER_BYTES:])


@pytest.mark.parametrize("request_said", [FETCH, PAID, ProbeRequest((ROOT, LEAF), TRAIL), ProbeRequest(())])
def test_requests_survive_the_wire(request_said: FetchRequest | ProbeRequest) -> None:
    assert parse_request(over_the_wire(request_fields(request_said))) == request_said


@pytest.mark.parametrize(
    "answer",
    [Offer(0), PRICED, Refusal("price", "dear"), MissingLeaf(LEAF, 5), Wait(), End("unpaid", ""), End("done", "")],
)
def test_answers_survive_the_wire(answer: Offer | Refusal | MissingLeaf | Wait | End) -> None:
    assert parse_answer(over_the_wire(answer_fields(answer))) == answer


def test_holdings_survive_the_wire() -> None:
    holdings = [
        Holding("all", 10),
        Holding("none", None),
        Holding("some", 0),
        Holding("refused", None),
        Holding("relay", 7, 5),
        Holding("refused", None, is_listed=True),
    ]
    assert parse_holdings(over_the_wire(holdings_fields(holdings)), 6) == holdings


def test_why_it_is_refused_may_be_left_out_or_be_something_later() -> None:
    """Nodes of the version before say no reason, and read what has one as they always did."""
    (said,) = holdings_fields([Holding("refused", None, is_listed=True)])["have"]
    assert said == {"state": "refused", "size": None, "price": 0, "reason": "listed"}
    for reason in ({}, {"reason": "weather"}, {"reason": ["listed"]}):
        answer = {"have": [{"state": "refused", "size": None, "price": 0, **reason}]}
        assert parse_holdings(over_the_wire(answer), 1) == [Holding("refused", None)]
    assert parse_holdings({"have": [{**said, "state": "none"}]}, 1) == [Holding("none", None)]


def test_an_unknown_protocol_or_version_is_no_error() -> None:
    assert parse_request({"p": "dance", "v": 1}) is None
    assert parse_request({"p": "fetch", "v": 2}) is None
    assert parse_request({}) is None


def test_a_later_version_may_add_fields() -> None:
    assert parse_request({**request_fields(FETCH), "favourite_colour": "blue"}) == FETCH


@pytest.mark.parametrize(
    "wrong",
    [
        {"root": b""},
        {"root": "text"},
        {"path": 5},
        {"path": "p" * 5000},
        {"path": b"\xff"},
        {"want": "everything"},
        {"want": ["nodes"]},
        {"spans": [[ROOT.to_bytes(), 0, 1]] * (SPANS_MAX + 1)},
        {"spans": [[ROOT.to_bytes(), 0]]},
        {"spans": [[ROOT.to_bytes(), -1, 1]]},
        {"spans": [[ROOT.to_bytes(), 0, SPAN_LEAVES_MAX + 1]]},
        {"spans": [[ROOT.to_bytes(), True, 1]]},
        {"inline": INLINE_BYTES_MAX + 1},
        {"skip": 1.5},
        {"shallow": 1},
        {"nonce": b"short"},
        {"nonce": None},
        {"channel": b"c" * 31},
        {"channel": "c" * 32},
        {"max_price": -1},
        {"max_price": 1 << 64},
        {"hops": 4},
        {"hops": True},
        {"trail": [b"m" * 8] * 9},
        {"trail": [b"m" * 7]},
        {"trail": b"m" * 8},
    ],
)
def test_a_field_out_of_its_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RemoteError):
        parse_request({**request_fields(FETCH), **wrong})


@pytest.mark.parametrize(
    "value", [None, [], "fetch", 7, b"", {"p": "probe", "v": 1, "roots": [b"x"] * (ROOTS_MAX + 1)}]
)
def test_what_is_no_request_is_refused(value: Any) -> None:
    with pytest.raises(RemoteError):
        parse_request(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": -1},
        {"price": 1 << 64},
        {"price": True},
        {"price": 10_001},
        {"offer": None},
        {"offer": {**SIGNED.offer.as_fields(), "root": b"r" * 31}},
        {"offer": {**SIGNED.offer.as_fields(), "size": -1}},
        {"offer": {"price": 10_000}},
        {"signature": b"s" * 64},
        {"signature": None},
    ],
)
def test_an_offer_with_a_price_is_signed_and_whole(wrong: dict[str, Any]) -> None:
    with pytest.raises(RemoteError):
        parse_answer({**answer_fields(PRICED), **wrong})


def test_a_request_that_pays_nothing_and_passes_nobody_says_nothing_of_it() -> None:
    """Nodes of the version before read it as they always did."""
    assert not {"channel", "max_price", "hops", "trail"} & set(request_fields(FETCH))


def test_a_probe_answer_of_another_length_is_refused() -> None:
    with pytest.raises(RemoteError):
        parse_holdings(holdings_fields([Holding("all", 1)]), 2)
    with pytest.raises(RemoteError):
        parse_holdings({"end": "unsupported", "text": ""}, 1)


def test_a_strangers_text_cannot_move_our_terminal() -> None:
    said = parse_answer({"end": "error", "text": "\x1b[2Jgone\n" + "x" * 9999})
    assert isinstance(said, End)
    assert said.text.startswith(" [2Jgone ")
    assert len(said.text) <= 512


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = [
    "p",
    "v",
    "root",
    "path",
    "want",
    "spans",
    "inline",
    "nonce",
    "ok",
    "reason",
    "end",
    "missing",
    "have",
    "price",
]


@by_day(200)
@given(value=st.dictionaries(st.sampled_from(NAMES), JSON_LIKE) | JSON_LIKE)
def test_anything_is_understood_or_a_remote_error(value: Any) -> None:
    lines = []
    for parse in (parse_request, parse_answer, lambda said: parse_holdings(said, 1)):
        try:
            parse(value)
        except RemoteError as error:
            lines.append(error.message)
    assert "\n" not in "".join(lines)


@by_day(100)
@given(name=st.sampled_from(sorted(request_fields(FETCH))), value=JSON_LIKE)
def test_a_request_with_one_field_replaced_is_understood_or_a_remote_error(name: str, value: Any) -> None:
    try:
        said = parse_request({**request_fields(FETCH), name: value})
    except RemoteError:
        return
    assert said is None or isinstance(said, FetchRequest | ProbeRequest)
