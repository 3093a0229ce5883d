"""Whether a channel may be delivered on: what the chain must say of it, and how long that is believed."""

from typing import Final

from nearcast.chain.bindings.settlement import ChannelState, Settlement
from nearcast.chain.channels import AMOUNT_UNITS_MAX
from nearcast.chain.eip712 import ZERO_ADDRESS
from nearcast.chain.vouchers import ChannelConfig
from nearcast.errors import RefusedError
from nearcast.payments.earned_rows import EarnedChannel
from nearcast.payments.terms import Terms

WITHDRAWING: Final = "its payer is taking the channel's money back"


async def read_channel(settlement: Settlement, channel_id: bytes, confirmations: int) -> tuple[ChannelState, int]:
    """The channel at the newest block, and its balance at the newest block that has so many confirmations.

    A deposit that is not confirmed may vanish with its block, and the vouchers on it with it. A withdrawal counts as
    soon as it is seen. Raises what the endpoint's failures raise.
    """
    newest = await settlement.channel(channel_id)
    if confirmations <= 1:
        return newest, newest.balance_units
    confirmed = await settlement.rpc.confirmed_head(confirmations)
    return newest, (await settlement.channel(channel_id, block=confirmed)).balance_units


def capacity_of(newest: ChannelState, confirmed_units: int) -> int:
    """The most that a voucher of the channel can be worth. RefusedError when it cannot be delivered on."""
    if newest.withdraw_begun_at or newest.pending_units:
        raise RefusedError(WITHDRAWING)
    capacity_units = min(newest.balance_units, confirmed_units, AMOUNT_UNITS_MAX)
    if capacity_units == 0:
        raise RefusedError("the channel holds no deposit, or none with enough confirmations")
    return capacity_units


def check_config(terms: Terms, config: ChannelConfig) -> None:
    """RefusedError for a channel whose vouchers we could not be sure to claim."""
    terms.check(config)
    if config.payer_authorizer == ZERO_ADDRESS:
        # The contract then asks the payer's account, which may be, or later become, a contract that says no.
        raise RefusedError("the channel names no key that signs its vouchers")


def is_known_well(known: EarnedChannel | None, now_s: int) -> bool:
    """Whether what the ledger says of a channel is as good as the chain's word.

    A withdrawal takes its delay: one that was begun after we looked is not over yet, so what is promised meanwhile can
    still be claimed. The chain is read all the same, without anybody waiting for it.
    """
    return known is not None and 0 <= now_s - known.checked_at_s < known.config.withdraw_delay_s // 2
