"""`nearcast earnings claim`: all that vouchers promise, turned into money now."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from nearcast.cli.amounts import count_text
from nearcast.cli.hexwords import address_text, hash_text
from nearcast.cli.keyring import hot_key_file
from nearcast.cli.ledger_tables import ledger_path
from nearcast.cli.money import ether_text, usdc_text
from nearcast.errors import NotFoundError, WalletError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearcast.chain.signing import Signer
    from nearcast.cli.chain_session import Session
    from nearcast.payments.claim_sending import ClaimReceipt, Tools
    from nearcast.payments.earned import EarnedLedger
    from nearcast.payments.settling import Settler
    from nearcast.telemetry import Telemetry


@dataclass(frozen=True)
class _Address:
    """Stands for the wallet's key where nothing is signed, so that a dry run asks for no password."""

    address: bytes


async def claim_everything(session: "Session", *, by_hot_key: bool) -> None:
    """Send it; with --dry-run only say what it would bring and cost. NotFoundError when nothing was ever earned."""
    from nearcast.chain.bindings.settlement import Settlement
    from nearcast.chain.transaction_journal import JOURNAL_FILE, TransactionJournal
    from nearcast.chain.transactions import Sender
    from nearcast.payments.claim_sending import LOCK_FILE, Tools
    from nearcast.payments.earned import FILE_NAME, EarnedLedger
    from nearcast.telemetry import Telemetry

    path = ledger_path(session.call, FILE_NAME)
    if not path.exists():
        raise NotFoundError("this node has earned nothing yet", fix="nearcast up --price USDC")
    telemetry = Telemetry()
    skipped: list[str] = []
    telemetry.listen(lambda name, said: skipped.append(said["channel"]) if name == "claim_skipped" else None)
    with EarnedLedger.open(path) as ledger, TransactionJournal.open(session.folder / JOURNAL_FILE) as journal:
        receiver, key = _who(session, ledger, by_hot_key=by_hot_key)
        settlement = Settlement(session.rpc, session.address_of("BatchSettlement"))
        sender = Sender(session.rpc, cast("Signer", key), journal, confirmations=session.confirmations)
        tools = Tools(session.rpc, settlement, sender, journal, session.folder / LOCK_FILE)
        settler = _settler(session, ledger, tools, receiver, telemetry)
        if session.call.dry_run:
            await _show(session, settler, key.address)
            return
        session.output.note(f"  claiming from {address_text(key.address)}")
        _tell(session, await settler.claim_now(), skipped)


def _who(session: "Session", ledger: "EarnedLedger", *, by_hot_key: bool) -> "tuple[bytes, Signer | _Address]":
    """The receiver, and who sends: the wallet where it is the receiver's, else the hot key."""
    from nearcast.chain.hot_key import load_or_create_hot_key

    newest = max(ledger.channels(), key=lambda channel: channel.promised_at_s, default=None)
    if newest is None:
        raise NotFoundError("this node has earned nothing yet", fix="nearcast up --price USDC")
    receiver = newest.config.receiver
    has_wallet = session.call.config.wallet_file.exists()
    if has_wallet and not by_hot_key and session.wallet_address == receiver:
        return receiver, _Address(receiver) if session.call.dry_run else session.signer()
    path = hot_key_file(session.call)
    if not path.exists():
        raise WalletError(
            f"neither the operator's wallet {address_text(receiver)} nor its node's hot key is here",
            fix="name the wallet with --wallet, or restore hot.key",
        )
    return receiver, load_or_create_hot_key(path)


def _settler(
    session: "Session", ledger: "EarnedLedger", tools: "Tools", receiver: bytes, telemetry: "Telemetry"
) -> "Settler":
    from nearcast.clock import SystemClock
    from nearcast.payments.claim_batches import rules_of
    from nearcast.payments.settling import Settler
    from nearcast.payments.terms import terms_of

    terms = terms_of(session.deployment, receiver, tools.sender.address)
    rules = rules_of(session.call.config.payments)
    return Settler(terms, ledger, tools, rules, clock=SystemClock(), telemetry=telemetry)


async def _show(session: "Session", settler: "Settler", sender: bytes) -> None:
    view = await settler.look()
    decision = settler.everything(view)
    units = sum(row.claimable_units for row in decision.rows)
    value = {
        "dry_run": True,
        "from": address_text(sender),
        "channels": len(decision.rows),
        "claimable_units": units,
        "unsettled_units": view.unsettled_units,
        "fee_units": decision.cost_units,
    }
    lines = [
        "dry run: nothing is sent",
        f"  From   {address_text(sender)}",
        f"  Claim  {usdc_text(units)} from {count_text(len(decision.rows), 'channel')}",
        f"  Gas    about {usdc_text(decision.cost_units)}",
    ]
    session.output.result(value, lines=lines, essential=[usdc_text(units)])


def _tell(session: "Session", receipts: "Sequence[ClaimReceipt]", skipped: "Sequence[str]") -> None:
    claimed_units = sum(receipt.claimed_units for receipt in receipts)
    settled_units = sum(receipt.settled_units for receipt in receipts)
    fee_wei = sum(receipt.fee_wei for receipt in receipts)
    channels = sum(len(receipt.claimed) for receipt in receipts)
    transactions = [hash_text(receipt.transaction_hash) for receipt in receipts]
    value = {
        "claimed_units": claimed_units,
        "settled_units": settled_units,
        "fee_wei": fee_wei,
        "channels": channels,
        "skipped": [f"0x{channel}" for channel in skipped],
        "transactions": transactions,
    }
    lines = ["nothing to claim"]
    if receipts:
        what = f"claimed {usdc_text(claimed_units)} from {count_text(channels, 'channel')}"
        lines = [f"{what}, paid out {usdc_text(settled_units)}", *(f"  transaction {each}" for each in transactions)]
        lines.append(f"  fee {ether_text(fee_wei)}")
    lines += [f"  the contract would not have channel 0x{channel}" for channel in skipped]
    session.output.result(value, lines=lines, essential=[usdc_text(settled_units)])
