"""Sending a command's transaction: checked, shown or sent, waited for, and never sent twice.

A transaction is in the journal before the endpoint sees it, under the words of the command that wanted it. When that
command was killed before it could tell how it ended, the same words find it again (`resume`), and nothing is sent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from nearcast.cli.amounts import count_text
from nearcast.cli.dry_run import Cost, Plan, lines_of, transaction_of, value_of
from nearcast.cli.hexwords import hash_text
from nearcast.cli.money import ether_text
from nearcast.cli.output import printable
from nearcast.errors import ChainError

if TYPE_CHECKING:
    from nearcast.chain import transactions
    from nearcast.chain.rpc_types import Receipt
    from nearcast.chain.signing import Signer
    from nearcast.chain.transaction_journal import Attempt, TransactionJournal
    from nearcast.chain.transaction_signing import Call
    from nearcast.chain.transactions import Sender
    from nearcast.cli.chain_session import Session

# A stake that changed in the newest block's second is changed again for 22,000 gas less than a second later, when the
# registry notes another moment: a fifth of what `topUp` takes. What is not used is not paid.
GAS_MARGIN_PERCENT = 50
_UNFINISHED = ("pending", "mined", "confirmed")  # transaction_journal.State: those whose end was not told


@dataclass(frozen=True)
class Sent:
    """A transaction that is done. `found`: an earlier run of the command had sent it."""

    contract: str
    receipt: "Receipt"
    found: bool

    def value(self) -> dict[str, Any]:
        """What every command that sends adds to its object."""
        return {
            "transaction": {
                "hash": hash_text(self.receipt.transaction_hash),
                "block": self.receipt.block_number,
                "gas": self.receipt.gas_used,
                "fee_wei": self.receipt.fee_wei,
                "found": self.found,
            }
        }

    def lines(self) -> list[str]:
        """And to its words."""
        how = "found, sent by an earlier run: " if self.found else ""
        fee = ether_text(self.receipt.fee_wei)
        return [f"  {how}transaction {hash_text(self.receipt.transaction_hash)}, fee {fee}"]

    def event(self, name: str) -> Any:
        """The arguments of the contract's event of that name in it; the last, if several; None without one."""
        from nearcast.chain.abi import contract

        abi = contract(self.contract)
        topic = abi.topic(name)
        for log in reversed(self.receipt.logs):
            if log.topics and log.topics[0] == topic:
                decoded = abi.decode_log(log.topics, log.data)
                return decoded.arguments if decoded else None
        return None


async def resume(session: "Session") -> Sent | None:
    """The transaction that an earlier run of this very command sent without seeing its end; waited for. Else None."""
    with _journal(session) as journal:
        earlier = [
            attempt
            for attempt in journal.of_intent(session.wallet_address, session.call.call.request)
            if attempt.state in _UNFINISHED and not attempt.is_told
        ]
        if not earlier:
            await _finish_others(session, journal)
            return None
        attempt = earlier[0]
        name = session.contract_at(attempt.call.to) or ""
        if session.call.dry_run:
            session.output.note(f"  an earlier run sent {hash_text(attempt.hash)}: without --dry-run it is waited for")
            return None
        sent = await _send(session, journal, attempt.call)
        return Sent(name, sent.receipt, found=True)


async def transact(session: "Session", plan: Plan) -> Sent | None:
    """Send it and wait until it is deep enough; with --dry-run show it, and return None."""
    from nearcast.chain.abi import contract
    from nearcast.chain.transaction_signing import Call

    data = contract(plan.contract).encode_call(plan.function, plan.arguments)
    call = Call(session.address_of(plan.contract), data, plan.value_wei, session.call.call.request)
    with _journal(session) as journal:
        if session.call.dry_run:
            await _show(session, plan, call, journal)
            return None
        sent = await _send(session, journal, call)
        return Sent(plan.contract, sent.receipt, sent.was_found)


def tell(session: "Session") -> None:
    """Note that the command has said how its transactions ended: from now on the same words mean another one."""
    if session.untold:
        with _journal(session) as journal:
            for transaction_hash in session.untold:
                journal.tell(transaction_hash)


async def _finish_others(session: "Session", journal: "TransactionJournal") -> None:
    """What other runs left under way comes first: what this one signs builds on how that ends."""
    others = journal.live(session.wallet_address)
    if not others or session.call.dry_run:
        return
    session.output.note(f"  bringing {count_text(len(others), 'earlier transaction')} to an end first")
    for outcome in await _sender(session, journal, session.signer()).resume():
        if isinstance(outcome, ChainError):
            session.output.note(f"  {printable(outcome.message)}")
    await session.refresh()


async def _send(session: "Session", journal: "TransactionJournal", call: "Call") -> "transactions.Sent":
    sender = _sender(session, journal, session.signer())
    sent = await sender.send(call, on_sent=_progress(session), tell=False)
    session.untold.append(sent.hash)
    return sent


async def lend_ether(session: "Session", wallet: bytes, wei: int) -> None:
    """Ether from the first test account, on the dev chain."""
    from nearcast.chain.devchain.addresses import ACCOUNTS
    from nearcast.chain.signing import Signer
    from nearcast.chain.transaction_signing import Call

    with _journal(session) as journal:
        call = Call(wallet, b"", wei, f"ether for {hash_text(wallet)}")
        await _sender(session, journal, Signer(ACCOUNTS[0].secret)).send(call)


async def _show(session: "Session", plan: Plan, call: "Call", journal: "TransactionJournal") -> None:
    from nearcast.chain.abi import contract

    expected = await _sender(session, journal, _Watching(session.wallet_address)).plan(call)
    transaction = transaction_of(
        plan,
        contract(plan.contract),
        call.data,
        network=session.deployment.name,
        chain_id=session.chain_id,
        sender=session.wallet_address,
        to=call.to,
        cost=Cost(expected.gas, expected.fee_max_wei),
    )
    session.output.result(
        value_of(transaction), lines=lines_of(transaction), essential=[ether_text(expected.fee_max_wei)]
    )


@dataclass(frozen=True)
class _Watching:
    """Stands for the wallet's key where nothing is signed, so that a dry run asks for no password."""

    address: bytes


def _sender(session: "Session", journal: "TransactionJournal", signer: "Signer | _Watching") -> "Sender":
    from nearcast.chain.fees import FeePolicy
    from nearcast.chain.transactions import Sender

    policy = FeePolicy(gas_margin_percent=GAS_MARGIN_PERCENT)
    key = cast("Signer", signer)
    return Sender(session.rpc, key, journal, confirmations=session.confirmations, policy=policy)


@contextmanager
def _journal(session: "Session") -> Iterator["TransactionJournal"]:
    from nearcast.chain.transaction_journal import JOURNAL_FILE, TransactionJournal

    with TransactionJournal.open(session.folder / JOURNAL_FILE) as journal:
        yield journal


def _progress(session: "Session") -> Callable[["Attempt"], None]:
    def say(attempt: "Attempt") -> None:
        blocks = count_text(session.confirmations, "block")
        session.output.note(f"  sent {hash_text(attempt.hash)}, waiting for {blocks}")

    return say
