"""Blocks after the merge: header (Prague's 21 fields), receipts, logs and their bloom. Hashes are 32 bytes."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from eth_hash.auto import keccak

from nearcast.chain import rlp
from nearcast.chain.devchain.machine import Log
from nearcast.chain.devchain.transactions import LEGACY, Transaction
from nearcast.chain.devchain.tries import EMPTY_ROOT, list_root

OMMERS_HASH: Final = keccak(rlp.encode([]))
NO_REQUESTS_HASH: Final = hashlib.sha256(b"").digest()  # EIP-7685
ZERO_HASH: Final = bytes(32)
ZERO_ADDRESS: Final = bytes(20)
GAS_LIMIT: Final = 30_000_000  # Ethereum's of the years 2021 to 2024; contracts that fit here fit everywhere
BASE_FEE_FIRST_WEI: Final = 1_000_000_000  # EIP-1559's INITIAL_BASE_FEE
BASE_FEE_CHANGE: Final = 8  # EIP-1559: at most an eighth from block to block
BLOOM_BITS: Final = 2048


@dataclass(frozen=True)
class Header:
    """A block's header. Its hash is keccak-256 of its RLP, which any reader can compute again from these fields."""

    parent_hash: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: bytes
    number: int
    gas_limit: int
    gas_used: int
    timestamp_s: int
    randomness: bytes
    base_fee_wei: int
    coinbase: bytes = ZERO_ADDRESS
    extra_data: bytes = b""

    @cached_property
    def encoded(self) -> bytes:
        """Its RLP."""
        return rlp.encode(
            [
                self.parent_hash,
                OMMERS_HASH,
                self.coinbase,
                self.state_root,
                self.transactions_root,
                self.receipts_root,
                self.bloom,
                0,  # difficulty: there is none since the merge
                self.number,
                self.gas_limit,
                self.gas_used,
                self.timestamp_s,
                self.extra_data,
                self.randomness,
                bytes(8),  # nonce: none since the merge
                self.base_fee_wei,
                EMPTY_ROOT,  # withdrawals
                0,  # blob gas used
                0,  # excess blob gas
                ZERO_HASH,  # parent beacon block root
                NO_REQUESTS_HASH,
            ]
        )

    @cached_property
    def hash(self) -> bytes:
        """The block's hash."""
        return bytes(keccak(self.encoded))

    def next_base_fee_wei(self) -> int:
        """EIP-1559: the base fee of the block after this one."""
        target = self.gas_limit // 2
        if self.gas_used == target:
            return self.base_fee_wei
        change = self.base_fee_wei * abs(self.gas_used - target) // target // BASE_FEE_CHANGE
        return self.base_fee_wei + max(change, 1) if self.gas_used > target else self.base_fee_wei - change


@dataclass(frozen=True)
class Receipt:
    """What a transaction did. `status` 1 or 0; `revert_data` and `error` only when 0."""

    transaction: Transaction
    status: int
    gas_used: int
    logs: tuple[Log, ...]
    block_number: int
    block_hash: bytes
    index: int
    price_wei: int
    created: bytes | None = None
    revert_data: bytes | None = None
    error: str | None = None
    cumulative_gas_used: int = 0

    @cached_property
    def bloom(self) -> bytes:
        """Of its logs."""
        return bloom_of(self.logs)

    def encoded(self) -> bytes:
        """As it goes into the receipts trie."""
        logs = [[log.address, list(log.topics), log.data] for log in self.logs]
        body = rlp.encode([self.status, self.cumulative_gas_used, self.bloom, logs])
        return body if self.transaction.type == LEGACY else bytes([self.transaction.type]) + body


@dataclass(frozen=True)
class Block:
    """A sealed block. `logs_before` counts the logs of earlier receipts of the same block for log indices."""

    header: Header
    receipts: tuple[Receipt, ...]

    @property
    def number(self) -> int:
        return self.header.number

    @property
    def hash(self) -> bytes:
        return self.header.hash

    @property
    def timestamp_s(self) -> int:
        return self.header.timestamp_s


def genesis_header(state_root: bytes, timestamp_s: int) -> Header:
    """Block 0."""
    return Header(
        parent_hash=ZERO_HASH,
        state_root=state_root,
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        bloom=bytes(BLOOM_BITS // 8),
        number=0,
        gas_limit=GAS_LIMIT,
        gas_used=0,
        timestamp_s=timestamp_s,
        randomness=ZERO_HASH,
        base_fee_wei=BASE_FEE_FIRST_WEI,
    )


def seal(header: Header, receipts: tuple[Receipt, ...]) -> Block:
    """The block of these receipts: roots, bloom and gas filled in."""
    header = replace(
        header,
        transactions_root=list_root([receipt.transaction.raw for receipt in receipts]),
        receipts_root=list_root([receipt.encoded() for receipt in receipts]),
        bloom=bloom_of(tuple(log for receipt in receipts for log in receipt.logs)),
        gas_used=receipts[-1].cumulative_gas_used if receipts else 0,
    )
    return Block(header, tuple(replace(receipt, block_hash=header.hash) for receipt in receipts))


def bloom_of(logs: tuple[Log, ...]) -> bytes:
    """The 2048-bit filter of addresses and topics (yellow paper 4.3.1)."""
    bits = 0
    for word in {word for log in logs for word in (log.address, *log.topics)}:
        digest = keccak(word)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") % BLOOM_BITS)
    return bits.to_bytes(BLOOM_BITS // 8, "big")
