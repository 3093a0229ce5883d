"""Registrations: the contract's digests, three keys that each must agree, and nothing the registry would refuse."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.parties import AUTHORIZER, CHAIN_ID, PAYER, RECEIVER
from tests.contracts.world import World, shared

from nearcast.chain.registration import (
    URL_BYTES_MAX,
    URLS_MAX,
    Registration,
    endpoint_message,
    hot_key_digest,
    registration_digest,
    registry_domain,
    sign_registration,
    verify_endpoint,
)
from nearcast.chain.signing import is_signed_by
from nearcast.errors import UsageError
from nearcast.keys import identity_from_secret

REGISTRY = bytes.fromhex("4e65617200000000000000000000000000000003")
DOMAIN = registry_domain(CHAIN_ID, REGISTRY)
ENDPOINT = identity_from_secret(b"\7" * 32)
REGISTRATION = Registration(
    operator=PAYER.address,
    hot_key=RECEIVER.address,
    endpoint_id=ENDPOINT.endpoint_id,
    mbps=1_000,
    region="DE",
    price_units_per_gib=10_000,
    urls=("https://node.example.org/", "https://b.example.org/"),
)
nonces = st.integers(0, 2**256 - 1)


@pytest.fixture
def world() -> Iterator[World]:
    with shared().fork() as fork:
        yield fork


@pytest.mark.parametrize(
    "urls", [(), ("https://a.example/",), ("https://ü.example/", "http://b", "http://c", "http://d")]
)
@pytest.mark.parametrize("nonce", [0, 1, 2**256 - 1])
def test_the_digests_are_those_of_the_contract(world: World, urls: tuple[str, ...], nonce: int) -> None:
    ours = replace(REGISTRATION, urls=urls)
    theirs = world.registry.call("registrationDigest", ours.as_tuple(), nonce)
    assert registration_digest(DOMAIN, ours, nonce) == theirs
    theirs = world.registry.call("hotKeyDigest", ours.operator, ours.hot_key, nonce)
    assert hot_key_digest(DOMAIN, ours.operator, ours.hot_key, nonce) == theirs


def test_the_contract_has_the_same_bounds(world: World) -> None:
    assert (world.registry.call("URLS_MAX"), world.registry.call("URL_BYTES_MAX")) == (URLS_MAX, URL_BYTES_MAX)


def test_all_three_keys_sign() -> None:
    signed = sign_registration(DOMAIN, REGISTRATION, 3, hot_key=RECEIVER, endpoint=ENDPOINT, operator=PAYER)
    assert is_signed_by(PAYER.address, registration_digest(DOMAIN, REGISTRATION, 3), signed.operator_signature)
    hot = hot_key_digest(DOMAIN, PAYER.address, RECEIVER.address, 3)
    assert is_signed_by(RECEIVER.address, hot, signed.hot_key_signature)
    assert verify_endpoint(DOMAIN, PAYER.address, ENDPOINT.endpoint_id, 3, signed.endpoint_signature)
    assert sign_registration(DOMAIN, REGISTRATION, 3, hot_key=RECEIVER, endpoint=ENDPOINT).operator_signature == b""


def test_the_endpoint_s_message_has_the_layout_that_readers_know() -> None:
    message = endpoint_message(DOMAIN, PAYER.address, ENDPOINT.endpoint_id, 258)
    assert message == (
        b"nearcast registration v1\x00"
        + bytes(30)
        + b"\x7a\x69"
        + REGISTRY
        + PAYER.address
        + ENDPOINT.endpoint_id
        + bytes(30)
        + b"\x01\x02"
    )


@given(nonces, st.integers(0, 63), st.integers(1, 255))
def test_an_endpoint_s_signature_is_for_one_chain_registry_operator_and_nonce(
    nonce: int, place: int, flip: int
) -> None:
    endpoint_id = ENDPOINT.endpoint_id
    signature = ENDPOINT.sign(endpoint_message(DOMAIN, PAYER.address, endpoint_id, nonce))
    assert verify_endpoint(DOMAIN, PAYER.address, endpoint_id, nonce, signature)
    assert not verify_endpoint(DOMAIN, AUTHORIZER.address, endpoint_id, nonce, signature)
    assert not verify_endpoint(DOMAIN, PAYER.address, endpoint_id, nonce ^ 1, signature)
    for other in (registry_domain(1, REGISTRY), registry_domain(CHAIN_ID, PAYER.address)):
        assert not verify_endpoint(other, PAYER.address, endpoint_id, nonce, signature)
    changed = bytearray(signature)
    changed[place] ^= flip
    assert not verify_endpoint(DOMAIN, PAYER.address, endpoint_id, nonce, bytes(changed))
    assert not verify_endpoint(DOMAIN, PAYER.address, endpoint_id, nonce, signature[:63])


def test_keys_that_the_registration_does_not_name_do_not_sign() -> None:
    stranger = identity_from_secret(b"\x08" * 32)
    with pytest.raises(UsageError, match="another hot key or endpoint"):
        sign_registration(DOMAIN, REGISTRATION, 0, hot_key=AUTHORIZER, endpoint=ENDPOINT)
    with pytest.raises(UsageError, match="another hot key or endpoint"):
        sign_registration(DOMAIN, REGISTRATION, 0, hot_key=RECEIVER, endpoint=stranger)
    with pytest.raises(UsageError, match="another operator"):
        sign_registration(DOMAIN, REGISTRATION, 0, hot_key=RECEIVER, endpoint=ENDPOINT, operator=AUTHORIZER)


@pytest.mark.parametrize(
    "change",
    [
        {"operator": bytes(20)},
        {"hot_key": bytes(20)},
        {"operator": bytes(19)},
        {"endpoint_id": bytes(32)},
        {"endpoint_id": b"\1" * 31},
        {"mbps": 0},
        {"mbps": 100_001},
        {"region": "de"},
        {"region": "DEU"},
        {"region": "D"},
        {"region": "D1"},
        {"region": "ÄÖ"},
        {"price_units_per_gib": 2**64},
        {"price_units_per_gib": -1},
        {"urls": ("",)},
        {"urls": ("https://" + "a" * 121,)},
        {"urls": ("ü" * 65,)},
        {"urls": ("http://a",) * 5},
    ],
    ids=str,
)
def test_what_the_registry_would_refuse(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(REGISTRATION, **change)
