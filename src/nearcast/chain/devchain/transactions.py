"""Signed transactions as they come: legacy (with EIP-155), access list (EIP-2930) and dynamic fee (EIP-1559).

Strict: every field is bounded, integers are canonical, the signature is low-s (EIP-2) and made for this chain.
"""

from dataclasses import dataclass
from typing import Any, Final

from coincurve import PublicKey
from eth_hash.auto import keccak

from nearcast.chain import rlp
from nearcast.chain.devchain.machine import AccessList, Call
from nearcast.errors import ChainError

RAW_SIZE_MAX_BYTES: Final = 128 * 1024  # what geth's pool takes: txMaxSize
CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
EIP155_OFFSET: Final = 35
LEGACY, ACCESS_LIST, DYNAMIC_FEE = 0, 1, 2
_FIELDS: Final = {LEGACY: 9, ACCESS_LIST: 11, DYNAMIC_FEE: 12}


class InvalidTransactionError(ChainError):
    """A transaction that no block can contain: malformed, for another chain, or not covered by its sender."""


@dataclass(frozen=True)
class Transaction:
    """A decoded transaction. Fees in wei per gas; a legacy one has both equal to its gas price."""

    raw: bytes
    hash: bytes
    sender: bytes
    type: int
    chain_id: int | None  # None: a legacy signature of before EIP-155
    nonce: int
    priority_fee_max_wei: int
    fee_max_wei: int
    gas: int
    to: bytes | None
    value: int
    data: bytes
    access_list: AccessList
    v: int  # of legacy transactions; else the parity
    r: int
    s: int

    def price_wei(self, base_fee_wei: int) -> int:
        """What one gas costs the sender in a block of this base fee."""
        return min(self.fee_max_wei, base_fee_wei + self.priority_fee_max_wei)

    def call(self, base_fee_wei: int) -> Call:
        """The message it sends."""
        price_wei = self.price_wei(base_fee_wei)
        return Call(self.sender, self.to, self.data, self.value, self.gas, price_wei, self.access_list)


def decode(raw: bytes, chain_id: int) -> Transaction:
    """The transaction in `raw`; raises InvalidTransactionError."""
    if len(raw) > RAW_SIZE_MAX_BYTES:
        raise InvalidTransactionError(f"oversized data: transaction size {len(raw)}, limit {RAW_SIZE_MAX_BYTES}")
    if not raw:
        raise InvalidTransactionError("empty typed transaction bytes")
    kind = LEGACY if raw[0] >= 0xC0 else raw[0]
    if kind not in _FIELDS:
        raise InvalidTransactionError(f"transaction type not supported: {kind}")
    try:
        fields = rlp.decode(raw if kind == LEGACY else raw[1:])
    except rlp.RlpError as error:
        raise InvalidTransactionError(f"rlp: {error}") from None
    if not isinstance(fields, list) or len(fields) != _FIELDS[kind]:
        raise InvalidTransactionError(f"rlp: a transaction of type {kind} has {_FIELDS[kind]} fields")
    return _LAYOUTS[kind](raw, fields, chain_id)


def _legacy(raw: bytes, fields: list[Any], chain_id: int) -> Transaction:
    nonce, price, gas, to, value, data, v, r, s = fields
    v_number = _number(v, "v", 64)
    if v_number in (27, 28):
        parity, stated, unsigned = v_number - 27, None, fields[:6]
    elif v_number >= EIP155_OFFSET:
        parity, stated = (v_number - EIP155_OFFSET) % 2, (v_number - EIP155_OFFSET) // 2
        unsigned = [*fields[:6], _minimal(stated), b"", b""]
    else:
        raise InvalidTransactionError("invalid transaction v, r, s values")
    price_wei = _number(price, "gasPrice")
    return _checked(
        raw, LEGACY, chain_id, stated, rlp.encode(unsigned), parity, v_number,
        (nonce, price_wei, price_wei, gas, to, value, data, [], r, s),
    )  # fmt: skip


def _access_list(raw: bytes, fields: list[Any], chain_id: int) -> Transaction:
    stated, nonce, price, gas, to, value, data, accesses, parity, r, s = fields
    price_wei, y = _number(price, "gasPrice"), _number(parity, "yParity", 1)
    message = bytes([ACCESS_LIST]) + rlp.encode(fields[:8])
    return _checked(
        raw, ACCESS_LIST, chain_id, _number(stated, "chainId", 64), message, y, y,
        (nonce, price_wei, price_wei, gas, to, value, data, accesses, r, s),
    )  # fmt: skip


def _dynamic_fee(raw: bytes, fields: list[Any], chain_id: int) -> Transaction:
    stated, nonce, priority, fee, gas, to, value, data, accesses, parity, r, s = fields
    y = _number(parity, "yParity", 1)
    message = bytes([DYNAMIC_FEE]) + rlp.encode(fields[:9])
    fees = _number(priority, "maxPriorityFeePerGas"), _number(fee, "maxFeePerGas")
    return _checked(
        raw, DYNAMIC_FEE, chain_id, _number(stated, "chainId", 64), message, y, y,
        (nonce, *fees, gas, to, value, data, accesses, r, s),
    )  # fmt: skip


_LAYOUTS = {LEGACY: _legacy, ACCESS_LIST: _access_list, DYNAMIC_FEE: _dynamic_fee}


def _checked(
    raw: bytes, kind: int, chain_id: int, stated: int | None, message: bytes, parity: int, v: int, fields: Any
) -> Transaction:
    nonce, priority_wei, fee_wei, gas, to, value, data, accesses, r_bytes, s_bytes = fields
    if stated is not None and stated != chain_id:
        raise InvalidTransactionError(f"invalid chain id for signer: have {stated} want {chain_id}")
    if priority_wei > fee_wei:
        raise InvalidTransactionError(
            f"max priority fee per gas higher than max fee per gas: {priority_wei} over {fee_wei}"
        )
    if not isinstance(to, bytes) or len(to) not in (0, 20):
        raise InvalidTransactionError("rlp: `to` has 20 bytes, or none to create a contract")
    if not isinstance(data, bytes):
        raise InvalidTransactionError("rlp: `data` is no byte string")
    r, s = _number(r_bytes, "r"), _number(s_bytes, "s")
    return Transaction(
        raw=raw, hash=keccak(raw), sender=_sender(keccak(message), parity, r, s), type=kind, chain_id=stated,
        nonce=_number(nonce, "nonce", 64), priority_fee_max_wei=priority_wei, fee_max_wei=fee_wei,
        gas=_number(gas, "gas", 64), to=to or None, value=_number(value, "value"), data=data,
        access_list=_accesses(accesses), v=v, r=r, s=s,
    )  # fmt: skip


def _sender(digest: bytes, parity: int, r: int, s: int) -> bytes:
    if not (0 < r < CURVE_ORDER and 0 < s <= CURVE_ORDER // 2 and parity in (0, 1)):
        raise InvalidTransactionError("invalid transaction v, r, s values")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001 - coincurve raises a bare Exception for a point that is not on the curve
        raise InvalidTransactionError("invalid transaction v, r, s values") from None
    return bytes(keccak(key.format(compressed=False)[1:])[12:])


def _number(field: Any, name: str, bits: int = 256) -> int:
    if not isinstance(field, bytes) or field[:1] == b"\0":
        raise InvalidTransactionError(f"rlp: `{name}` is no canonical integer")
    value = int.from_bytes(field, "big")
    if value >> bits:
        raise InvalidTransactionError(f"rlp: `{name}` has more than {bits} bits")
    return value


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _accesses(field: Any) -> AccessList:
    if not isinstance(field, list):
        raise InvalidTransactionError("rlp: the access list is no list")
    rows: list[tuple[bytes, tuple[int, ...]]] = []
    for row in field:
        if not (isinstance(row, list) and len(row) == 2 and isinstance(row[0], bytes) and isinstance(row[1], list)):
            raise InvalidTransactionError("rlp: a row of the access list is [address, slots]")
        if len(row[0]) != 20 or not all(isinstance(slot, bytes) and len(slot) == 32 for slot in row[1]):
            raise InvalidTransactionError("rlp: an access list has addresses of 20 bytes and slots of 32")
        rows.append((row[0], tuple(int.from_bytes(slot, "big") for slot in row[1])))
    return tuple(rows)
