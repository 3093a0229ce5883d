"""Claims as transactions: sent once, found again after a crash, and told as what the chain made of them.

All claims of an account for one purpose have one intent in the journal, so there is never more than one under way, and
a process that was killed finds the one that it had signed. What became of a claim is read from the receipt's events,
not from what was asked for, and handed to the books before the journal is told: a crash in between hands it over again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Receipt
from nearcast.chain.transaction_journal import LIVE, Attempt, State, TransactionJournal
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sender
from nearcast.errors import RevertedError
from nearcast.payments.claim_batches import Row

INTENT: Final = "claim"
LOCK_FILE: Final = "claiming.lock"
_UNTOLD: Final = (*LIVE, State.CONFIRMED, State.REVERTED)
Alternatives = Callable[[Sequence[Row]], Sequence[Call]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What claims are sent with: the endpoint, the account that pays the gas, and its journal.

    A payee's account is the receiver's (the operator's wallet) or the receiver's authorizer's (the hot key): the
    contract takes claims from both. `lock`: a file that all claimers of this payee on this machine share.
    """

    rpc: JsonRpc
    settlement: Settlement
    sender: Sender
    journal: TransactionJournal
    lock: Path


@dataclass(frozen=True, slots=True)
class Claimed:
    """One row that was booked: `units` more than before, `total_units` in all."""

    channel_id: bytes
    units: int
    total_units: int


@dataclass(frozen=True, slots=True)
class ClaimReceipt:
    """What a transaction of ours did. `skipped`: the 4-byte reason of each row that was left out, by channel.

    `settled_units`: what moved to the receiver. `fee_wei` was paid also when the chain refused all of it.
    """

    transaction_hash: bytes
    block_number: int
    gas_used: int
    fee_wei: int
    claimed: tuple[Claimed, ...] = ()
    skipped: Mapping[bytes, bytes] = field(default_factory=dict)
    settled_units: int = 0

    @property
    def claimed_units(self) -> int:
        return sum(each.units for each in self.claimed)


def read_receipt(settlement: Settlement, receipt: Receipt) -> ClaimReceipt:
    """The receipt's events as what was claimed, skipped and settled."""
    claimed, skipped, settled_units = [], {}, 0
    for log in receipt.logs:
        event = settlement.event(log)
        if event is None:
            continue
        said = event.arguments
        match event.name:
            case "Claimed":
                claimed.append(Claimed(said["channelId"], said["claimAmount"], said["newTotalClaimed"]))
            case "ClaimSkipped":
                skipped[said["channelId"]] = said["reason"]
            case "Settled":
                settled_units += said["amount"]
    return ClaimReceipt(
        receipt.transaction_hash,
        receipt.block_number,
        receipt.gas_used,
        receipt.fee_wei,
        tuple(claimed),
        skipped,
        settled_units,
    )


def skip_reason(settlement: Settlement, reason: bytes | None) -> str:
    """The name of the contract's error in ClaimSkipped; None: the whole row was refused before it was sent."""
    error = settlement.contract.errors.get(reason) if reason is not None else None
    return error.name if error is not None else "refused" if reason is None else f"0x{reason.hex()}"


class ClaimSender:
    """Sends claims of one account. One task at a time; `book` must take the same receipt twice without harm."""

    def __init__(
        self,
        tools: Tools,
        book: Callable[[ClaimReceipt], Awaitable[None]],
        *,
        intent: str = INTENT,
    ) -> None:
        self._rpc = tools.rpc
        self._settlement = tools.settlement
        self._sender = tools.sender
        self._journal = tools.journal
        self._book = book
        self._intent = intent

    async def finish_earlier(self) -> list[ClaimReceipt]:
        """Bring what an earlier run left to its end, and book it. Raises as `Sender.send`, but no RevertedError."""
        done: list[ClaimReceipt] = []
        while (attempt := self._untold()) is not None:
            if attempt.state is State.REVERTED:
                done += await self._book_refused()
                continue
            receipt = await self._send(attempt.call)
            if receipt is not None:
                done.append(receipt)
        return done

    async def claim(self, batch: Sequence[Row], alternatives: Alternatives) -> tuple[list[ClaimReceipt], list[Row]]:
        """Send a batch; what was done, and the rows that the contract refuses even alone.

        `alternatives` makes the calls that would do for some rows, the best first. On chains whose contract reverts a
        batch for one bad row (x402's own) the halves are tried, which costs no gas: a refusal shows before it is sent.
        Raises as `Sender.send`, but no RevertedError.
        """
        receipts: list[ClaimReceipt] = []
        refused: list[Row] = []
        left = [tuple(batch)]
        while left:
            rows = left.pop()
            receipt = await self._first_that_goes(alternatives(rows))
            if receipt is not None:
                receipts.append(receipt)
            elif len(rows) > 1:
                middle = len(rows) // 2
                left += [rows[middle:], rows[:middle]]
            else:
                refused += rows
        return receipts, refused

    async def _first_that_goes(self, calls: Sequence[Call]) -> ClaimReceipt | None:
        for call in calls:
            receipt = await self._send(replace(call, intent=self._intent))
            if receipt is not None:
                return receipt
        return None

    async def _send(self, call: Call) -> ClaimReceipt | None:
        """None: the contract refuses it. What a refusal on the chain cost is booked."""
        try:
            sent = await self._sender.send(call, tell=False)
        except RevertedError:
            await self._book_refused()
            return None
        return await self._booked(sent.receipt)

    async def _book_refused(self) -> list[ClaimReceipt]:
        """What the chain ran and refused, and nobody was told of."""
        booked = []
        for attempt in self._journal.of_intent(self._sender.address, self._intent):
            if attempt.state is State.REVERTED and not attempt.is_told:
                receipt = await self._rpc.receipt(attempt.hash)
                if receipt is not None:
                    booked.append(await self._booked(receipt))
                self._journal.tell(attempt.hash)
        return booked

    async def _booked(self, receipt: Receipt) -> ClaimReceipt:
        read = read_receipt(self._settlement, receipt)
        await self._book(read)
        self._journal.tell(read.transaction_hash)
        return read

    def _untold(self) -> Attempt | None:
        attempts = self._journal.of_intent(self._sender.address, self._intent)
        return next((each for each in attempts if each.state in _UNTOLD and not each.is_told), None)
