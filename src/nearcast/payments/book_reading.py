"""The ledgers on disk as the books of `conservation`, also while a node writes them."""

from pathlib import Path

from nearcast.payments.conservation import Book, Row
from nearcast.payments.earned import FILE_NAME as EARNED_FILE
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.spent import FILE_NAME as SPENT_FILE
from nearcast.payments.spent import SpentLedger


def payers_book(name: str, folder: Path) -> Book:
    """What was promised out of the books in `folder` (`<data-dir>/chain/<chain id>`); empty where nothing ever was.

    Raises StoreError when they cannot be read.
    """
    path = folder / SPENT_FILE
    if not path.exists():
        return Book(name, {})
    with SpentLedger.open(path) as ledger:
        rows = [Row(each.receiver, each.root, each.size_bytes, each.parts) for each in ledger.spendings()]
        return Book(name, ledger.promised(), rows)


def payees_book(name: str, folder: Path) -> Book:
    """The vouchers that are held, and what was paid for which objects. The same for the other side."""
    path = folder / EARNED_FILE
    if not path.exists():
        return Book(name, {})
    with EarnedLedger.open(path) as ledger:
        units = {each.channel_id: each.promise.units for each in ledger.channels()}
        rows = [Row(each.key.payer, each.key.root, each.delivered_bytes, each.paid_parts) for each in ledger.sales()]
        return Book(name, units, rows)
