"""Vouchers reach the disk together: one writer, one transaction and one sync for all channels that have something new.

While one transaction is being synced, in a thread, the next is gathered; of several vouchers of a channel only the
newest is written, since it is worth all of them. So the disk never sets how many vouchers a node can take.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from nearcast.errors import StoreError
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.earned_rows import EarnedChannel, Sale
from nearcast.tasks import to_its_end
from nearcast.telemetry import Telemetry

SALES_PAUSE_S: Final = 2.0  # how old what was delivered may get before it is on disk; guess: no money is in it
RETRY_S: Final = 1.0  # after the disk failed


@dataclass(frozen=True, slots=True)
class Entry:
    """What one channel has to write."""

    channel: EarnedChannel
    sales: Sequence[Sale]


class Written(Protocol):
    """What the writer writes of."""

    def take_entry(self) -> Entry:
        """What is new by now. It is not asked again before that is on disk."""

    def entry_written(self, entry: Entry) -> None:
        """It is on disk."""


class VoucherWriter:
    """Owned by one task, which is in `run`."""

    def __init__(
        self, ledger: EarnedLedger, telemetry: Telemetry, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.failure: StoreError | None = None  # why nothing reaches the disk at the moment
        self._ledger = ledger
        self._telemetry = telemetry
        self._sleep = sleep
        self._urgent: dict[Written, None] = {}
        self._later: dict[Written, None] = {}
        self._in_hand: list[tuple[Written, Entry]] = []
        self._wake = asyncio.Event()

    def holds(self, written: Written) -> bool:
        """Whether something of it has still to be written."""
        waiting = written in self._urgent or written in self._later
        return waiting or any(written is other for other, _ in self._in_hand)

    def voucher_came(self, written: Written) -> None:
        """Write it as soon as the disk is free."""
        self._urgent[written] = None
        self._wake.set()

    def sale_came(self, written: Written) -> None:
        """Write it within SALES_PAUSE_S."""
        self._later[written] = None

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        # A thread of its own: those that all share may be busy for minutes, with files that somebody imports.
        with ThreadPoolExecutor(1, thread_name_prefix="vouchers") as thread:
            try:
                while True:
                    await self._until_due()
                    await self._write(thread)
            finally:
                self._write_last()

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(SALES_PAUSE_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _write(self, thread: Executor) -> None:
        loop = asyncio.get_running_loop()
        entries = self._in_hand = self._take()
        while self._in_hand:
            try:
                await to_its_end(loop.run_in_executor(thread, self._record))
            except StoreError as error:
                self._failed(error)
                await self._sleep(RETRY_S)
        self._wrote(entries)

    def _write_last(self) -> None:
        self._in_hand = [*self._in_hand, *self._take()]
        try:
            self._record()
        except StoreError as error:
            self._failed(error)

    def _take(self) -> list[tuple[Written, Entry]]:
        self._wake.clear()
        taken = [(written, written.take_entry()) for written in {**self._urgent, **self._later}]
        self._urgent.clear()
        self._later.clear()
        return taken

    def _record(self) -> None:
        """What is in hand, once: a sale that was written twice would be counted twice."""
        sales = [sale for _, entry in self._in_hand for sale in entry.sales]
        self._ledger.record_vouchers([entry.channel for _, entry in self._in_hand], sales)
        self._in_hand = []

    def _failed(self, error: StoreError) -> None:
        self.failure = error
        self._telemetry.count("voucher_write_failures")
        self._telemetry.event("vouchers_unwritten", reason=error.message)

    def _wrote(self, entries: Sequence[tuple[Written, Entry]]) -> None:
        self.failure = None
        if entries:
            self._telemetry.count("voucher_writes")
        for written, entry in entries:
            written.entry_written(entry)
