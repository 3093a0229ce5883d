"""Tables of money, as people see them."""

import pytest

from nearcast.cli.earnings_views import money_column
from nearcast.cli.ledger_tables import Column, table_lines


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        ([350_000, 383_714, 12_000_000], [" 0.35", " 0.383714", "12.00", "12.733714"]),
        ([350_000, None], ["0.35", "-", "0.35"]),
    ],
)
def test_amounts_stand_with_their_points_below_each_other(units: list[int | None], shown: list[str]) -> None:
    total = sum(each or 0 for each in units)
    column = money_column("Earned USDC", units, total)
    lines = table_lines([Column("Day", ["2026"] * len(units), "total"), column])
    points = {line.index(".") for line in lines if "." in line}
    assert len(points) == 1
    assert [line[5:].strip() for line in lines[1:]] == [each.strip() for each in shown]
    assert [line.index("-") + 1 for line in lines if "-" in line] == [points.pop()] * units.count(None)
