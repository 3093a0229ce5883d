"""How `nearcast earnings` shows its table."""

from collections.abc import Sequence
from typing import Any

from nearcast.cli.amounts import bytes_text, count_text
from nearcast.cli.chain_options import ChainCall
from nearcast.cli.ledger_tables import Column, csv_bytes, gas_units, table_lines
from nearcast.cli.money import ether_text, usdc_number, usdc_text
from nearcast.cli.output import printable
from nearcast.errors import UsageError
from nearcast.payments.earned_views import By, EarnedLine, Earnings

NOTHING = "-"
UNKNOWN = "unknown"
UNNAMED = "other content"  # more objects than a channel keeps apart, or sold before this ledger can tell
_HEADINGS = {By.PEER: "Payer", By.OBJECT: "Object", By.DAY: "Day (UTC)"}
_KEYS = {By.PEER: "payer", By.OBJECT: "cid", By.DAY: "day"}
_FIELDS = (
    "delivered_bytes", "earned_units", "paid_parts", "delivered_parts",
    "pending_units", "claimed_units", "settled_units", "fee_wei",
)  # fmt: skip


def parse_by(text: str) -> By:
    """UsageError when there is no such table."""
    if text not in tuple(By):
        raise UsageError(f"--by is peer, object or day, not {text!r}")
    return By(text)


def name_text(by: By, name: str) -> str:
    """A row's name as people and programs read it."""
    if not name:
        return UNKNOWN
    if by is not By.PEER:
        return printable(name)
    from nearcast.cli.hexwords import address_text

    return address_text(bytes.fromhex(name))


def row_text(by: By, name: str, unnamed: str) -> str:
    """The same for people; `unnamed` is what they call the row of what stands beside no object's name."""
    return name_text(by, name) if name else unnamed


def show_earnings(call: ChainCall, table: Earnings, *, as_csv: bool) -> None:
    """As CSV, or in the way that the command was told."""
    if as_csv:
        header = (_KEYS[table.by], *_FIELDS)
        rows = [(name_text(table.by, line.name), *_values(line)) for line in table.lines]
        call.output.bytes(csv_bytes(header, rows))
        return
    lines = _lines(call, table) if table.lines or table.total.pending_units else ["nothing earned yet"]
    essential = [usdc_text(table.total.earned_units)]
    call.output.result(_value(call, table), lines=lines, essential=essential)


def _value(call: ChainCall, table: Earnings) -> dict[str, Any]:
    total = dict(zip(_FIELDS, _values(table.total), strict=True))
    rows = []
    for line in table.lines:
        row: dict[str, Any] = {
            _KEYS[table.by]: name_text(table.by, line.name),
            **dict(zip(_FIELDS, _values(line), strict=True)),
        }
        if table.by is By.OBJECT:
            row["roles"] = table.roles.get(line.name, [])
        rows.append(row)
    return {
        "by": str(table.by),
        "since": table.since_day or None,
        "rows": rows,
        "total": total | {"fee_units": gas_units(table.total.fee_wei or 0, call.config.payments.usdc_per_eth)},
        "channels_pending": table.channels_pending,
    }


def _values(line: EarnedLine) -> list[int | None]:
    return [getattr(line, name) for name in _FIELDS]


def _lines(call: ChainCall, table: Earnings) -> list[str]:
    total = table.total
    columns = [
        Column(_HEADINGS[table.by], [row_text(table.by, line.name, UNNAMED) for line in table.lines], "total"),
        Column(
            "Delivered",
            [bytes_text(line.delivered_bytes) for line in table.lines],
            bytes_text(total.delivered_bytes),
        ),
        money_column("Earned USDC", [line.earned_units for line in table.lines], total.earned_units),
    ]
    if table.by is By.PEER:
        columns.append(money_column("Pending", [line.pending_units for line in table.lines], total.pending_units))
    if table.by is not By.OBJECT:
        columns.append(money_column("Claimed", [line.claimed_units for line in table.lines], total.claimed_units))
    if table.by is By.DAY:
        columns.append(money_column("Settled", [line.settled_units for line in table.lines], total.settled_units))
    fee_wei, pending_units = total.fee_wei or 0, total.pending_units or 0
    in_usdc = usdc_text(gas_units(fee_wei, call.config.payments.usdc_per_eth))
    where = f" in {count_text(table.channels_pending, 'channel')}" if pending_units else ""
    return [
        *table_lines(columns),
        "",
        f"  Pending  {usdc_text(pending_units)}{where}, promised by vouchers and not claimed yet",
        f"  Claimed  {usdc_text(total.claimed_units or 0)}, of it paid out {usdc_text(total.settled_units or 0)}",
        f"  Gas      {ether_text(fee_wei)}, about {in_usdc}",
    ]


def money_column(heading: str, values: Sequence[int | None], total: int | None) -> Column:
    """Amounts in units, as USDC; None where a row cannot know."""
    cells = [NOTHING if value is None else usdc_number(value) for value in values]
    return Column(heading, cells, usdc_number(total or 0), at_point=True)
