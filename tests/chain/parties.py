"""Who signs in these tests, and a channel between them; the oracle's view of the same things."""

from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_hash.auto import keccak

from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import ChannelConfig

CHAIN_ID = 31337
PAYER = Signer(keccak(b"payer"))
AUTHORIZER = Signer(keccak(b"payer's authorizer"))
RECEIVER = Signer(keccak(b"receiver"))
TOKEN = bytes.fromhex("4e65617200000000000000000000000000000001")
CONFIG = ChannelConfig(
    payer=PAYER.address,
    payer_authorizer=AUTHORIZER.address,
    receiver=RECEIVER.address,
    receiver_authorizer=RECEIVER.address,
    token=TOKEN,
    withdraw_delay_s=86_400,
    salt=keccak(b"salt"),
)


def typed_digest(domain: dict[str, Any], types: dict[str, Any], message: dict[str, Any]) -> bytes:
    """The digest that eth-account computes."""
    return digest_of(encode_typed_data(domain_data=domain, message_types=types, message_data=message))


def digest_of(signable: SignableMessage) -> bytes:
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def signed_by_eth_account(secret: bytes, digest: bytes) -> bytes:
    return bytes(Account.unsafe_sign_hash(digest, secret).signature)
