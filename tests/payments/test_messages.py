"""What payer and payee say survives the wire, and whatever strangers say is either understood or a RemoteError."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.parties import AUTHORIZER, CHAIN_ID, CONFIG, PAYER

from nearcast.chain.vouchers import settlement_domain
from nearcast.errors import RemoteError
from nearcast.fields import WORDS_CHARACTERS_MAX
from nearcast.payments.messages import (
    Hello,
    Promise,
    Stop,
    Unwelcome,
    Welcome,
    answer_fields,
    hello_fields,
    is_hello,
    is_proven,
    parse_answer,
    parse_hello,
    parse_payers_word,
    promise_fields,
    proof_of,
    stop_fields,
)
from nearcast.wire import HEADER_BYTES, decode_message, encode_message

DOMAIN = settlement_domain(CHAIN_ID)
NOTHING = Promise(0, b"")
PROMISE = Promise(7, b"s" * 65)
HELLO = Hello(CHAIN_ID, CONFIG, proof_of(DOMAIN, CONFIG, AUTHORIZER), PROMISE)
NONCE = b"n" * 16


def over_the_wire(fields: dict[str, Any]) -> Any:
    return decode_message(encode_message(fields)[HEADER_BYTES:])


@pytest.mark.parametrize("promise", [NOTHING, PROMISE, Promise(2**63 - 1, b"s" * 65)])
def test_a_hello_survives_the_wire(promise: Promise) -> None:
    said = over_the_wire(hello_fields(replace(HELLO, promise=promise)))
    assert is_hello(said)
    assert parse_hello(said) == replace(HELLO, promise=promise)


@pytest.mark.parametrize("word", [PROMISE, NOTHING, Stop(NONCE)])
def test_what_a_payer_says_later_survives_the_wire(word: Promise | Stop) -> None:
    fields = promise_fields(word) if isinstance(word, Promise) else stop_fields(word)
    assert parse_payers_word(over_the_wire(fields)) == word


@pytest.mark.parametrize("answer", [Welcome(NOTHING, 0), Welcome(PROMISE, 2**60), Unwelcome("no"), Unwelcome("")])
def test_what_a_payee_says_survives_the_wire(answer: Welcome | Unwelcome) -> None:
    assert parse_answer(over_the_wire(answer_fields(answer))) == answer


def test_only_who_holds_the_voucher_key_can_say_hello() -> None:
    assert is_proven(DOMAIN, HELLO)
    assert not is_proven(DOMAIN, replace(HELLO, proof=proof_of(DOMAIN, CONFIG, PAYER)))
    other = replace(CONFIG, salt=bytes(32))
    assert not is_proven(DOMAIN, replace(HELLO, config=other))
    assert not is_proven(settlement_domain(CHAIN_ID + 1), HELLO)


@pytest.mark.parametrize(
    "wrong",
    [
        {"chain": -1},
        {"chain": True},
        {"chain": 1 << 63},
        {"config": None},
        {"config": list(CONFIG.as_tuple())[:6]},
        {"config": [*CONFIG.as_tuple(), 1]},
        {"config": [b"short", *CONFIG.as_tuple()[1:]]},
        {"config": [*CONFIG.as_tuple()[:5], 1, CONFIG.salt]},
        {"config": [bytes(20), *CONFIG.as_tuple()[1:]]},
        {"proof": None},
        {"proof": b"p" * 64},
        {"units": -1},
        {"units": 1 << 63},
        {"units": 1.0},
        {"units": 0},
        {"signature": b""},
        {"signature": b"s" * 64},
        {"signature": "s" * 65},
    ],
)
def test_a_field_out_of_its_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RemoteError):
        parse_hello({**hello_fields(HELLO), **wrong})


@pytest.mark.parametrize("value", [None, [], "pay", 7, {}, {"stop": b"short"}, {"stop": None}, {"units": 1}])
def test_what_is_no_word_of_a_payer_is_refused(value: Any) -> None:
    with pytest.raises(RemoteError):
        parse_payers_word(value)


@pytest.mark.parametrize("value", [None, [], {}, {"ok": 1}, {"ok": True}, {"ok": False, "text": b""}])
def test_what_is_no_answer_is_refused(value: Any) -> None:
    with pytest.raises(RemoteError):
        parse_answer(value)


def test_another_protocol_or_version_is_no_hello() -> None:
    assert not is_hello({**hello_fields(HELLO), "v": 2})
    assert not is_hello({**hello_fields(HELLO), "p": "fetch"})
    assert not is_hello(["pay", 1])


def test_a_later_version_may_add_fields() -> None:
    assert parse_hello({**hello_fields(HELLO), "tip": 5}) == HELLO


def test_a_strangers_text_cannot_move_our_terminal() -> None:
    said = parse_answer({"ok": False, "text": "\x1b[2Jgone\n" + "x" * 9999})
    assert isinstance(said, Unwelcome)
    assert said.text.startswith(" [2Jgone ")
    assert len(said.text) <= WORDS_CHARACTERS_MAX


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20) | st.binary(max_size=70),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["p", "v", "chain", "config", "proof", "units", "signature", "stop", "ok", "text", "capacity"])


@given(JSON_LIKE | st.dictionaries(NAMES, JSON_LIKE), st.dictionaries(NAMES, JSON_LIKE, max_size=3))
def test_whatever_a_stranger_says_is_understood_or_a_remote_error(value: Any, spoilt: dict[str, Any]) -> None:
    lines = []
    for parse in (parse_hello, parse_payers_word, parse_answer):
        for said in (value, {**hello_fields(HELLO), **spoilt}):
            try:
                parse(said)
            except RemoteError as error:
                lines.append(error.message)
    assert "\n" not in "".join(lines)
    assert is_hello(value) in (True, False)
