"""What a chain's endpoint tells, parsed: numbers, bytes, blocks, receipts and logs.

An endpoint is somebody else's machine. Every field is checked for form and size, and what it was asked about must be
what it answers about; anything else is a ChainError and never an exception of ours. Source: Ethereum JSON-RPC, "Hex
value encoding".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from nearcast.chain import rlp
from nearcast.errors import ChainError

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
LOG_TOPICS_MAX = 4  # the machine's own bound: LOG0 to LOG4
EXTRA_DATA_BYTES_MAX = 1024  # 32 on Ethereum; rollups and test chains write more
# The header's fields in their order; a chain has the first fifteen, and each fork since London added the next.
_HEADER_FIELDS = (
    ("parentHash", 32), ("sha3Uncles", 32), ("miner", 20), ("stateRoot", 32), ("transactionsRoot", 32),
    ("receiptsRoot", 32), ("logsBloom", 256), ("difficulty", None), ("number", None), ("gasLimit", None),
    ("gasUsed", None), ("timestamp", None), ("extraData", 0), ("mixHash", 32), ("nonce", 8), ("baseFeePerGas", None),
    ("withdrawalsRoot", 32), ("blobGasUsed", None), ("excessBlobGas", None), ("parentBeaconBlockRoot", 32),
    ("requestsHash", 32),
)  # fmt: skip
_HEADER_FIELDS_MIN = 15


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header. `header` is its RLP when that hashes to `hash`, as evidence needs it; else None."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp_s: int
    base_fee_wei: int  # 0 on chains that have none
    gas_limit: int
    header: bytes | None


@dataclass(frozen=True, slots=True)
class Log:
    """One event that a contract wrote. Its place is (block_number, index)."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    index: int  # among the logs of its block


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a mined transaction. `fee_wei` is what its sender paid for it."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int
    gas_price_wei: int
    contract_address: bytes | None
    logs: tuple[Log, ...]

    @property
    def fee_wei(self) -> int:
        return self.gas_used * self.gas_price_wei


@dataclass(frozen=True, slots=True)
class TransactionPlace:
    """Where the chain has a transaction: in a block, or waiting (`block_number` None)."""

    hash: bytes
    sender: bytes
    nonce: int
    block_number: int | None


def to_hex(value: bytes | int) -> str:
    """`0x…` for a request: bytes as data, an int as a quantity."""
    return hex(value) if isinstance(value, int) else "0x" + value.hex()


def quantity(value: Any, name: str, bits: int = 256) -> int:
    """A number written as `0x…`. Raises ChainError."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value) or int(value, 16) >> bits:
        raise ChainError(f"the endpoint says {value!r:.60} for {name}, which is no quantity")
    return int(value, 16)


def data(value: Any, name: str, size_bytes: int | None = None) -> bytes:
    """Bytes written as `0x…`, of exactly `size_bytes` when that is given. Raises ChainError."""
    is_data = isinstance(value, str) and _DATA.fullmatch(value) is not None
    if not is_data or (size_bytes is not None and len(value) != 2 + 2 * size_bytes):
        raise ChainError(f"the endpoint says {value!r:.60} for {name}, which is not its bytes")
    return bytes.fromhex(value[2:])


def fields(value: Any, name: str) -> Mapping[str, Any]:
    """A JSON object. Raises ChainError."""
    if not isinstance(value, dict):
        raise ChainError(f"the endpoint says {value!r:.60} for {name}, which is no object")
    return value


def parse_block(value: Any) -> Block:
    """A block as eth_getBlockByNumber and eth_getBlockByHash tell it. Raises ChainError."""
    told = fields(value, "a block")
    block_hash = data(told.get("hash"), "a block's hash", 32)
    return Block(
        number=quantity(told.get("number"), "a block's number", 63),
        hash=block_hash,
        parent_hash=data(told.get("parentHash"), "a block's parent", 32),
        timestamp_s=quantity(told.get("timestamp"), "a block's time", 63),
        base_fee_wei=quantity(told.get("baseFeePerGas", "0x0"), "the base fee", 128),
        gas_limit=quantity(told.get("gasLimit"), "the gas limit", 63),
        header=_header(told, block_hash),
    )


def _header(told: Mapping[str, Any], block_hash: bytes) -> bytes | None:
    """The header's RLP, or None when the fields we know do not hash to the block's hash (a newer fork, a lie)."""
    items: list[bytes | int] = []
    try:
        for index, (name, size_bytes) in enumerate(_HEADER_FIELDS):
            if index >= _HEADER_FIELDS_MIN and told.get(name) is None:
                break
            text = told.get(name)
            items.append(quantity(text, name) if size_bytes is None else data(text, name, size_bytes or None))
    except ChainError:
        return None
    header = rlp.encode(items)
    return header if keccak(header) == block_hash else None


def parse_log(value: Any) -> Log:
    """A log as eth_getLogs and receipts tell it. Raises ChainError, also for one of a block that was left behind."""
    told = fields(value, "a log")
    if told.get("removed") not in (None, False):
        raise ChainError("the endpoint tells of a log in a block that is not on the chain any more")
    topics = told.get("topics")
    if not isinstance(topics, list) or len(topics) > LOG_TOPICS_MAX:
        raise ChainError(f"the endpoint says {topics!r:.60} for a log's topics")
    return Log(
        address=data(told.get("address"), "a log's address", 20),
        topics=tuple(data(topic, "a topic", 32) for topic in topics),
        data=data(told.get("data"), "a log's data"),
        block_number=quantity(told.get("blockNumber"), "a log's block", 63),
        block_hash=data(told.get("blockHash"), "a log's block", 32),
        transaction_hash=data(told.get("transactionHash"), "a log's transaction", 32),
        index=quantity(told.get("logIndex"), "a log's index", 32),
    )


def parse_receipt(value: Any) -> Receipt:
    """A receipt whose logs are all its own. Raises ChainError."""
    told = fields(value, "a receipt")
    logs = told.get("logs")
    contract = told.get("contractAddress")
    receipt = Receipt(
        transaction_hash=data(told.get("transactionHash"), "a receipt's transaction", 32),
        block_number=quantity(told.get("blockNumber"), "a receipt's block", 63),
        block_hash=data(told.get("blockHash"), "a receipt's block", 32),
        succeeded=quantity(told.get("status"), "a receipt's status", 1) == 1,
        gas_used=quantity(told.get("gasUsed"), "the gas used", 63),
        gas_price_wei=quantity(told.get("effectiveGasPrice"), "the gas price", 128),
        contract_address=None if contract is None else data(contract, "a contract's address", 20),
        logs=tuple(parse_log(log) for log in logs) if isinstance(logs, list) else (),
    )
    if not isinstance(logs, list) or not _are_of(receipt, receipt.logs):
        raise ChainError("the endpoint's receipt holds logs of another transaction")
    return receipt


def _are_of(receipt: Receipt, logs: Iterable[Log]) -> bool:
    own = (receipt.transaction_hash, receipt.block_hash)
    return all((log.transaction_hash, log.block_hash) == own for log in logs)


def parse_place(value: Any) -> TransactionPlace:
    """What eth_getTransactionByHash tells, as far as we use it. Raises ChainError."""
    told = fields(value, "a transaction")
    number = told.get("blockNumber")
    return TransactionPlace(
        hash=data(told.get("hash"), "a transaction's hash", 32),
        sender=data(told.get("from"), "a transaction's sender", 20),
        nonce=quantity(told.get("nonce"), "a transaction's nonce", 64),
        block_number=None if number is None else quantity(number, "a transaction's block", 63),
    )
