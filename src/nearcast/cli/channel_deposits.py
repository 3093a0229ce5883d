"""Paying into a channel: by a signed EIP-3009 authorization that the wallet submits itself.

The deposit is in the book before it is signed, with the nonce that the token will remember (payments/deposit.py). So a
killed command finds it when it is repeated: if the token knows the nonce the money has moved and nothing is sent, else
the same authorization is sent again, which can happen once only.
"""

import os
from typing import TYPE_CHECKING

from nearcast.cli.channel_states import ChannelState, channel_book, find_channel, state_of
from nearcast.cli.dry_run import Plan
from nearcast.cli.hexwords import address_text, hash_text
from nearcast.cli.keyring import hot_key_file
from nearcast.cli.money import usdc_text
from nearcast.cli.transacting import Sent, resume, transact
from nearcast.errors import ChainError

if TYPE_CHECKING:
    from nearcast.chain.bindings.token import Token
    from nearcast.chain.channels import ChannelBook, OwnChannel, PlannedDeposit
    from nearcast.cli.chain_session import Session


async def open_and_deposit(
    session: "Session", receiver: bytes, authorizer: bytes | None, delay_s: int, amount_units: int
) -> None:
    """A new channel with its first deposit; or the end of an earlier, interrupted run of the same command.

    Its vouchers are signed by this machine's hot key, so that paying from it takes no password.
    """
    from nearcast.chain.hot_key import load_or_create_hot_key
    from nearcast.chain.vouchers import ChannelConfig, settlement_domain
    from nearcast.payments.deposit import is_like, new_channel

    payer = session.wallet_address
    hot = load_or_create_hot_key(hot_key_file(session.call)).address
    authorizer = authorizer or await _authorizer_of(session, receiver)
    config = ChannelConfig(payer, hot, receiver, authorizer, session.address_of("TestUSDC"), delay_s, os.urandom(32))
    with channel_book(session) as book:
        if await _was_sent(session, book):
            return
        for planned in book.unfinished_deposits(payer):
            channel = book.get(planned.channel_id)
            is_it = planned.opens and planned.amount_units == amount_units
            if channel and is_it and is_like(channel.config, config) and await _finish(session, book, channel, planned):
                return
        domain = settlement_domain(session.chain_id, session.address_of("BatchSettlement"))
        await _deposit_anew(session, book, new_channel(domain, config), amount_units, opens=True)


async def deposit_more(session: "Session", name: str, amount_units: int) -> None:
    """A later deposit into one of the wallet's channels; or the end of an interrupted run of the same command."""
    with channel_book(session) as book:
        channel = find_channel(book, session.wallet_address, name)
        if await _was_sent(session, book):
            return
        for planned in book.unfinished_deposits(session.wallet_address):
            is_it = (planned.channel_id, planned.amount_units, planned.opens) == (
                channel.channel_id,
                amount_units,
                False,
            )
            if is_it and await _finish(session, book, channel, planned):
                return
        await _deposit_anew(session, book, channel, amount_units, opens=False)


async def _was_sent(session: "Session", book: "ChannelBook") -> bool:
    """Whether an earlier run of this command sent its transaction; then it is waited for and told of here."""
    sent = await resume(session)
    if sent is None:
        return False
    event = sent.event("Deposited")
    channel = book.get(event["channelId"]) if event else None
    if event is None or channel is None:
        raise ChainError("the endpoint says that a deposit is done and shows no event of it")
    for planned in book.unfinished_deposits(channel.config.payer):
        if (planned.channel_id, planned.amount_units) == (channel.channel_id, event["amount"]):
            await _tell(session, book, channel, planned, sent)
            return True
    raise ChainError(f"the deposit into {hash_text(channel.channel_id)} is done, and was told of before")


async def _finish(session: "Session", book: "ChannelBook", channel: "OwnChannel", planned: "PlannedDeposit") -> bool:
    """Bring an interrupted deposit to its end. False when it can never happen: it has expired unused."""
    from nearcast.payments.deposit import Stage, stage_of

    match await stage_of(_token(session), channel.config, planned, session.now_s):
        case Stage.PAID:
            await _tell(session, book, channel, planned, None)
        case Stage.OVER:
            if not session.call.dry_run:
                book.finish_deposit(planned)
            return False
        case Stage.OPEN:
            await _deposit(session, book, channel, planned)
    return True


async def _deposit_anew(
    session: "Session", book: "ChannelBook", channel: "OwnChannel", amount_units: int, *, opens: bool
) -> None:
    from nearcast.clock import SystemClock
    from nearcast.payments.deposit import planned_deposit, write_down

    await session.check_token_balance(amount_units)
    # A chain that had no transaction for an hour would take a deposit for over that was good until then.
    now_s = max(session.now_s, int(SystemClock().unix_s()))
    planned = planned_deposit(channel, amount_units, now_s, opens=opens)
    if not session.call.dry_run:
        write_down(book, channel, planned)
    await _deposit(session, book, channel, planned)


async def _deposit(session: "Session", book: "ChannelBook", channel: "OwnChannel", planned: "PlannedDeposit") -> None:
    from nearcast.payments.deposit import sign_deposit

    await session.check_token_balance(planned.amount_units)
    config = channel.config
    authorization, signature = await sign_deposit(_token(session), config, planned, session.signer())
    collector = session.address_of("ERC3009DepositCollector")
    effects = (
        f"{usdc_text(planned.amount_units)} move from the wallet into the channel {hash_text(channel.channel_id)}",
        f"{address_text(config.receiver)} can be paid from it by vouchers, and by nothing else",
    )
    arguments = (config.as_tuple(), planned.amount_units, collector, authorization.collector_data(signature))
    sent = await transact(session, Plan("BatchSettlement", "deposit", arguments, effects))
    if sent is not None:
        await _tell(session, book, channel, planned, sent)


def _token(session: "Session") -> "Token":
    from nearcast.chain.bindings.token import Token

    return Token(session.rpc, session.address_of("TestUSDC"))


async def _tell(
    session: "Session", book: "ChannelBook", channel: "OwnChannel", planned: "PlannedDeposit", sent: Sent | None
) -> None:
    await session.refresh()
    state = await state_of(session, channel)
    if state.balance_units < planned.amount_units:
        raise ChainError("the endpoint says that a deposit was made and that the channel does not have it")
    value = {
        "channel": hash_text(channel.channel_id),
        "receiver": address_text(channel.config.receiver),
        "deposited_units": planned.amount_units,
        "balance_units": state.balance_units,
        "left_units": state.left_units,
    }
    if sent is not None:
        _note(session, channel, planned, sent)
    transaction = sent.value() if sent else {"transaction": None}
    lines = _lines(state, planned, sent.lines() if sent else ["  an earlier run of this command paid it"])
    session.output.result(value | transaction, lines=lines, essential=[hash_text(channel.channel_id)])
    book.finish_deposit(planned)


def _note(session: "Session", channel: "OwnChannel", planned: "PlannedDeposit", sent: Sent) -> None:
    """Into the ledger of what was spent, for what it cost; once, also when an earlier run was killed after it."""
    from nearcast.clock import SystemClock
    from nearcast.payments.budget import day_text
    from nearcast.payments.spent import FILE_NAME, Deposit, SpentLedger

    day, receipt = day_text(SystemClock().unix_s()), sent.receipt
    receiver, units = channel.config.receiver, planned.amount_units
    with SpentLedger.open(session.folder / FILE_NAME) as ledger:
        ledger.add_deposit(Deposit(receipt.transaction_hash, day, channel.channel_id, receiver, units, receipt.fee_wei))


def _lines(state: ChannelState, planned: "PlannedDeposit", how: list[str]) -> list[str]:
    done = "opened" if planned.opens else "topped up"
    return [
        f"{done} channel {hash_text(state.channel_id)}",
        f"  {usdc_text(planned.amount_units)} paid in, {usdc_text(state.left_units)} left for"
        f" {address_text(state.config.receiver)}",
        *how,
    ]


async def _authorizer_of(session: "Session", receiver: bytes) -> bytes:
    """The hot key of a node that is registered, since that is what it claims with; else the receiver itself."""
    if not session.has("Registry"):
        return receiver
    from nearcast.cli.registry_reads import node_of

    node = await node_of(session, receiver)
    return node.hot_key if node.registered else receiver
