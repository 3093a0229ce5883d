"""A transaction of Ethereum as we send it: type 2, with a fee that is a ceiling (EIP-1559, in EIP-2718's envelope)."""

from dataclasses import dataclass
from typing import Final

from nearcast.chain import rlp
from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer

_TYPE: Final = b"\x02"


@dataclass(frozen=True, slots=True)
class Spend:
    """Tokens that a call will take from its sender; `spender` is whose allowance it uses, None for a plain transfer."""

    token: bytes
    amount_units: int
    spender: bytes | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A write that somebody wants done. `intent` names it, so that wanting it again after a crash does not do it twice.

    `once`: never again in this journal, even after it was done and reported. Otherwise only an unreported one is
    found again. `spends`: what can be checked before any fee is paid.
    """

    to: bytes
    data: bytes
    value: int = 0
    intent: str = ""
    once: bool = False
    spends: tuple[Spend, ...] = ()


@dataclass(frozen=True, slots=True)
class Fees:
    """Fees per gas, in wei: what is paid at most, and how much of it at most goes to whoever makes the block."""

    fee_max_wei: int
    tip_max_wei: int


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction that anybody can hand to the chain. `hash` is its name there."""

    hash: bytes
    raw: bytes
    nonce: int
    fees: Fees
    gas: int


def sign_transaction(
    signer: Signer, chain_id: int, nonce: int, call: Call, *, gas: int, fees: Fees
) -> SignedTransaction:
    """The signed envelope: 0x02 ‖ rlp(chain, nonce, tip, fee, gas, to, value, data, accesses, parity, r, s)."""
    to_sign = [chain_id, nonce, fees.tip_max_wei, fees.fee_max_wei, gas, call.to, call.value, call.data, []]
    signature = signer.sign(keccak(_TYPE + rlp.encode(to_sign)))
    parity, r, s = signature[64] - 27, int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    raw = _TYPE + rlp.encode([*to_sign, parity, r, s])
    return SignedTransaction(keccak(raw), raw, nonce, fees, gas)
