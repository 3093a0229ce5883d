"""Paying into a channel: by a signed EIP-3009 authorization that the wallet submits itself.

The deposit is in the book before it is signed, with the nonce that the token will remember. So whoever was killed on
the way finds it when he tries again: if the token knows the nonce the money has moved and nothing is sent, else the
same authorization is sent again, which can happen once only.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from nearcast.chain.channels import ChannelBook, OwnChannel, PlannedDeposit
from nearcast.chain.deposits import DepositAuthorization
from nearcast.chain.eip712 import Domain
from nearcast.chain.vouchers import ChannelConfig, channel_id
from nearcast.errors import FundsError

if TYPE_CHECKING:
    from nearcast.chain.bindings.settlement import Settlement
    from nearcast.chain.bindings.token import Token
    from nearcast.chain.signing import Signer
    from nearcast.chain.transaction_signing import Call

DEPOSIT_VALID_S: Final = 3600  # guess: long past any wait for a block, short enough that a forgotten one is over soon
SALT_BYTES: Final = 32


class Stage(StrEnum):
    """How far a planned deposit is, as the token tells."""

    PAID = "paid"  # the token has seen its nonce: the money is in the channel
    OPEN = "open"  # it may still be sent
    OVER = "over"  # it expired unused and never can happen


def new_channel(domain: Domain, config: ChannelConfig) -> OwnChannel:
    """A channel as it will be in the book. `domain`: the settlement's."""
    return OwnChannel(channel_id(domain, config), config, signed_units=0)


def is_like(one: ChannelConfig, other: ChannelConfig) -> bool:
    """Whether two channels differ in nothing but the salt."""
    return one.as_tuple()[:-1] == other.as_tuple()[:-1]


def planned_deposit(channel: OwnChannel, amount_units: int, now_s: int, *, opens: bool) -> PlannedDeposit:
    """A new deposit; nothing is written down yet. `now_s`: the chain's time, or this machine's where that is later."""
    return PlannedDeposit(channel.channel_id, amount_units, os.urandom(SALT_BYTES), now_s + DEPOSIT_VALID_S, opens)


def write_down(book: ChannelBook, channel: OwnChannel, planned: PlannedDeposit) -> None:
    """From here on it is found again."""
    book.add(channel.channel_id, channel.config)
    book.plan_deposit(planned)


def authorization_of(config: ChannelConfig, planned: PlannedDeposit) -> DepositAuthorization:
    """What the payer signs for it: the same whenever it is asked for."""
    return DepositAuthorization(
        payer=config.payer,
        channel_id=planned.channel_id,
        amount_units=planned.amount_units,
        valid_after_s=0,
        valid_before_s=planned.valid_before_s,
        salt=int.from_bytes(planned.salt),
    )


async def stage_of(token: "Token", config: ChannelConfig, planned: PlannedDeposit, now_s: int) -> Stage:
    """How far it is. Raises ChainError, UnavailableError as the chain's reads do."""
    if await token.is_used(config.payer, authorization_of(config, planned).nonce):
        return Stage.PAID
    return Stage.OPEN if planned.valid_before_s > now_s else Stage.OVER


async def sign_deposit(
    token: "Token", config: ChannelConfig, planned: PlannedDeposit, wallet: "Signer"
) -> tuple[DepositAuthorization, bytes]:
    """The authorization and the payer's signature of it, for the token's own domain."""
    authorization = authorization_of(config, planned)
    return authorization, authorization.sign(await token.domain(), wallet)


async def deposit_call(
    settlement: "Settlement", token: "Token", config: ChannelConfig, planned: PlannedDeposit, wallet: "Signer"
) -> "Call":
    """The transaction, under an intent of its own: it is found again in the journal, and never sent twice."""
    authorization, signature = await sign_deposit(token, config, planned, wallet)
    return settlement.deposit_by_authorization(config, authorization, signature, intent=intent_of(planned))


def intent_of(planned: PlannedDeposit) -> str:
    """Under what the journal keeps it."""
    return f"deposit {planned.salt.hex()}"


@dataclass(frozen=True, slots=True)
class Wish:
    """How much should go into a channel. `deposit_units`: when nothing asks more; `expected_units`: what is needed."""

    deposit_units: int
    expected_units: int

    def amount_units(self, wallet_units: int, fix: str) -> int:
        """As much of it as the wallet has. FundsError, with `fix`, when not even what is needed is there."""
        needed_units = max(1, self.expected_units)
        if wallet_units < needed_units:
            told = f"the wallet holds {usdc_text(wallet_units)}, and {usdc_text(needed_units)} are needed for a channel"
            raise FundsError(told, fix=fix)
        return min(wallet_units, max(self.deposit_units, needed_units))


def usdc_text(units: int) -> str:
    """Units (1e-6 USDC) as people read them."""
    return f"{units / 10**6:,.6f} USDC"
