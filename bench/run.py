"""`make bench`: every figure beside a rival or limit measured in the same run.

Each benchmark file offers `rows(select)`: an iterator of `Row`. Machines are noisy, so what counts is the ratio; a goal
without a rival is an absolute bound. Results go to bench/results.json as the table is printed.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.row import Row

FILES = (
    "importing",
    "fetching",
    "http",
    "missing",
    "memory",
    "removing",
    "gas",
    "signing",
    "node_records",
    "vouchers_received",
    "paid",
    "relay",
    "round_trip",
    "fairness",
    "overlay",
    "simulator",
)
RESULTS = Path(__file__).with_name("results.json")


def measure(only: str | None) -> Iterator[Row]:
    for file in FILES:
        yield from importlib.import_module(f"bench.{file}").rows(only)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="measure only the rows whose name contains this")
    arguments = parser.parse_args()
    console = Console()
    rows: list[Row] = []
    for row in measure(arguments.only):
        rows.append(row)
        console.print(row.line(), highlight=False)
    if not rows:
        console.print(f"no row is called {arguments.only!r}")
        return 2
    RESULTS.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    console.print(as_table(rows))
    return 0 if all(row.ok for row in rows) else 1


def as_table(rows: list[Row]) -> Table:
    table = Table(title="Nearcast, measured")
    for heading in ("what", "value", "rival", "ratio", "goal", ""):
        table.add_column(heading, justify="left" if heading in ("what", "rival") else "right")
    for row in rows:
        table.add_row(*row.cells())
    return table


if __name__ == "__main__":
    sys.exit(main())
