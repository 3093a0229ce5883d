"""What was claimed, as the ledger keeps it: our own transactions, and what others did for us.

Invariant: what stands there as settled is never more than what stands there as claimed. A settlement pays out all of a
receiver's claims, and a receiver may have several nodes.
"""

from collections.abc import Iterable
from typing import Final

from nearcast.chain.eip712 import keccak
from nearcast.payments.claim_batches import Row
from nearcast.payments.claim_sending import ClaimReceipt
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.earned_rows import ClaimTransaction

Claims = tuple[tuple[bytes, int], ...]  # a channel and what was claimed of it in all
_BY_OTHERS: Final = b"nearcast: seen on the chain"


def book_receipt(ledger: EarnedLedger, receipt: ClaimReceipt, at_s: int) -> None:
    """A transaction of ours; the same one again changes nothing. Raises StoreError."""
    claims = tuple((each.channel_id, each.total_units) for each in receipt.claimed)
    owed_units = _unsettled_units(ledger, claims)
    settled_units = min(receipt.settled_units, max(0, owed_units))
    ledger.record_claims(ClaimTransaction(receipt.transaction_hash, at_s, receipt.fee_wei, settled_units, claims))


def has_of_others(ledger: EarnedLedger, rows: Iterable[Row], unsettled_units: int) -> bool:
    """Whether the chain has claimed or paid out more than is booked. Raises StoreError."""
    return _of_others(ledger, rows, unsettled_units) != ((), 0)


def book_of_others(ledger: EarnedLedger, rows: Iterable[Row], unsettled_units: int, at_s: int) -> None:
    """What the chain has claimed and paid out beyond what is booked: somebody did it for us, and paid the gas.

    Its transaction is not known; it is booked under a name that is made of what it did. `unsettled_units`: what the
    chain has claimed for the receiver and not paid out. Call it while no claim of ours is under way. Raises StoreError.
    """
    claims, settled_units = _of_others(ledger, rows, unsettled_units)
    if claims or settled_units:
        what = b"".join(channel_id + units.to_bytes(16) for channel_id, units in claims)
        name = keccak(_BY_OTHERS + at_s.to_bytes(8) + settled_units.to_bytes(16) + what)
        ledger.record_claims(ClaimTransaction(name, at_s, 0, settled_units, claims))


def _of_others(ledger: EarnedLedger, rows: Iterable[Row], unsettled_units: int) -> tuple[Claims, int]:
    claims = tuple(
        (row.channel_id, row.state.claimed_units)
        for row in rows
        if row.state.claimed_units > ledger.claimed_units(row.channel_id)
    )
    return claims, max(0, _unsettled_units(ledger, claims)) if unsettled_units == 0 else 0


def _unsettled_units(ledger: EarnedLedger, more: Claims) -> int:
    """What is booked as claimed, with these rows, less what is booked as settled."""
    totals: dict[bytes, int] = {}
    settled_units = 0
    for done in ledger.claims():
        settled_units += done.settled_units
        for channel_id, units in done.claims:
            totals[channel_id] = max(units, totals.get(channel_id, 0))
    for channel_id, units in more:
        totals[channel_id] = max(units, totals.get(channel_id, 0))
    return sum(totals.values()) - settled_units
