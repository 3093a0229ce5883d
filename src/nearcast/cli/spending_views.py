"""How `nearcast spending` shows its table."""

from typing import Any

from nearcast.cli.amounts import bytes_text
from nearcast.cli.chain_options import ChainCall
from nearcast.cli.earnings_views import money_column, name_text, row_text
from nearcast.cli.ledger_tables import Column, csv_bytes, gas_units, table_lines
from nearcast.cli.money import ether_text, usdc_text
from nearcast.payments.earned_views import By
from nearcast.payments.spent_views import Spendings, SpentLine

UNNAMED = "earlier fetches"  # what they left to be paid, of which only the amount was kept
_HEADINGS = {By.PEER: "Paid to", By.OBJECT: "Object", By.DAY: "Day (UTC)"}
_KEYS = {By.PEER: "operator", By.OBJECT: "cid", By.DAY: "day"}
_FIELDS = ("size_bytes", "spent_units", "parts", "deposited_units", "fee_wei")


def show_spending(call: ChainCall, table: Spendings, today_units: int, *, as_csv: bool) -> None:
    """As CSV, or in the way that the command was told. `today_units`: what counts against today's cap."""
    if as_csv:
        rows = [(name_text(table.by, line.name), *_values(line)) for line in table.lines]
        call.output.bytes(csv_bytes((_KEYS[table.by], *_FIELDS), rows))
        return
    lines = _lines(call, table, today_units) if table.lines else ["nothing spent yet"]
    essential = [usdc_text(table.total.spent_units)]
    call.output.result(_value(call, table, today_units), lines=lines, essential=essential)


def _value(call: ChainCall, table: Spendings, today_units: int) -> dict[str, Any]:
    payments = call.config.payments
    total = dict(zip(_FIELDS, _values(table.total), strict=True))
    return {
        "by": str(table.by),
        "since": table.since_day or None,
        "rows": [
            {_KEYS[table.by]: name_text(table.by, line.name), **dict(zip(_FIELDS, _values(line), strict=True))}
            for line in table.lines
        ],
        "total": total | {"fee_units": gas_units(table.total.fee_wei or 0, payments.usdc_per_eth)},
        "today_units": today_units,
        "day_cap_units": payments.day_cap,
    }


def _values(line: SpentLine) -> list[int | None]:
    return [getattr(line, name) for name in _FIELDS]


def _lines(call: ChainCall, table: Spendings, today_units: int) -> list[str]:
    total, payments = table.total, call.config.payments
    columns = [
        Column(_HEADINGS[table.by], [row_text(table.by, line.name, UNNAMED) for line in table.lines], "total"),
        Column("Verified", [bytes_text(line.size_bytes) for line in table.lines], bytes_text(total.size_bytes)),
        money_column("Paid USDC", [line.spent_units for line in table.lines], total.spent_units),
    ]
    deposited_units, fee_wei = total.deposited_units or 0, total.fee_wei or 0
    if table.by is not By.OBJECT:
        columns.append(money_column("Into channels", [line.deposited_units for line in table.lines], deposited_units))
    return [
        *table_lines(columns),
        "",
        f"  Into channels  {usdc_text(deposited_units)} (nearcast channel list says what is left)",
        f"  Gas            {ether_text(fee_wei)}, about {usdc_text(gas_units(fee_wei, payments.usdc_per_eth))}",
        f"  Today          {usdc_text(today_units)} of at most {usdc_text(payments.day_cap)}",
    ]
