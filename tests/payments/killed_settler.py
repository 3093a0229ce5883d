"""A node's settling in a process of its own, to be killed at any moment: `killed_settler.py URL FOLDER [WHERE]`.

It claims everything that the ledger holds, says so, and ends. WHERE: at which of its own steps it kills itself,
"booking" (the chain is done, nothing is booked) or "telling" (booked, and the journal does not know).
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.clock import SystemClock
from nearcast.payments.claim_batches import ClaimRules
from nearcast.payments.claim_sending import LOCK_FILE, Tools
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.settling import Settler
from nearcast.payments.terms import terms_of
from nearcast.telemetry import Telemetry

RECEIVER, HOT = ACCOUNTS[2], ACCOUNTS[4]
RULES = ClaimRules(threshold_units=1, usdc_per_eth_units=1)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, folder: Path, where: str) -> None:
    terms = terms_of(DEV, RECEIVER.address, HOT.address)
    with (
        EarnedLedger.open(folder / "earned.sqlite3") as ledger,
        TransactionJournal.open(folder / "transactions.sqlite3") as journal,
    ):
        if where == "booking":
            ledger.record_claims = _die  # type: ignore[method-assign, assignment]
        if where == "telling":
            journal.tell = _die  # type: ignore[method-assign, assignment]
        async with JsonRpc(url, DEV.chain_id) as rpc:
            sender = Sender(rpc, Signer(HOT.secret), journal)
            tools = Tools(rpc, Settlement(rpc, terms.settlement), sender, journal, folder / LOCK_FILE)
            settler = Settler(terms, ledger, tools, RULES, clock=SystemClock(), telemetry=Telemetry())
            receipts = await settler.claim_now()
            print(sum(receipt.claimed_units for receipt in receipts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
