"""Turning vouchers into money: a node's claims, sent when they pay and at once when a payer begins to withdraw.

Two loops. One looks at the chain every `poll_s`, whatever else goes on: it notices withdrawals, so that no more is
delivered on their channels, and whose vouchers are worth more than was claimed. The other claims, which may take as
long as a transaction takes. What to claim is decided in claim_batches.py; what became of it stands in the ledger.

Invariants: a row is only sent with a voucher that is on disk and whose signature is right; nothing is sent while an
earlier claim of ours is under way; whatever an endpoint says or does not say, the loops go on.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nearcast.chain.rpc_wire import FIX
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_signing import Call
from nearcast.chain.vouchers import Voucher, verify_voucher
from nearcast.clock import Clock
from nearcast.errors import ChainError, NearcastError, StoreError, UnavailableError, one_error
from nearcast.payments.channel_reads import Escrow, read_channels
from nearcast.payments.claim_batches import RECHECK_LOOKS, ClaimRules, Decision, Row, all_of, decide
from nearcast.payments.claim_booking import book_of_others, book_receipt, has_of_others
from nearcast.payments.claim_export import ClaimExport
from nearcast.payments.claim_lock import claim_lock
from nearcast.payments.claim_sending import ClaimReceipt, ClaimSender, Tools, skip_reason
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.earned_rows import EarnedChannel
from nearcast.payments.terms import Terms
from nearcast.payments.withdrawals import Withdrawals
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class View:
    """What the chain said at one poll, of the channels that may still bring something."""

    rows: tuple[Row, ...]
    now_s: int  # the newest block's time
    gas_price_wei: int
    unsettled_units: int


class Settler:
    """One payee's claims. `run` it for a node; or only `claim_now`, for a command."""

    def __init__(
        self,
        terms: Terms,
        ledger: EarnedLedger,
        tools: Tools,
        rules: ClaimRules,
        *,
        clock: Clock,
        telemetry: Telemetry,
        on_withdrawal: Callable[[bytes], None] = lambda channel_id: None,
    ) -> None:
        """`on_withdrawal(channel_id)` is called in the loop, once for each withdrawal that is noticed."""
        self._terms = terms
        self._ledger = ledger
        self._tools = tools
        self._rules = rules
        self._clock = clock
        self._telemetry = telemetry
        self._on_withdrawal = on_withdrawal
        self._claims = ClaimSender(tools, self._book)
        self._withdrawals = Withdrawals()
        self._held_back: dict[bytes, tuple[int, int]] = {}  # by channel: a voucher that was refused, at what claimed
        self._looks = 0
        self._empty: dict[bytes, int] = {}  # channels without money in them, and the voucher that we held then
        self._view: View | None = None
        self._looked = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._may_be_unfinished = True  # an earlier claim of ours
        self._export: ClaimExport | None = None
        self._exporting = asyncio.Lock()  # both loops look

    def export_to(self, path: Path, hot: Signer) -> None:
        """Keep a claim file at `path`, for a watchtower, as new as the last poll."""
        self._export = ClaimExport(path, self._terms, hot)

    async def run(self) -> None:
        """Until cancelled. A disk that fails, or that another process holds for long, is asked again at the next poll:
        the node goes on selling, on vouchers that it has."""
        with one_error():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(), name="settler: watching")
                tasks.create_task(self._claim_when_due(), name="settler: claiming")

    async def claim_now(self) -> list[ClaimReceipt]:
        """Claim everything that there is, whatever the gas. Raises ChainError, UnavailableError and StoreError."""
        async with self._claiming:
            return await self._claim(self.everything)

    async def look(self) -> View:
        """Ask the chain once. Raises ChainError, UnavailableError and StoreError."""
        channels = await in_thread(self._ledger.channels)
        await self._write_export(channels)
        self._looks += 1
        if self._looks % RECHECK_LOOKS == 0:
            self._empty.clear()
        channels = [channel for channel in channels if self._empty.get(channel.channel_id) != channel.promise.units]
        settlement, rpc = self._tools.settlement, self._tools.rpc
        states = await read_channels(settlement, [channel.channel_id for channel in channels])
        rows = [_row(channel, states[channel.channel_id]) for channel in channels]
        block = await rpc.block("latest")
        if block is None:
            raise ChainError(f"{rpc.place} has no newest block", fix=FIX)
        gas_price_wei = block.base_fee_wei + await rpc.tip_wei()
        receiver = await settlement.receiver(self._terms.receiver, self._terms.token)
        self._notice(rows, block.timestamp_s)
        unsettled_units = receiver.claimed_units - receiver.settled_units
        self._view = View(tuple(rows), block.timestamp_s, gas_price_wei, unsettled_units)
        return self._view

    def decide(self, view: View) -> Decision:
        """What would be claimed now."""
        return decide(
            self._sound(view.rows),
            self._rules,
            gas_price_wei=view.gas_price_wei,
            now_s=view.now_s,
            answers=self._withdrawals.answers,
            unsettled_units=view.unsettled_units,
        )

    def everything(self, view: View) -> Decision:
        """What `claim_now` would claim."""
        price_wei, unsettled_units = view.gas_price_wei, view.unsettled_units
        return all_of(self._sound(view.rows), self._rules, gas_price_wei=price_wei, unsettled_units=unsettled_units)

    # The loops.

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except (ChainError, UnavailableError, StoreError) as error:
                self._failed("look", error)
            else:
                self._looked.set()
            await asyncio.sleep(self._rules.poll_s)

    async def _claim_when_due(self) -> None:
        while True:
            await self._looked.wait()
            self._looked.clear()
            try:
                async with self._claiming:
                    if self._may_be_unfinished or await self._is_due():
                        await self._claim(self.decide)
            except (ChainError, UnavailableError, StoreError) as error:
                self._failed("claim", error)

    async def _is_due(self) -> bool:
        view = self._view
        if view is None:
            return False
        decision = await in_thread(self.decide, view)
        return not decision.is_empty or await in_thread(has_of_others, self._ledger, view.rows, view.unsettled_units)

    # Claiming.

    async def _claim(self, choose: Callable[[View], Decision]) -> list[ClaimReceipt]:
        """What an earlier run left is brought to its end first; then the chain is asked again."""
        async with claim_lock(self._tools.lock):
            self._may_be_unfinished = True
            done = await self._claims.finish_earlier()
            view = await self.look()
            await in_thread(book_of_others, self._ledger, view.rows, view.unsettled_units, self._now_s())
            decision = await in_thread(choose, view)
            for index, batch in enumerate(decision.batches):
                calls = partial(self._calls, settles=index == len(decision.batches) - 1)
                receipts, refused = await self._claims.claim(batch, calls)
                done += receipts
                self._after(batch, receipts, refused, view.now_s)
            if decision.settles and not decision.batches:
                receipts, _ = await self._claims.claim([], lambda rows: [self._settle()])
                done += receipts
            self._may_be_unfinished = False
        return done

    def _calls(self, rows: Sequence[Row], *, settles: bool) -> list[Call]:
        """Claim and settle; or, should the token not pay a receiver out, claim alone.

        Channels may still pay an operator that this node had before.
        """
        settlement = self._tools.settlement
        alone = settlement.claim([row.claim() for row in rows])
        if not settles:
            return [alone]
        payees = sorted(
            {(self._terms.receiver, self._terms.token), *((r.config.receiver, r.config.token) for r in rows)}
        )
        return [settlement.multicall([alone, *(settlement.settle(*payee) for payee in payees)]), alone]

    def _settle(self) -> Call:
        return self._tools.settlement.settle(self._terms.receiver, self._terms.token)

    def _after(self, batch: Sequence[Row], receipts: list[ClaimReceipt], refused: list[Row], now_s: int) -> None:
        """Remember which withdrawals are answered, and which rows are not to be sent again as they are."""
        self._withdrawals.answered(batch, now_s)
        skipped = {channel_id: reason for receipt in receipts for channel_id, reason in receipt.skipped.items()}
        for row in batch:
            if row in refused or row.channel_id in skipped:
                self._held_back[row.channel_id] = (row.units, row.state.claimed_units)
                reason = skip_reason(self._tools.settlement, skipped.get(row.channel_id))
                self._telemetry.count("claim_rows_skipped")
                self._telemetry.event("claim_skipped", channel=row.channel_id.hex(), units=row.units, reason=reason)

    async def _book(self, receipt: ClaimReceipt) -> None:
        await in_thread(book_receipt, self._ledger, receipt, self._now_s())
        self._telemetry.count("claims")
        self._telemetry.count("claimed_units", receipt.claimed_units)
        self._telemetry.count("claim_fee_wei", receipt.fee_wei)
        self._telemetry.event(
            "claimed",
            transaction=receipt.transaction_hash.hex(),
            channels=len(receipt.claimed),
            units=receipt.claimed_units,
            settled_units=receipt.settled_units,
            fee_wei=receipt.fee_wei,
        )

    # Looking.

    def _notice(self, rows: Sequence[Row], now_s: int) -> None:
        by_channel = {row.channel_id: row for row in rows}
        self._empty |= {row.channel_id: row.units for row in rows if not row.state.available_units}
        for channel_id in self._withdrawals.notice({row.channel_id: row.state.withdraw_begun_at for row in rows}):
            row = by_channel[channel_id]
            self._telemetry.count("withdrawals_noticed")
            self._telemetry.event(
                "withdrawal_begun",
                channel=channel_id.hex(),
                units=row.state.withdrawing_units,
                claimable_units=row.claimable_units,
                left_s=row.left_s(now_s),
            )
            self._on_withdrawal(channel_id)

    def _sound(self, rows: Sequence[Row]) -> list[Row]:
        """Those that the contract would take from us: rightly signed, and not refused before as they are."""
        claimer = self._tools.sender.address
        return [
            row
            for row in rows
            if row.claimable_units
            and claimer in (row.config.receiver, row.config.receiver_authorizer)
            and self._held_back.get(row.channel_id) != (row.units, row.state.claimed_units)
            and verify_voucher(
                self._terms.domain, Voucher(row.channel_id, row.units), row.signature, row.config.voucher_signer
            )
        ]

    async def _write_export(self, channels: Sequence[EarnedChannel]) -> None:
        if self._export is None:
            return
        worth = [each for each in channels if self._empty.get(each.channel_id) != each.promise.units]
        async with self._exporting:
            try:
                await in_thread(self._export.update, worth)
            except StoreError as error:  # the file is a copy: what must not be lost is in the ledger
                self._failed("export", error)

    def _failed(self, step: str, error: NearcastError) -> None:
        self._telemetry.count(f"settling_{step}_failures")
        self._telemetry.event("settling_failed", step=step, reason=error.message, fix=error.fix)

    def _now_s(self) -> int:
        return int(self._clock.unix_s())


def _row(channel: EarnedChannel, state: Escrow) -> Row:
    return Row(channel.channel_id, channel.config, channel.promise.units, channel.promise.signature, state)
