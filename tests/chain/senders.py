"""Senders for tests: an account, a journal, time that passes only while they wait, and somebody who acts meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, TOKEN
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sender

PAYER, PAYEE = ACCOUNTS[1], ACCOUNTS[2]
START_UNITS = 10_000 * 10**6


class WaitedTime:
    """A clock and a sleep; `meanwhile(n)` is called during the n-th sleep."""

    def __init__(self, meanwhile: Callable[[int], object] = lambda sleeps: None) -> None:
        self.now_s = 0.0
        self.sleeps = 0
        self.meanwhile = meanwhile

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s
        self.sleeps += 1
        self.meanwhile(self.sleeps)
        await asyncio.sleep(0)


@dataclass
class Purse:
    """The payer with a journal; `sender()` is a new one as after a restart."""

    rpc: JsonRpc
    journal: TransactionJournal
    time: WaitedTime

    def sender(self, **options: Any) -> Sender:
        return Sender(self.rpc, Signer(PAYER.secret), self.journal, clock=self.time, sleep=self.time.sleep, **options)


@contextmanager
def purse(rpc: JsonRpc, path: Path, meanwhile: Callable[[int], object] = lambda sleeps: None) -> Iterator[Purse]:
    with TransactionJournal.open(path / "transactions.sqlite3") as journal:
        yield Purse(rpc, journal, WaitedTime(meanwhile))


def pay(units: int = 5, *, intent: str = "", once: bool = False, **fields: Any) -> Call:
    """A payment of tokens from the payer to the payee."""
    data = contract("TestUSDC").encode_call("transfer", [PAYEE.address, units])
    return Call(TOKEN, data, intent=intent, once=once, **fields)


async def received_units(rpc: JsonRpc) -> int:
    """What the payee has got."""
    data = contract("TestUSDC").encode_call("balanceOf", [PAYEE.address])
    return int.from_bytes(await rpc.call(TOKEN, data)) - START_UNITS
