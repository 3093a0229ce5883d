"""Payment channels of the x402 scheme `batch-settlement`: what names one, and what is signed about it.

A channel's id is the EIP-712 hash of its config. A voucher is cumulative: whoever holds one may have claimed up to
`max_claimable_units` in all, so only the newest matters. Amounts are units of the channel's token (1e-6 USDC). The
types are x402's (PyPI `x402`, mechanisms/evm/batch_settlement/constants.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nearcast.chain.eip712 import (
    ZERO_ADDRESS,
    Domain,
    address_word,
    bytes32_word,
    keccak,
    type_hash,
    uint_word,
)
from nearcast.chain.fields import hex_field, object_of, uint_field
from nearcast.chain.signing import SIGNATURE_BYTES, Signer, is_signed_by
from nearcast.errors import RemoteError, UsageError

# The canonical addresses, the same on every chain (CREATE2).
BATCH_SETTLEMENT = bytes.fromhex("4020074e9dF2ce1deE5A9C1b5c3f541D02a10003")
ERC3009_DEPOSIT_COLLECTOR = bytes.fromhex("4020806089470a89826cB9fB1f4059150b550004")
# 15 minutes to 30 days; BatchSettlement refuses others.
WITHDRAW_DELAY_MIN_S = 900
WITHDRAW_DELAY_MAX_S = 2_592_000

_CONFIG_TYPE = type_hash(
    "ChannelConfig(address payer,address payerAuthorizer,address receiver,"
    "address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
)
_VOUCHER_TYPE = type_hash("Voucher(bytes32 channelId,uint128 maxClaimableAmount)")
_REFUND_TYPE = type_hash("Refund(bytes32 channelId,uint256 nonce,uint128 amount)")
_ENTRY = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
_ENTRY_TYPE = type_hash(_ENTRY)
_BATCH_TYPE = type_hash("ClaimBatch(ClaimEntry[] claims)" + _ENTRY)
_CONFIG_FIELDS = frozenset(
    ("payer", "payerAuthorizer", "receiver", "receiverAuthorizer", "token", "withdrawDelay", "salt")
)
_VOUCHER_FIELDS = frozenset(("channelId", "maxClaimableAmount", "signature"))
_UINT128_END = 1 << 128


def settlement_domain(chain_id: int, contract: bytes = BATCH_SETTLEMENT) -> Domain:
    """The domain that channel ids and vouchers belong to. Make it once and keep it."""
    return Domain("x402 Batch Settlement", "1", chain_id, contract)


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """All that a channel is; nothing in it can change, since its hash is the channel's id.

    Addresses are 20 bytes, `salt` 32, the delay in seconds. `payer_authorizer` signs the vouchers; zero: the payer.
    UsageError for what the contract would refuse.
    """

    payer: bytes
    payer_authorizer: bytes
    receiver: bytes
    receiver_authorizer: bytes
    token: bytes
    withdraw_delay_s: int
    salt: bytes

    def __post_init__(self) -> None:
        address_word(self.payer_authorizer)
        for role in ("payer", "receiver", "receiver_authorizer", "token"):
            if address_word(getattr(self, role))[12:] == ZERO_ADDRESS:
                raise UsageError(f"a channel's {role.replace('_', ' ')} cannot be the zero address")
        bytes32_word(self.salt)
        if not WITHDRAW_DELAY_MIN_S <= self.withdraw_delay_s <= WITHDRAW_DELAY_MAX_S:
            raise UsageError(
                f"a channel's withdraw delay is {WITHDRAW_DELAY_MIN_S} to {WITHDRAW_DELAY_MAX_S} s,"
                f" not {self.withdraw_delay_s}"
            )

    @property
    def voucher_signer(self) -> bytes:
        """The address that vouchers of this channel must be signed by."""
        return self.payer if self.payer_authorizer == ZERO_ADDRESS else self.payer_authorizer

    def as_tuple(self) -> tuple[bytes, bytes, bytes, bytes, bytes, int, bytes]:
        """The fields in the contract's order, for a call's arguments."""
        return (
            self.payer,
            self.payer_authorizer,
            self.receiver,
            self.receiver_authorizer,
            self.token,
            self.withdraw_delay_s,
            self.salt,
        )

    def as_json(self) -> dict[str, str | int]:
        """x402's wire form; hexadecimal in lower case."""
        return {
            "payer": f"0x{self.payer.hex()}",
            "payerAuthorizer": f"0x{self.payer_authorizer.hex()}",
            "receiver": f"0x{self.receiver.hex()}",
            "receiverAuthorizer": f"0x{self.receiver_authorizer.hex()}",
            "token": f"0x{self.token.hex()}",
            "withdrawDelay": self.withdraw_delay_s,
            "salt": f"0x{self.salt.hex()}",
        }


def parse_channel_config(value: object) -> ChannelConfig:
    """A stranger's config in x402's wire form. RemoteError for anything the contract would not take."""
    given = object_of(value, _CONFIG_FIELDS)
    address = {name: hex_field(given[name], 20, name) for name in _CONFIG_FIELDS - {"withdrawDelay", "salt"}}
    try:
        return ChannelConfig(
            payer=address["payer"],
            payer_authorizer=address["payerAuthorizer"],
            receiver=address["receiver"],
            receiver_authorizer=address["receiverAuthorizer"],
            token=address["token"],
            withdraw_delay_s=uint_field(given["withdrawDelay"], 40, "withdrawDelay"),
            salt=hex_field(given["salt"], 32, "salt"),
        )
    except UsageError as error:
        raise RemoteError(error.message) from error


def channel_id(domain: Domain, config: ChannelConfig) -> bytes:
    """32 bytes; another chain or contract gives another id."""
    return domain.digest(
        keccak(
            _CONFIG_TYPE
            + address_word(config.payer)
            + address_word(config.payer_authorizer)
            + address_word(config.receiver)
            + address_word(config.receiver_authorizer)
            + address_word(config.token)
            + uint_word(config.withdraw_delay_s, 40)
            + config.salt
        )
    )


@dataclass(frozen=True, slots=True)
class Voucher:
    """The payer's promise that the receiver may have claimed up to `max_claimable_units` in all from the channel."""

    channel_id: bytes
    max_claimable_units: int

    def __post_init__(self) -> None:
        if len(self.channel_id) != 32 or not 0 <= self.max_claimable_units < _UINT128_END:
            raise UsageError("a voucher is a channel id of 32 bytes and an amount of 128 bits")

    def digest(self, domain: Domain) -> bytes:
        """The 32 bytes that the payer signs."""
        return domain.digest(keccak(_VOUCHER_TYPE + self.channel_id + self.max_claimable_units.to_bytes(32)))


def sign_voucher(domain: Domain, voucher: Voucher, signer: Signer) -> bytes:
    """The payer's 65-byte signature."""
    return signer.sign(voucher.digest(domain))


def verify_voucher(domain: Domain, voucher: Voucher, signature: bytes, signer: bytes) -> bool:
    """Whether `signature` is that of the address `signer` (the channel's `voucher_signer`, a key and no contract).

    It says nothing of a replay: a voucher is worth what it exceeds the newest one by, so the holder compares amounts.
    """
    return is_signed_by(signer, voucher.digest(domain), signature)


def voucher_as_json(voucher: Voucher, signature: bytes) -> dict[str, str]:
    """x402's wire form."""
    return {
        "channelId": f"0x{voucher.channel_id.hex()}",
        "maxClaimableAmount": str(voucher.max_claimable_units),
        "signature": f"0x{signature.hex()}",
    }


def parse_voucher(value: object) -> tuple[Voucher, bytes]:
    """A stranger's voucher and signature in x402's wire form, not yet verified. RemoteError for anything malformed."""
    given: Mapping[str, object] = object_of(value, _VOUCHER_FIELDS)
    voucher = Voucher(
        hex_field(given["channelId"], 32, "channelId"),
        uint_field(given["maxClaimableAmount"], 128, "maxClaimableAmount"),
    )
    return voucher, hex_field(given["signature"], SIGNATURE_BYTES, "signature")


def refund_digest(domain: Domain, channel: bytes, nonce: int, amount_units: int) -> bytes:
    """What the receiver's authorizer signs to give unclaimed units back; `nonce` is the contract's refundNonce."""
    return domain.digest(
        keccak(_REFUND_TYPE + bytes32_word(channel) + uint_word(nonce, 256) + uint_word(amount_units, 128))
    )


def claim_batch_digest(domain: Domain, claims: Sequence[tuple[Voucher, int]]) -> bytes:
    """What the receiver's authorizer signs so that anyone may claim for it: vouchers with the total claimed of each."""
    entries = b"".join(
        keccak(
            _ENTRY_TYPE
            + voucher.channel_id
            + uint_word(voucher.max_claimable_units, 128)
            + uint_word(total_claimed_units, 128)
        )
        for voucher, total_claimed_units in claims
    )
    return domain.digest(keccak(_BATCH_TYPE + keccak(entries)))
