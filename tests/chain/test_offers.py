"""Offers: the Court's digests, whose they are, and what an honest node does not offer."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.parties import CHAIN_ID, PAYER, RECEIVER, typed_digest
from tests.contracts.world import World, shared

from nearcast.chain.eip712 import keccak
from nearcast.chain.offers import (
    LIST_AGE_MAX_S,
    Listing,
    Offer,
    court_domain,
    may_offer,
    offer_signer,
    parse_offer,
    sign_offer,
)
from nearcast.chain.prices import RATE_WINDOW_BLOCKS_MAX
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


@pytest.fixture
def world() -> Iterator[World]:
    with shared().fork() as fork:
        yield fork


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
    ("listing", "block_time_s", "allowed"),
    [
        (Listing(10_000), 9_999, True),
        (Listing(10_000), 10_000, False),
        (Listing(10_000), 11_000, False),
        (Listing(5_000, lapses_at_s=8_999), 9_500, True),
        (Listing(5_000, lapses_at_s=9_000), 9_500, True),
        (Listing(5_000, lapses_at_s=9_001), 9_500, False),  # ratified since, for all that is known
    ],
)
def test_a_listed_digest_is_not_offered_while_the_entry_may_count(
    listing: Listing, block_time_s: int, allowed: bool
) -> None:
    assert may_offer([listing], list_read_at_s=9_000, block_timestamp_s=block_time_s) is allowed
    assert may_offer([Listing(1 << 39), listing], list_read_at_s=9_000, block_timestamp_s=block_time_s) is allowed


def test_an_old_list_allows_nothing() -> None:
    assert may_offer([], list_read_at_s=9_000, block_timestamp_s=9_000 + LIST_AGE_MAX_S - 1)
    assert not may_offer([], list_read_at_s=9_000, block_timestamp_s=9_000 + LIST_AGE_MAX_S)


def test_the_court_agrees_on_digests_and_bounds(world: World) -> None:
    for offer in (OFFER, replace(OFFER, price_units_per_gib=2**64 - 1, size_bytes=0)):
        assert world.court.call("offerDigest", offer.as_tuple()) == offer.digest(DOMAIN)
    assert world.court.call("RATE_WINDOW_BLOCKS_MAX") == RATE_WINDOW_BLOCKS_MAX
    for window in ("COMPLIANCE_WINDOW_MIN", "EMERGENCY_WINDOW_MIN"):
        assert world.blacklist.call(window) >= LIST_AGE_MAX_S
