"""What is said in the three headers of x402 (version 2) about the scheme `batch-settlement`. Pure.

    PAYMENT-REQUIRED    with a 402: what is asked for, and on which channels it can be paid
    PAYMENT-SIGNATURE   with a request: a voucher over all that was charged so far and this request, perhaps a deposit
    PAYMENT-RESPONSE    with the content: what was charged

Each is base64 of JSON. Source: the clients of PyPI `x402` and npm `@x402/evm`, which are held against this in
tests/chain/test_x402_client.py and tests/interop/test_x402_fetch.py.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nearcast.chain.deposits import DepositAuthorization
from nearcast.chain.eip712 import Domain
from nearcast.chain.fields import hex_field, object_of, uint_field
from nearcast.chain.signing import SIGNATURE_BYTES
from nearcast.chain.vouchers import ChannelConfig, Voucher, parse_channel_config, parse_voucher
from nearcast.errors import RemoteError
from nearcast.payments.messages import Promise

VERSION: Final = 2
SCHEME: Final = "batch-settlement"
REQUIRED_HEADER: Final = "payment-required"
PAYMENT_HEADER: Final = "payment-signature"
RECEIPT_HEADER: Final = "payment-response"
HEADER_CHARACTERS_MAX: Final = 16_384  # a deposit with a voucher takes 2,500
DEPOSIT_PAYMENTS: Final = 5  # what a deposit is hoped to last for; x402's own default
AUTHORIZATION_S: Final = 300  # how long a deposit's signature is to be good for; x402's own default
# Wire values of x402 (batch_settlement/errors.py). After STALE a client takes the channel's state from the 402 and
# tries again.
STALE: Final = "invalid_batch_settlement_evm_cumulative_amount_mismatch"
BAD_PAYMENT: Final = "invalid_batch_settlement_evm_voucher_payload"
SMALL_DEPOSIT: Final = "invalid_batch_settlement_evm_deposit_below_min_deposit"
FAILED_DEPOSIT: Final = "invalid_batch_settlement_evm_deposit_transaction_failed"


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom and how one pays here, the same for every request. Addresses are 20 bytes.

    `token`: the token's EIP-712 domain. `deposit_min_units`: less is not worth the gas that we pay for it.
    """

    receiver: bytes
    receiver_authorizer: bytes
    token: Domain
    withdraw_delay_s: int
    deposit_min_units: int

    @property
    def network(self) -> str:
        """CAIP-2."""
        return f"eip155:{self.token.chain_id}"


@dataclass(frozen=True, slots=True)
class Deposit:
    """The payer lets us put money into its channel; not yet verified."""

    authorization: DepositAuthorization
    signature: bytes


@dataclass(frozen=True, slots=True)
class Payment:
    """What a PAYMENT-SIGNATURE holds; not yet verified."""

    config: ChannelConfig
    voucher: Voucher
    signature: bytes
    deposit: Deposit | None

    @property
    def promise(self) -> Promise:
        return Promise(self.voucher.max_claimable_units, self.signature)


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """A channel as we know it: what it holds, what was charged on it in all, and its newest voucher."""

    channel_id: bytes
    capacity_units: int
    charged_units: int
    promise: Promise


def required(asking: Asking, amount_units: int, url: str, error: str, known: ChannelFacts | None) -> dict[str, Any]:
    """The whole of a PAYMENT-REQUIRED. `known` goes to nobody but who has shown the channel's signature."""
    extra: dict[str, Any] = {
        "receiverAuthorizer": _hex(asking.receiver_authorizer),
        "withdrawDelay": asking.withdraw_delay_s,
        "name": asking.token.name,
        "version": asking.token.version,
        "minDeposit": str(max(asking.deposit_min_units, DEPOSIT_PAYMENTS * amount_units)),
    }
    if known is not None:
        extra["channelState"] = _state(known)
        if (
            known.promise.units == known.charged_units > 0
        ):  # else the node lost it, and the chain knows what was claimed
            signature = _hex(known.promise.signature)
            extra["voucherState"] = {"signedMaxClaimable": str(known.promise.units), "signature": signature}
    accepted = {
        "scheme": SCHEME,
        "network": asking.network,
        "asset": _hex(asking.token.contract),
        "amount": str(amount_units),
        "payTo": _hex(asking.receiver),
        "maxTimeoutSeconds": AUTHORIZATION_S,
        "extra": extra,
    }
    return {"x402Version": VERSION, "error": error, "resource": {"url": url}, "accepts": [accepted]}


def receipt(asking: Asking, known: ChannelFacts, payer: bytes, charged_units: int, transaction: bytes) -> str:
    """A PAYMENT-RESPONSE. `transaction`: that of the deposit, empty where there was none."""
    return encoded(
        {
            "success": True,
            "payer": _hex(payer),
            "transaction": _hex(transaction) if transaction else "",
            "network": asking.network,
            "amount": "",
            "extra": {"channelState": _state(known), "chargedAmount": str(charged_units)},
        }
    )


def encoded(value: object) -> str:
    """As it stands in a header."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def decoded_payment(header: str, network: str) -> Mapping[str, object]:
    """What a stranger's PAYMENT-SIGNATURE holds, its `payload` not looked at. RemoteError for what is not for us."""
    if len(header) > HEADER_CHARACTERS_MAX:
        raise RemoteError("the payment is too large")
    try:
        whole = object_of(json.loads(base64.b64decode(header, validate=True)), frozenset(("payload", "accepted")))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise RemoteError("the payment is not base64 of JSON") from error
    accepted = object_of(whole["accepted"], frozenset(("scheme", "network")))
    if (accepted["scheme"], accepted["network"]) != (SCHEME, network):
        raise RemoteError(f"payment here is by {SCHEME} on {network}")
    return whole


def parse_payment(header: str, network: str, collector: bytes) -> Payment:
    """A stranger's PAYMENT-SIGNATURE. RemoteError for anything malformed, of another scheme or of another network."""
    whole = decoded_payment(header, network)
    payload = object_of(whole["payload"], frozenset(("type", "channelConfig", "voucher")))
    kind = payload["type"]
    if kind == "refund":
        raise RemoteError("this node gives nothing back by itself: withdraw from the channel, which takes its delay")
    if kind not in ("deposit", "voucher"):
        raise RemoteError("a payment is a deposit or a voucher")
    config = parse_channel_config(payload["channelConfig"])
    voucher, signature = parse_voucher(payload["voucher"])
    deposit = _deposit(config, voucher.channel_id, payload.get("deposit"), collector) if kind == "deposit" else None
    return Payment(config, voucher, signature, deposit)


def _deposit(config: ChannelConfig, channel_id: bytes, given: object, collector: bytes) -> Deposit:
    deposit = object_of(given, frozenset(("amount", "authorization")))
    methods = object_of(deposit["authorization"], frozenset(("erc3009Authorization",)))
    names = frozenset(("validAfter", "validBefore", "salt", "signature"))
    fields = object_of(methods["erc3009Authorization"], names)
    authorization = DepositAuthorization(
        payer=config.payer,
        channel_id=channel_id,
        amount_units=uint_field(deposit["amount"], 63, "amount"),  # what our books hold; all USDC are 2^56 units
        valid_after_s=uint_field(fields["validAfter"], 256, "validAfter"),
        valid_before_s=uint_field(fields["validBefore"], 256, "validBefore"),
        salt=int.from_bytes(hex_field(fields["salt"], 32, "salt")),
        collector=collector,
    )
    return Deposit(authorization, hex_field(fields["signature"], SIGNATURE_BYTES, "signature"))


def _state(known: ChannelFacts) -> dict[str, Any]:
    """Clients read the deposits and claims from the chain, not from us: only what was charged is ours to say."""
    return {
        "channelId": _hex(known.channel_id),
        "balance": str(known.capacity_units),
        "totalClaimed": "0",
        "withdrawRequestedAt": 0,
        "refundNonce": "0",
        "chargedCumulativeAmount": str(known.charged_units),
    }


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
