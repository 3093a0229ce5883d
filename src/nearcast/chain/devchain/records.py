"""What the journal holds, as bytes and back: blocks with what they wrote, waiting transactions, going back, the clock.

A block is kept with its receipts and the cells it wrote, so that a restart applies writes and runs no contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nearcast.chain import rlp
from nearcast.chain.devchain.blocks import Block, Header, Receipt
from nearcast.chain.devchain.cells import CODE, LASTING, STORAGE, Change
from nearcast.chain.devchain.machine import Log
from nearcast.chain.devchain.transactions import decode

_BLOCK, _WAITING, _REVERTED, _CLOCK = 1, 2, 3, 4
_OFFSET_BIAS: Final = 1 << 63  # RLP has no negative numbers


@dataclass(frozen=True)
class Mined:
    """A block and every cell it wrote, with the new value."""

    block: Block
    writes: Sequence[Change]


@dataclass(frozen=True)
class Waiting:
    """A transaction that was accepted and is not in a block yet."""

    raw: bytes


@dataclass(frozen=True)
class Reverted:
    """The chain was cut back to this many blocks."""

    height: int


@dataclass(frozen=True)
class ClockSet:
    """How far the chain's clock is ahead of the machine's."""

    offset_s: int


Record = Mined | Waiting | Reverted | ClockSet


def encode(record: Record) -> bytes:
    """The bytes of one record."""
    match record:
        case Mined(block, writes):
            receipts = [_receipt_row(receipt) for receipt in block.receipts]
            return rlp.encode([_BLOCK, rlp.decode(block.header.encoded), receipts, [_write_row(row) for row in writes]])
        case Waiting(raw):
            return rlp.encode([_WAITING, raw])
        case Reverted(height):
            return rlp.encode([_REVERTED, height])
        case ClockSet(offset_s):
            return rlp.encode([_CLOCK, offset_s + _OFFSET_BIAS])


def decode_record(data: bytes, chain_id: int) -> Record:
    """The record in these bytes; raises ValueError (RlpError among them) when it is none."""
    fields: Any = rlp.decode(data)
    kind = _int(fields[0])
    if kind == _BLOCK:
        header = _header(fields[1])
        return Mined(Block(header, _receipts(fields[2], header, chain_id)), [_change(row) for row in fields[3]])
    if kind == _WAITING:
        return Waiting(fields[1])
    if kind == _REVERTED:
        return Reverted(_int(fields[1]))
    if kind == _CLOCK:
        return ClockSet(_int(fields[1]) - _OFFSET_BIAS)
    raise ValueError(f"a record of kind {kind}")


def _header(fields: list[bytes]) -> Header:
    header = Header(
        parent_hash=fields[0],
        coinbase=fields[2],
        state_root=fields[3],
        transactions_root=fields[4],
        receipts_root=fields[5],
        bloom=fields[6],
        number=_int(fields[8]),
        gas_limit=_int(fields[9]),
        gas_used=_int(fields[10]),
        timestamp_s=_int(fields[11]),
        extra_data=fields[12],
        randomness=fields[13],
        base_fee_wei=_int(fields[15]),
    )
    if rlp.decode(header.encoded) != fields:
        raise ValueError("a header with other constants than ours")
    return header


def _receipt_row(receipt: Receipt) -> list[Any]:
    logs = [[log.address, list(log.topics), log.data] for log in receipt.logs]
    revert = [] if receipt.revert_data is None else [receipt.revert_data]
    error = [] if receipt.error is None else [receipt.error.encode()]
    return [receipt.transaction.raw, receipt.status, receipt.gas_used, logs, receipt.created or b"", revert, error]


def _receipts(rows: list[Any], header: Header, chain_id: int) -> tuple[Receipt, ...]:
    receipts: list[Receipt] = []
    used = 0
    for index, (raw, status, gas_used, logs, created, revert, error) in enumerate(rows):
        transaction = decode(raw, chain_id)
        used += _int(gas_used)
        receipts.append(
            Receipt(
                transaction=transaction,
                status=_int(status),
                gas_used=_int(gas_used),
                logs=tuple(Log(address, tuple(topics), data) for address, topics, data in logs),
                block_number=header.number,
                block_hash=header.hash,
                index=index,
                price_wei=transaction.price_wei(header.base_fee_wei),
                created=created or None,
                revert_data=revert[0] if revert else None,
                error=error[0].decode() if error else None,
                cumulative_gas_used=used,
            )
        )
    return tuple(receipts)


def _write_row(change: Change) -> list[Any]:
    table, key, value = change
    parts = [key] if isinstance(key, bytes) else [key[0], key[1]]
    return [table, *parts, value or b""]


def _change(row: list[bytes]) -> Change:
    table = _int(row[0])
    if table >= LASTING or len(row) != (4 if table == STORAGE else 3):
        raise ValueError("a write to no cell")
    key = (row[1], _int(row[2])) if table == STORAGE else row[1]
    value: Any = row[-1] if table == CODE else _int(row[-1])
    return table, key, value or None


def _int(field: bytes) -> int:
    return int.from_bytes(field, "big")
