"""A process that pays once and tells so, to be killed at any moment: `killed_sender.py URL FOLDER`."""

import asyncio
import sys
from pathlib import Path

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sender


async def main(url: str, folder: Path) -> None:
    data = contract("TestUSDC").encode_call("transfer", [ACCOUNTS[2].address, 5])
    with TransactionJournal.open(folder / "transactions.sqlite3") as journal:
        async with JsonRpc(url, 31337) as rpc:
            sender = Sender(rpc, Signer(ACCOUNTS[1].secret), journal)
            sent = await sender.send(Call(TOKEN, data, intent="pay"), tell=False)
            print(sent.hash.hex(), flush=True)
            journal.tell(sent.hash)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
