"""Tables of money: the same rows for people, for spreadsheets and for programs; and which days they are about."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearcast.clock import SystemClock
from nearcast.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from nearcast.cli.chain_options import ChainCall

By = Annotated[str, typer.Option("--by", metavar="WHAT", help="A row for each peer, object or day.")]
Since = Annotated[str | None, typer.Option("--since", metavar="DAY", help="From that day on (UTC), like 2026-11-21.")]
Days = Annotated[int | None, typer.Option("--days", metavar="N", help="Only the last N days (UTC), today counted.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV: amounts in units of 0.000001 USDC, fees in wei.")]

DAYS_MAX = 100_000


@dataclass(frozen=True)
class Column:
    """A column for people: its heading, and what stands in each row; the first column is set to the left.

    `at_point`: numbers with differing decimals stand below each other's point.
    """

    heading: str
    cells: Sequence[str]
    total: str
    at_point: bool = False


def since_day(since: str | None, days: int | None) -> str:
    """The first day that counts, as text; "" for all. UsageError for what is no day, and for both options at once."""
    if since is not None and days is not None:
        raise UsageError("--since and --days say the same thing", fix="leave one of them out")
    if days is not None:
        if not 1 <= days <= DAYS_MAX:
            raise UsageError(f"--days is a number of days from 1 on, not {days}")
        first = today() - timedelta(days=min(days - 1, (today() - date.min).days))
        return first.isoformat()
    if since is None:
        return ""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", since):
            return date.fromisoformat(since).isoformat()
    except ValueError:
        pass
    raise UsageError(f"--since is a day like 2026-11-21, not {since!r}")


def check_forms(call: "ChainCall", as_csv: bool) -> None:
    """UsageError when both CSV and JSON are asked for."""
    from nearcast.cli.output import Mode

    if as_csv and call.output.mode is Mode.JSON:
        raise UsageError("--csv and --json exclude each other", fix="leave one of them out")


def ledger_path(call: "ChainCall", name: str) -> "Path":
    """Where a ledger of the chosen chain is, on this machine. NotFoundError for a data folder that was typed and is not
    there: a slip would pass for a node that earned nothing."""
    from nearcast.chain.deployment import deployment

    if call.call.data_dir is not None and not call.config.data_dir.exists():
        raise NotFoundError(f"there is no data folder {call.config.data_dir}", fix="check --data-dir")
    chain_id = deployment(call.config.chain.network).chain_id
    return call.config.chain_folder(chain_id) / name


def table_lines(columns: Sequence[Column]) -> list[str]:
    """Heading, rows and total, each column as wide as it has to be."""
    cells = [[column.heading, *_beneath(column)] for column in columns]
    widths = [max(map(len, column)) for column in cells]
    rows = zip(*cells, strict=True)
    return ["  ".join(_set(text, widths, index) for index, text in enumerate(row)).rstrip() for row in rows]


def csv_bytes(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """RFC 4180, with the line ends of this system's other texts. None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def gas_units(fee_wei: int, usdc_per_eth_units: int) -> int:
    """What fees are worth, in units, rounded up."""
    return -(-fee_wei * usdc_per_eth_units // 10**18)


def today() -> date:
    """The day that it is in UTC, by which the ledgers go."""
    return datetime.fromtimestamp(SystemClock().unix_s(), UTC).date()


def _beneath(column: Column) -> list[str]:
    """What stands below the heading, each cell filled up with spaces to the decimals of the longest."""
    cells = [*column.cells, column.total]
    if not column.at_point:
        return cells
    decimals = [len(cell) - cell.index(".") if "." in cell else 0 for cell in cells]
    return [cell + " " * (max(decimals) - own) for cell, own in zip(cells, decimals, strict=True)]


def _set(text: str, widths: Sequence[int], index: int) -> str:
    return text.ljust(widths[index]) if index == 0 else text.rjust(widths[index])
