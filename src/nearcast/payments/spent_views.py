"""What was paid for content, added up by peer, by object or by day. Pure: the ledger's rows in, a table out.

Invariant: a column's rows add up to its total, to the unit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nearcast.payments.earned_views import By
from nearcast.payments.rounding import rounded_units
from nearcast.payments.spent import Deposit, Spending


@dataclass(slots=True)
class SpentLine:
    """One row. `name`: a payee's address in hexadecimal, a CID ("" for what is not known), or a day.

    A deposit is for a channel and not for an object: there `deposited_units` and `fee_wei` are None.
    """

    name: str
    size_bytes: int = 0
    parts: int = 0
    spent_units: int = 0  # the parts in whole units
    deposited_units: int | None = None
    fee_wei: int | None = None


@dataclass(frozen=True, slots=True)
class Spendings:
    """A table and its totals, since `since_day` ("": ever)."""

    by: By
    since_day: str
    lines: Sequence[SpentLine]
    total: SpentLine


def spendings(by: By, rows: Iterable[Spending], deposits: Iterable[Deposit], *, since_day: str = "") -> Spendings:
    """The table of what was verified and promised since that day (UTC)."""
    lines: dict[str, SpentLine] = {}
    total = SpentLine("total", deposited_units=0, fee_wei=0)
    for row in rows:
        if row.day >= since_day:
            name = {By.PEER: row.receiver.hex(), By.OBJECT: row.root, By.DAY: row.day}[by]
            line = lines.setdefault(name, SpentLine(name))
            line.size_bytes += row.size_bytes
            line.parts += row.parts
    for deposit in deposits:
        if deposit.day >= since_day:
            _deposit(total, deposit)
            if by is not By.OBJECT:
                name = deposit.receiver.hex() if by is By.PEER else deposit.day
                _deposit(lines.setdefault(name, SpentLine(name)), deposit)
    found = sorted(lines.values(), key=lambda line: (line.name if by is By.DAY else "", -line.parts, line.name))
    for line, units in zip(found, rounded_units([line.parts for line in found]), strict=True):
        line.spent_units = units
        total.size_bytes += line.size_bytes
        total.parts += line.parts
        total.spent_units += units
    return Spendings(by, since_day, found, total)


def _deposit(line: SpentLine, deposit: Deposit) -> None:
    line.deposited_units = (line.deposited_units or 0) + deposit.units
    line.fee_wei = (line.fee_wei or 0) + deposit.fee_wei
