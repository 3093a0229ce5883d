"""Signatures: the same as other people's, and every form that a contract would not take refused."""

import os

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.parties import PAYER, signed_by_eth_account

from nearcast.chain.eip712 import ZERO_ADDRESS, keccak
from nearcast.chain.signing import ORDER, Signer, is_signed_by, recover
from nearcast.errors import RemoteError, UsageError

DIGEST = keccak(b"something worth signing")
SIGNATURE = PAYER.sign(DIGEST)


@given(st.binary(min_size=32, max_size=32), st.integers(1, ORDER - 1))
def test_signatures_and_addresses_are_eth_account_s_bit_by_bit(digest: bytes, number: int) -> None:
    secret = number.to_bytes(32)
    signer = Signer(secret)
    assert signer.address == bytes.fromhex(Account.from_key(secret).address[2:])
    signature = signer.sign(digest)
    assert signature == signed_by_eth_account(secret, digest)
    assert recover(digest, signature) == signer.address


def test_the_well_known_first_account() -> None:
    """Of the mnemonic "test test … junk", as every development chain has it."""
    secret = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    assert Signer(secret).address.hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"


def with_v(v: int) -> bytes:
    return SIGNATURE[:64] + bytes([v])


def high_s() -> bytes:
    s = ORDER - int.from_bytes(SIGNATURE[32:64])
    return SIGNATURE[:32] + s.to_bytes(32) + bytes([27 + 28 - SIGNATURE[64]])


def compact() -> bytes:
    """EIP-2098: the parity of v in the highest bit of s."""
    s = int.from_bytes(SIGNATURE[32:64]) | (SIGNATURE[64] - 27) << 255
    return SIGNATURE[:32] + s.to_bytes(32)


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        (high_s(), "high-s"),
        (compact(), "65 bytes, this one is 64"),
        (with_v(0), "27 or 28"),
        (with_v(1), "27 or 28"),
        (with_v(29), "27 or 28"),
        (with_v(255), "27 or 28"),
        (b"", "this one is 0"),
        (SIGNATURE + b"\0", "this one is 66"),
        (bytes(64) + b"\x1b", "no key"),
        (bytes(32) + SIGNATURE[32:], "no key"),
        (SIGNATURE[:32] + bytes(32) + SIGNATURE[64:], "no key"),
        (ORDER.to_bytes(32) + SIGNATURE[32:], "no key"),
    ],
)
def test_forms_that_are_refused(signature: bytes, why: str) -> None:
    with pytest.raises(RemoteError, match=why):
        recover(DIGEST, signature)
    assert not is_signed_by(PAYER.address, DIGEST, signature)
    assert not is_signed_by(ZERO_ADDRESS, DIGEST, signature)


def test_the_high_twin_would_have_been_valid() -> None:
    """So that the test above refuses it for its s, and for nothing else."""
    assert Account._recover_hash(DIGEST, signature=high_s()) == Account.from_key(PAYER.secret).address


@given(st.binary(max_size=70), st.binary(max_size=40))
def test_random_bytes_never_break_it(signature: bytes, digest: bytes) -> None:
    assert not is_signed_by(PAYER.address, digest, signature)


@given(st.integers(0, 64), st.integers(1, 255))
def test_no_changed_byte_is_still_the_signer_s(place: int, flip: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[place] ^= flip
    assert not is_signed_by(PAYER.address, DIGEST, bytes(changed))


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(32), ORDER.to_bytes(32), b"\xff" * 32, bytes(33)])
def test_no_such_secret(secret: bytes) -> None:
    with pytest.raises(UsageError, match="secret") as caught:
        Signer(secret)
    assert secret.hex() == "" or secret.hex() not in str(caught.value)


def test_only_digests_are_signed() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        PAYER.sign(b"a whole message")


def test_a_secret_is_in_no_text() -> None:
    secret = os.urandom(32)
    signer = Signer(secret)
    for text in (repr(signer), str(signer), f"{signer}", repr([signer])):
        assert secret.hex() not in text
        assert repr(secret) not in text
        assert signer.address.hex() in text
    assert not hasattr(signer, "__dict__"), "nothing that shows an object's fields finds the key"
