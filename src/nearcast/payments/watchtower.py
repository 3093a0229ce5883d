"""Claiming for somebody else: watch the channels of claim files, and answer for their payees when a payer withdraws.

The watchtower owns nothing of what it guards and can take nothing: a claim only ever moves money towards the payee. It
pays the gas. With several endpoints it asks the next one when one fails, and it never stops because of one.

Claims are made by the payee's own authorization of each (claimWithSignature), many in one transaction.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from nearcast.chain.transaction_signing import Call
from nearcast.errors import ChainError, NearcastError, UnavailableError
from nearcast.payments.channel_reads import read_channels
from nearcast.payments.claim_batches import RECHECK_LOOKS, Row, must_claim
from nearcast.payments.claim_files import SignedClaim
from nearcast.payments.claim_lock import claim_lock
from nearcast.payments.claim_sending import ClaimReceipt, ClaimSender, Tools, skip_reason
from nearcast.payments.watched_files import WatchedFiles
from nearcast.payments.withdrawals import Withdrawals
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry

INTENT: Final = "claim for others"
ROWS_MAX: Final = 50  # 1.6 million gas: a row costs 32,000 with its payee's signature (development chain)


@dataclass
class Station:
    """One endpoint and what is sent over it."""

    tools: Tools
    claims: ClaimSender
    may_be_unfinished: bool = field(default=True)


class Watchtower:
    """`run` it, or only `claim_now`. Stations share an account and a journal; the first that answers is used."""

    def __init__(self, stations: Sequence[Tools], files: WatchedFiles, *, poll_s: float, telemetry: Telemetry) -> None:
        self._stations = [Station(tools, ClaimSender(tools, self._told, intent=INTENT)) for tools in stations]
        self._files = files
        self._poll_s = poll_s
        self._telemetry = telemetry
        self._withdrawals = Withdrawals()
        self._looks = 0
        self._over: dict[bytes, int] = {}  # channels that can bring nothing, and the voucher that says so
        self._held_back: dict[bytes, tuple[int, int]] = {}  # by channel: a claim that was refused, at what claimed

    async def run(self) -> None:
        """Until cancelled. StoreError when the journal fails; LimitError for too many channels."""
        while True:
            with suppress(ChainError, UnavailableError):  # told of by each station
                await self._visit(everything=False)
            await asyncio.sleep(self._poll_s)

    async def claim_now(self) -> list[ClaimReceipt]:
        """Claim all there is and have it paid out. Raises ChainError and UnavailableError when no endpoint will do."""
        return await self._visit(everything=True)

    async def _visit(self, *, everything: bool) -> list[ClaimReceipt]:
        claims = await in_thread(self._files.read)
        failure: NearcastError = UnavailableError("there is no endpoint to ask")
        for station in self._stations:
            try:
                return await self._at(station, claims, everything=everything)
            except (ChainError, UnavailableError) as error:
                self._failed(station.tools.rpc.place, error)
                failure = error
        raise failure

    async def _at(self, station: Station, claims: dict[bytes, SignedClaim], *, everything: bool) -> list[ClaimReceipt]:
        rows, now_s = await self._look(station, claims)
        if not station.may_be_unfinished and not self._due(rows, now_s, everything=everything):
            return []
        async with claim_lock(station.tools.lock):
            station.may_be_unfinished = True
            done = await station.claims.finish_earlier()
            rows, now_s = await self._look(station, claims)
            due = self._due(rows, now_s, everything=everything)
            for start in range(0, len(due), ROWS_MAX):
                batch = due[start : start + ROWS_MAX]
                calls = partial(_calls, station.tools, claims, settles=everything)
                receipts, refused = await station.claims.claim(batch, calls)
                done += receipts
                self._after(station, batch, receipts, refused, now_s)
            station.may_be_unfinished = False
        return done

    async def _look(self, station: Station, claims: dict[bytes, SignedClaim]) -> tuple[list[Row], int]:
        self._looks += 1
        if self._looks % RECHECK_LOOKS == 0:
            self._over.clear()
        watched = [claim for claim in claims.values() if self._over.get(claim.channel_id) != claim.units]
        states = await read_channels(station.tools.settlement, [claim.channel_id for claim in watched])
        block = await station.tools.rpc.block("latest")
        if block is None:
            raise ChainError(f"{station.tools.rpc.place} has no newest block")
        rows = [
            Row(claim.channel_id, claim.config, claim.units, claim.signature, states[claim.channel_id])
            for claim in watched
        ]
        self._over |= {row.channel_id: row.units for row in rows if _is_over(row)}
        by_channel = {row.channel_id: row for row in rows}
        for channel_id in self._withdrawals.notice({row.channel_id: row.state.withdraw_begun_at for row in rows}):
            row = by_channel[channel_id]
            self._telemetry.event(
                "withdrawal_begun",
                channel=channel_id.hex(),
                claimable_units=row.claimable_units,
                left_s=row.left_s(block.timestamp_s),
            )
        return rows, block.timestamp_s

    def _due(self, rows: Sequence[Row], now_s: int, *, everything: bool) -> list[Row]:
        """What to claim now, the most urgent first. A signed claim is of its whole amount or of nothing."""
        answers = self._withdrawals.answers
        due = [
            row
            for row in rows
            if row.claimable_units
            and row.units <= row.state.balance_units
            and self._held_back.get(row.channel_id) != (row.units, row.state.claimed_units)
            and (everything or must_claim(row, now_s, answers.get(row.channel_id), cost_units=0))
        ]
        return sorted(due, key=lambda row: (row.left_s(now_s) if row.is_leaving else 1 << 62, row.channel_id))

    def _after(
        self, station: Station, batch: Sequence[Row], receipts: list[ClaimReceipt], refused: list[Row], now_s: int
    ) -> None:
        self._withdrawals.answered(batch, now_s)
        skipped = {channel_id: reason for receipt in receipts for channel_id, reason in receipt.skipped.items()}
        for row in batch:
            if row in refused or row.channel_id in skipped:
                self._held_back[row.channel_id] = (row.units, row.state.claimed_units)
                reason = skip_reason(station.tools.settlement, skipped.get(row.channel_id))
                self._telemetry.event("claim_skipped", channel=row.channel_id.hex(), units=row.units, reason=reason)

    async def _told(self, receipt: ClaimReceipt) -> None:
        self._telemetry.event(
            "claimed",
            transaction=receipt.transaction_hash.hex(),
            channels=len(receipt.claimed),
            units=receipt.claimed_units,
            settled_units=receipt.settled_units,
            fee_wei=receipt.fee_wei,
        )

    def _failed(self, where: str, error: NearcastError) -> None:
        self._telemetry.event("watching_failed", where=where, reason=error.message, fix=error.fix)


def _is_over(row: Row) -> bool:
    """Nothing more can come of this voucher: all of it was claimed, or nothing is left to claim it from."""
    return row.state.claimed_units >= row.units or not row.state.available_units


def _calls(tools: Tools, claims: dict[bytes, SignedClaim], rows: Sequence[Row], *, settles: bool) -> list[Call]:
    """All rows in one transaction, each by its payee's signature; and paid out where the token lets it."""
    settlement = tools.settlement
    signed = [claims[row.channel_id] for row in rows]
    calls = [settlement.claim_with_signature([each.claim()], each.authorization) for each in signed]
    if not settles:
        return [settlement.multicall(calls)]
    payees = sorted({(each.config.receiver, each.config.token) for each in signed})
    paying_out = [settlement.settle(receiver, token) for receiver, token in payees]
    return [settlement.multicall([*calls, *paying_out]), settlement.multicall(calls)]
