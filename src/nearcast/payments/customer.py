"""One channel that pays us: what its payer promised, and what is delivered on the strength of it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from nearcast.chain.eip712 import Domain
from nearcast.chain.vouchers import Voucher, verify_voucher
from nearcast.clock import Clock
from nearcast.content.cid import Cid
from nearcast.errors import RefusedError
from nearcast.payments.credit import PART_BITS, PayeeAccount, cost_units
from nearcast.payments.credit_line import CreditLine
from nearcast.payments.earned_rows import EarnedChannel
from nearcast.payments.messages import Promise
from nearcast.payments.owed import Owed
from nearcast.payments.tab import Tab
from nearcast.payments.voucher_writer import Entry, VoucherWriter
from nearcast.telemetry import Telemetry


class Closable(Protocol):
    """A payment stream, as far as a customer knows it."""

    def end(self, reason: str) -> None:
        """Tell the payer that there is no more credit, and why."""


class Customer:
    """Made by the till, from what the ledger and the chain say. All methods belong into the loop's own thread.

    `reread` asks the chain again what the channel holds, for a voucher over more than it did; `refilled` does where
    all of it was delivered. `streams` are the payment streams that are open for it.
    """

    def __init__(
        self,
        known: EarnedChannel,
        paid_units: int,
        domain: Domain,
        writer: VoucherWriter,
        clock: Clock,
        telemetry: Telemetry,
        reread: Callable[["Customer"], Awaitable[None]],
        refilled: Callable[["Customer"], Awaitable[None]],
    ) -> None:
        """`known`: as it stands in the ledger. `paid_units`: what was claimed, where that is more than we hold."""
        self.channel_id = known.channel_id
        self.config = known.config
        self.checked_at_s = known.checked_at_s
        self.streams: dict[Closable, None] = {}  # oldest first
        owed = Owed(known.owed)
        paid_units = max(paid_units, known.promise.units)
        account = PayeeAccount(known.capacity_units, paid_units, forgiven_parts=known.forgiven_parts)
        account.delivered_parts += owed.parts
        self._line = CreditLine(known.config.payer, account, owed, clock, self._sold, lambda: refilled(self))
        self._promise = known.promise  # the newest that was verified; the one on disk is in `account`
        self._promised_at_s = known.promised_at_s
        self._booked_units = self._written_units = known.promise.units
        self._domain = domain
        self._writer = writer
        self._clock = clock
        self._telemetry = telemetry
        self._reread = reread

    @property
    def payer(self) -> bytes:
        """Its address, 20 bytes."""
        return self.config.payer

    @property
    def account(self) -> PayeeAccount:
        """Its capacity, and what was delivered and paid."""
        return self._line.account

    @property
    def promise(self) -> Promise:
        """The newest that was taken. It counts as paid (`account.paid_units`) as soon as it is on disk."""
        return self._promise

    @property
    def closed_reason(self) -> str | None:
        """Why nothing more is delivered on it, or None."""
        return self._line.closed_reason

    @property
    def is_idle(self) -> bool:
        """Whether it can be forgotten: the ledger knows all of it."""
        return not self.streams and not self._line.tabs and not self._writer.holds(self)

    def open_tab(self, root: Cid, nonce: bytes, price_units_per_gib: int, *, role: str, peer: bytes = b"") -> Tab:
        """An answer to the request of this nonce. `role`: what this node is for the object (origin, cache, own).

        `peer`: the endpoint id that asked; when it comes back over another connection, this answer ends.
        """
        return Tab(self._line, str(root), nonce, price_units_per_gib, role, peer)

    def stop(self, *, nonce: bytes | None = None, peer: bytes) -> None:
        """The answers to this peer, or the one to its request of this nonce, are not wanted any more."""
        if nonce is None:
            self._line.stop(tab for tab in self._line.tabs if tab.peer == peer)
        else:
            self._line.stop(tab for tab in self._line.tabs if tab.nonce == nonce and tab.peer in (peer, b""))

    def sell(self, root: Cid, size_bytes: int, price_units_per_gib: int, *, role: str) -> None:
        """Book so many bytes as delivered at once, without a tab: where payment comes before delivery.

        A sale of its own costs whole units: `cost_units`, rounded up.
        """
        parts = cost_units(size_bytes, price_units_per_gib) << PART_BITS
        self._line.deliver(str(root), role, size_bytes, parts)

    async def pay(self, promise: Promise) -> None:
        """Take a voucher and wait until it is on disk and counts as paid. An older one than the newest is ignored.

        RefusedError for one that its key did not sign or that the channel cannot cover; StoreError when the disk
        cannot keep it.
        """
        await self.accept(promise)
        await self.until_written(promise.units)

    async def until_written(self, units: int) -> None:
        """Until a voucher over so much is on disk. StoreError when the disk cannot keep it."""
        while self._written_units < units:
            if self._writer.failure is not None:
                raise self._writer.failure
            await self._line.changed.wait(1.0)  # the writer's failure does not beat

    async def accept(self, promise: Promise) -> None:
        """As `pay`, but it does not wait for the disk."""
        if promise.units <= self._promise.units:
            self._telemetry.count("vouchers_stale")
            return
        voucher = Voucher(self.channel_id, promise.units)
        if not verify_voucher(self._domain, voucher, promise.signature, self.config.voucher_signer):
            self._telemetry.count("vouchers_forged")
            raise RefusedError("a voucher is not signed by the channel's key")
        if promise.units > self.account.capacity_units:
            await self._reread(self)  # it may have been filled up since
            if promise.units > self.account.capacity_units:
                self._telemetry.count("vouchers_uncovered")
                raise RefusedError("a voucher is over more than the channel holds")
            if promise.units <= self._promise.units:
                return
        self._promise = promise
        self._promised_at_s = int(self._clock.unix_s())
        self._telemetry.count("vouchers_verified")
        self._writer.voucher_came(self)

    def checked(self, capacity_units: int) -> None:
        """The chain was read: so much can a voucher be worth, and nobody withdraws."""
        self.account.capacity_units = capacity_units
        self.checked_at_s = int(self._clock.unix_s())
        self._line.changed.beat()

    def greet(self) -> None:
        """A payment stream shows the channel, and its newest voucher was taken."""
        self._line.greet(self._promise.units)

    def close_credit(self, reason: str) -> None:
        """Nothing more is delivered on this channel. Vouchers are still taken."""
        if self.closed_reason is None:
            self._telemetry.event("credit_closed", channel=self.channel_id.hex(), reason=reason)
        self._line.close(reason)
        for stream in self.streams:
            stream.end(reason)

    def reopen_credit(self) -> None:
        """The reason is gone: the chain says that nobody withdraws any more."""
        self._line.closed_reason = None

    # What the writer asks.

    def take_entry(self) -> Entry:
        """The channel as it stands now, its newest voucher booked."""
        self._line.book_payment(self._promise.units - self._booked_units)
        self._booked_units = self._promise.units
        return Entry(self._as_known(), self._line.take_sales())

    def entry_written(self, entry: Entry) -> None:
        """What the entry promises is on disk: it is paid."""
        self._written_units = max(self._written_units, entry.channel.promise.units)
        gained_units = self._line.pay(entry.channel.promise.units)
        if gained_units:
            self._telemetry.count("earned_units", gained_units)

    def _as_known(self) -> EarnedChannel:
        return EarnedChannel(
            self.channel_id,
            self.config,
            self._promise,
            self._promised_at_s,
            self.account.capacity_units,
            self.checked_at_s,
            self.account.forgiven_parts,
            self._line.owed.lots(),
        )

    def _sold(self) -> None:
        self._writer.sale_came(self)
