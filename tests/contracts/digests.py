"""EIP-712 digests of everything our contracts take signatures of, from the type strings and nothing else.

A second opinion: neither the contracts nor `nearcast.chain.eip712` are asked.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak
from tests.contracts.codec import plain

CHAIN_ID = 31337  # of the dev chain


@cache
def separator(name: str, version: str, contract: bytes, chain_id: int = CHAIN_ID) -> bytes:
    """The hash of a domain (EIP-712, "Definition of domainSeparator")."""
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    words = [keccak(kind), keccak(name.encode()), keccak(version.encode()), chain_id, contract]
    return bytes(keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], words)))


def struct_hash(kind: str, values: Sequence[Any]) -> bytes:
    """Of a flat struct given by its type string; a bytes32 in place of a struct or an array is the hash of it."""
    fields = kind[kind.index("(") + 1 : kind.index(")")].split(",")
    types = [field.split(" ")[0] for field in fields]
    plain_types = [word if word in _ATOMS else "bytes32" for word in types]
    return bytes(keccak(keccak(kind.encode()) + encode(plain_types, [plain(value) for value in values])))


def typed(domain: bytes, struct: bytes) -> bytes:
    """What is signed."""
    return bytes(keccak(b"\x19\x01" + domain + struct))


_ATOMS = {"address", "bytes32", "bytes2", "uint256", "uint128", "uint64", "uint40", "uint32"}

CHANNEL = (
    "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,"
    "address token,uint40 withdrawDelay,bytes32 salt)"
)
VOUCHER = "Voucher(bytes32 channelId,uint128 maxClaimableAmount)"
REFUND = "Refund(bytes32 channelId,uint256 nonce,uint128 amount)"
CLAIM_ENTRY = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
CLAIM_BATCH = "ClaimBatch(ClaimEntry[] claims)" + CLAIM_ENTRY
RECEIVE = (
    "ReceiveWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
OFFER = "Offer(bytes32 root,address client,uint64 pricePerGib,uint64 sizeBytes,uint64 blockNumber,bytes32 blockHash)"


def settlement_domain(contract: bytes, chain_id: int = CHAIN_ID) -> bytes:
    """Of x402's batch settlement."""
    return separator("x402 Batch Settlement", "1", contract, chain_id)


def channel_id(domain: bytes, config: Sequence[Any]) -> bytes:
    """A channel's name."""
    return typed(domain, struct_hash(CHANNEL, config))


def voucher_digest(domain: bytes, channel: bytes, ceiling: int) -> bytes:
    """What a payer signs."""
    return typed(domain, struct_hash(VOUCHER, (channel, ceiling)))


def refund_digest(domain: bytes, channel: bytes, nonce: int, amount: int) -> bytes:
    """What a receiver signs to give units back."""
    return typed(domain, struct_hash(REFUND, (channel, nonce, amount)))


def claim_batch_digest(domain: bytes, rows: Sequence[tuple[bytes, int, int]]) -> bytes:
    """What a receiver signs over rows of (channel, ceiling, claimed)."""
    entries = keccak(b"".join(struct_hash(CLAIM_ENTRY, row) for row in rows))
    return typed(domain, bytes(keccak(keccak(CLAIM_BATCH.encode()) + entries)))


def receive_digest(
    token: bytes, giver: Any, taker: Any, units: int, after_s: int, before_s: int, nonce: bytes
) -> bytes:
    """What an owner of the dollar signs, so that `taker` can fetch `units` (EIP-3009)."""
    return typed(separator("USDC", "2", token), struct_hash(RECEIVE, (giver, taker, units, after_s, before_s, nonce)))


def offer_digest(court: bytes, offer: Sequence[Any], chain_id: int = CHAIN_ID) -> bytes:
    """What a node's hot key signs."""
    return typed(separator("Nearcast Court", "1", court, chain_id), struct_hash(OFFER, offer))
