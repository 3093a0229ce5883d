"""What the chain says of the wallet's channels, put beside what this machine's book says of them."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.cli.hexwords import hash_text
from nearcast.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from nearcast.chain.channels import ChannelBook, OwnChannel
    from nearcast.chain.vouchers import ChannelConfig
    from nearcast.cli.chain_session import Session

PREFIX_DIGITS_MIN = 4  # guess: fewer tell too little to be meant


@dataclass(frozen=True)
class ChannelState:
    """One channel now. Amounts in units; `withdrawable_at_s` is 0 when no withdrawal is under way."""

    channel_id: bytes
    config: "ChannelConfig"
    balance_units: int
    claimed_units: int
    signed_units: int
    withdrawing_units: int
    withdrawable_at_s: int
    now_s: int

    @property
    def unclaimed_units(self) -> int:
        """What the contract still holds for the channel."""
        return self.balance_units - self.claimed_units

    @property
    def left_units(self) -> int:
        """What nobody was promised yet: no later claim can take it."""
        return max(0, self.balance_units - max(self.claimed_units, self.signed_units))


def channel_book(session: "Session") -> "AbstractContextManager[ChannelBook]":
    """The book of this chain's channels."""
    from nearcast.chain.channels import CHANNELS_FILE, ChannelBook

    return ChannelBook.open(session.folder / CHANNELS_FILE)


async def own_states(session: "Session", *, recover: bool) -> list[ChannelState]:
    """Every channel of the wallet; with `recover`, those too that only the chain knows."""
    payer = session.wallet_address
    with channel_book(session) as book:
        if recover:
            await _recover(session, book, payer)
        return [await state_of(session, channel) for channel in book.of_payer(payer)]


async def one_state(session: "Session", name: str) -> ChannelState:
    """The wallet's channel whose id begins so. NotFoundError or UsageError when it is none or several."""
    with channel_book(session) as book:
        return await state_of(session, find_channel(book, session.wallet_address, name))


def find_channel(book: "ChannelBook", payer: bytes, name: str) -> "OwnChannel":
    """The one channel in the book whose id begins with `name`."""
    digits = name.lower().removeprefix("0x").removesuffix("…")
    if len(digits) < PREFIX_DIGITS_MIN or not all(digit in "0123456789abcdef" for digit in digits):
        raise UsageError(
            f"a channel is named by its id, or its first digits, not {name!r}", fix="nearcast channel list"
        )
    found = [channel for channel in book.of_payer(payer) if channel.channel_id.hex().startswith(digits)]
    if not found:
        raise NotFoundError(f"the wallet has no channel {name}", fix="nearcast channel list --recover asks the chain")
    if len(found) > 1:
        raise UsageError(f"{len(found)} channels begin with {name}", fix="give more digits of the id")
    return found[0]


async def state_of(session: "Session", channel: "OwnChannel") -> ChannelState:
    """What the chain says of it now."""
    balance, claimed = await session.read("BatchSettlement", "channels", channel.channel_id)
    leaving, since_s = await session.read("BatchSettlement", "pendingWithdrawals", channel.channel_id)
    return ChannelState(
        channel.channel_id,
        channel.config,
        balance,
        claimed,
        channel.signed_units,
        withdrawing_units=min(leaving, balance - claimed),
        withdrawable_at_s=since_s + channel.config.withdraw_delay_s if since_s else 0,
        now_s=session.now_s,
    )


async def _recover(session: "Session", book: "ChannelBook", payer: bytes) -> None:
    """Configs of ours from the events; each is held against the id that it hashes to."""
    from nearcast.chain.vouchers import ChannelConfig, channel_id, settlement_domain

    domain = settlement_domain(session.chain_id, session.address_of("BatchSettlement"))
    for event in await session.events("BatchSettlement", "ChannelCreated"):
        fields = event.arguments["config"]
        if fields[0] != payer:
            continue
        config = ChannelConfig(*fields)
        if channel_id(domain, config) != event.arguments["channelId"]:
            session.output.note(f"  the endpoint tells of a channel {hash_text(event.arguments['channelId'])} wrongly")
            continue
        book.add(event.arguments["channelId"], config)
