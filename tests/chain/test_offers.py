"""Offers: the Court's digests, whose they are, and what an honest node does not offer."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.parties import CHAIN_ID, PAYER, RECEIVER, typed_digest

from nearcast.chain.eip712 import keccak
from nearcast.chain.offers import (
    LISTING_MARGIN_S,
    Listing,
    Offer,
    court_domain,
    may_offer,
    offer_signer,
    parse_offer,
    sign_offer,
)
from nearcast.errors import RemoteError, UsageError

COURT = bytes.fromhex("4e65617200000000000000000000000000000006")
DOMAIN = court_domain(CHAIN_ID, COURT)
OFFER = Offer(keccak(b"root"), PAYER.address, 10_000, 1 << 30, 1_234_567, keccak(b"block"))
TYPES = {
    "Offer": [
        {"name": "root", "type": "bytes32"},
        {"name": "client", "type": "address"},
        {"name": "pricePerGib", "type": "uint64"},
        {"name": "sizeBytes", "type": "uint64"},
        {"name": "blockNumber", "type": "uint64"},
        {"name": "blockHash", "type": "bytes32"},
    ]
}
words = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**64 - 1)
offers = st.builds(Offer, words, st.binary(min_size=20, max_size=20), numbers, numbers, numbers, words)


@given(offers)
def test_digests_are_those_of_eth_account(offer: Offer) -> None:
    domain = {"name": "Nearcast Court", "version": "1", "chainId": CHAIN_ID, "verifyingContract": f"0x{COURT.hex()}"}
    message = dict(zip((field["name"] for field in TYPES["Offer"]), offer.as_tuple(), strict=True))
    message["client"] = f"0x{offer.client.hex()}"
    assert offer.digest(DOMAIN) == typed_digest(domain, TYPES, message)


@given(offers)
def test_the_fields_go_there_and_back(offer: Offer) -> None:
    assert parse_offer(offer.as_fields()) == offer


def test_an_offer_is_one_node_s_for_one_court() -> None:
    signature = sign_offer(DOMAIN, OFFER, RECEIVER)
    assert offer_signer(DOMAIN, OFFER, signature) == RECEIVER.address
    for domain in (court_domain(CHAIN_ID + 1, COURT), court_domain(CHAIN_ID, bytes(20))):
        assert offer_signer(domain, OFFER, signature) != RECEIVER.address
    for change in ({"price_units_per_gib": 9_999}, {"client": RECEIVER.address}, {"block_number": 1}):
        assert offer_signer(DOMAIN, replace(OFFER, **change), signature) != RECEIVER.address
    with pytest.raises(RemoteError, match="65 bytes"):
        offer_signer(DOMAIN, OFFER, signature[:64])


@pytest.mark.parametrize("bad", [None, True, -1, 2**64, "", "0x00", b"", b"\0" * 31, b"\0" * 33, 1.0, [], {}], ids=repr)
def test_hostile_fields_are_refused(bad: object) -> None:
    for name in OFFER.as_fields():
        with pytest.raises(RemoteError):
            parse_offer({**OFFER.as_fields(), name: bad})
        with pytest.raises(RemoteError, match=name):
            parse_offer({key: value for key, value in OFFER.as_fields().items() if key != name})
    with pytest.raises(RemoteError):
        parse_offer(bad)


@pytest.mark.parametrize(
    "change", [{"root": b""}, {"client": bytes(32)}, {"size_bytes": 2**64}, {"block_number": -1}], ids=str
)
def test_no_offer_that_does_not_fit_the_contract(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(OFFER, **change)


@pytest.mark.parametrize(
    ("block_time_s", "allowed"),
    [
        (10_000 - LISTING_MARGIN_S - 1, True),
        (10_000 - LISTING_MARGIN_S, False),
        (10_000, False),
        (20_000, False),
        (20_000 + LISTING_MARGIN_S - 1, False),
        (20_000 + LISTING_MARGIN_S, True),
    ],
)
def test_a_listed_digest_is_not_offered_while_the_entry_counts(block_time_s: int, allowed: bool) -> None:
    assert may_offer([Listing(10_000, 20_000)], block_time_s) is allowed
    assert may_offer([Listing(10_000, 20_000), Listing(1 << 39)], block_time_s) is allowed
    assert may_offer([], block_time_s)


def test_an_entry_that_does_not_lapse_counts_for_ever() -> None:
    assert not may_offer([Listing(10_000)], 1 << 39)
    assert may_offer([Listing(10_000)], 9_000)
