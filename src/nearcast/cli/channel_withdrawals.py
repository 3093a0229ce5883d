"""Taking money back out of a channel: asked for first, paid after the channel's delay."""

from typing import TYPE_CHECKING, Any

from nearcast.chain.channels import OwnChannel
from nearcast.cli.channel_states import ChannelState, channel_book, find_channel, state_of
from nearcast.cli.dry_run import Plan
from nearcast.cli.hexwords import hash_text
from nearcast.cli.moments import due_text, duration_text
from nearcast.cli.money import usdc_text
from nearcast.cli.transacting import Sent, resume, transact
from nearcast.errors import ChainError, FundsError
from nearcast.payments.spent import FILE_NAME, Seen, SpentLedger
from nearcast.tasks import in_thread

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session


async def withdraw_from(session: "Session", name: str, amount_units: int | None) -> None:
    """Whatever is next: ask for the money, say how long it takes still, or fetch it."""
    with channel_book(session) as book:
        channel = find_channel(book, session.wallet_address, name)
    sent = await resume(session)
    if sent is None:
        state = await state_of(session, channel)
        if state.withdrawable_at_s > session.now_s:
            _say_when(session, state)
            return
        sent = await transact(session, _fetching(state) if state.withdrawable_at_s else _asking(state, amount_units))
    if sent is not None:
        await in_thread(_forget, session, channel)
        _tell(session, channel.channel_id, sent)


def _forget(session: "Session", channel: OwnChannel) -> None:
    """What the ledger remembers the channel to hold: the next fetch asks the chain, and pays from another one."""
    path = session.folder / FILE_NAME
    if path.exists():
        with SpentLedger.open(path) as ledger:
            if ledger.seen(channel.channel_id) is not None:
                ledger.see(channel.channel_id, channel.config.receiver, Seen(0, 0))


def _asking(state: ChannelState, amount_units: int | None) -> Plan:
    available = state.unclaimed_units
    units = available if amount_units is None else amount_units
    if not 0 < units <= available:
        raise FundsError(f"the channel holds {usdc_text(available)} that can be withdrawn", fix="nearcast channel show")
    effects = (
        f"in {duration_text(state.config.withdraw_delay_s)} up to {usdc_text(units)} of the channel can be taken back",
        "until then the receiver can claim what vouchers promised it; nodes may stop serving on this channel",
    )
    return Plan("BatchSettlement", "initiateWithdraw", (state.config.as_tuple(), units), effects)


def _fetching(state: ChannelState) -> Plan:
    effects = (f"{usdc_text(state.withdrawing_units)} move from the channel to the wallet",)
    return Plan("BatchSettlement", "finalizeWithdraw", (state.config.as_tuple(),), effects)


def _tell(session: "Session", channel_id: bytes, sent: Sent) -> None:
    """What the transaction did, out of its own events: which of the two it was as well."""
    if paid := sent.event("WithdrawFinalized"):
        lines = [f"withdrew {usdc_text(paid['amount'])} from channel {hash_text(channel_id)}", *sent.lines()]
        value = _value(channel_id, "paid", paid["amount"], 0)
        session.output.result(value | sent.value(), lines=lines, essential=["paid"])
    elif asked := sent.event("WithdrawInitiated"):
        due = due_text(asked["finalizeAfter"], session.now_s)
        lines = [f"asked for {usdc_text(asked['amount'])}, due {due}", "  run the same command then to get it"]
        value = _value(channel_id, "asked", asked["amount"], asked["finalizeAfter"])
        session.output.result(value | sent.value(), lines=[*lines, *sent.lines()], essential=["asked"])
    else:
        raise ChainError("the endpoint says that a withdrawal is done and shows no event of it")


def _say_when(session: "Session", state: ChannelState) -> None:
    due = due_text(state.withdrawable_at_s, session.now_s)
    lines = [f"{usdc_text(state.withdrawing_units)} are on their way out, due {due}", "  run the same command then"]
    value = _value(state.channel_id, "waiting", state.withdrawing_units, state.withdrawable_at_s)
    session.output.result(value, lines=lines, essential=["waiting"])


def _value(channel_id: bytes, stage: str, units: int, due_s: int) -> dict[str, Any]:
    return {"channel": hash_text(channel_id), "state": stage, "amount_units": units, "due_at": due_s}
