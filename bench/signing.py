"""Vouchers: how long the payer takes to sign one and the node to verify it, digest included, beside eth-account."""

import time
from collections.abc import Callable, Iterator

from eth_account import Account
from eth_account.messages import encode_typed_data

from bench.row import Row
from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import BATCH_SETTLEMENT, Voucher, settlement_domain, sign_voucher, verify_voucher

SIGN, VERIFY = "sign a voucher", "verify a voucher"
BESIDE = ", beside eth-account"
SIGN_MAX_US, VERIFY_MAX_US = 60.0, 80.0
RATIO_MAX = 0.5  # our own goal: less than half of what the common library takes
ROUNDS, VOUCHERS, RIVAL_VOUCHERS = 7, 2_000, 100

CHAIN_ID = 31337
DOMAIN = settlement_domain(CHAIN_ID)
SIGNER = Signer(keccak(b"payer"))
CHANNEL = keccak(b"channel")
TYPES = {"Voucher": [{"name": "channelId", "type": "bytes32"}, {"name": "maxClaimableAmount", "type": "uint128"}]}
THEIR_DOMAIN = {
    "name": "x402 Batch Settlement",
    "version": "1",
    "chainId": CHAIN_ID,
    "verifyingContract": f"0x{BATCH_SETTLEMENT.hex()}",
}
THEIR_SIGNER = Account.from_key(SIGNER.secret)
SIGNATURE = sign_voucher(DOMAIN, Voucher(CHANNEL, 1), SIGNER)


def rows(only: str | None) -> Iterator[Row]:
    for name, ours, theirs, goal_us in (
        (SIGN, sign, their_sign, SIGN_MAX_US),
        (VERIFY, verify, their_verify, VERIFY_MAX_US),
    ):
        if only is not None and only not in name + BESIDE:
            continue
        value_us, rival_us = shortest_us(ours, theirs)
        yield Row(name, value_us, "µs", goal_us, lower_is_better=True)
        yield Row(name + BESIDE, value_us, "µs", RATIO_MAX, "eth-account", rival_us, lower_is_better=True)


def shortest_us(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Microseconds each; the two take turns, so that a slow moment of the machine hits both, and the best counts."""
    rounds = [(timed_us(ours, VOUCHERS), timed_us(theirs, RIVAL_VOUCHERS)) for _ in range(ROUNDS)]
    return min(ours_us for ours_us, _ in rounds), min(theirs_us for _, theirs_us in rounds)


def timed_us(act: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        act()
    return (time.perf_counter() - start) / count * 1e6


def sign() -> bytes:
    return sign_voucher(DOMAIN, Voucher(CHANNEL, 1), SIGNER)


def verify() -> None:
    if not verify_voucher(DOMAIN, Voucher(CHANNEL, 1), SIGNATURE, SIGNER.address):
        raise AssertionError("a good voucher was refused")


def their_sign() -> bytes:
    signable = encode_typed_data(THEIR_DOMAIN, TYPES, {"channelId": CHANNEL, "maxClaimableAmount": 1})
    return bytes(THEIR_SIGNER.sign_message(signable).signature)


def their_verify() -> None:
    signable = encode_typed_data(THEIR_DOMAIN, TYPES, {"channelId": CHANNEL, "maxClaimableAmount": 1})
    if Account.recover_message(signable, signature=SIGNATURE) != THEIR_SIGNER.address:
        raise AssertionError("a good voucher was refused")
