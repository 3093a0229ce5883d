"""The tables of earnings and spendings: rows add up to totals, to the unit, however they are cut."""

from hypothesis import given
from hypothesis import strategies as some
from tests.payments.claim_stage import config_of, held, id_of

from nearcast.payments.credit import PART_BITS
from nearcast.payments.earned_rows import ClaimTransaction, Sale, SaleKey
from nearcast.payments.earned_views import By, earnings
from nearcast.payments.rounding import rounded_units
from nearcast.payments.spent import Deposit, Spending
from nearcast.payments.spent_views import spendings

UNIT = 1 << PART_BITS
DAYS = ("2026-11-19", "2026-11-20", "2026-11-21")
NOON_S = 1_795_262_400  # 2026-11-21 12:00 UTC
DAY_S = 86_400
FIRST, SECOND = config_of(1, payer=b"\x0a" * 20), config_of(2, payer=b"\x0b" * 20)


def sale(day: str, payer: bytes, root: str, size_bytes: int, parts: int, *, role: str = "cache") -> Sale:
    return Sale(SaleKey(day, payer, root, role), size_bytes, parts, parts)


SALES = [
    sale(DAYS[0], FIRST.payer, "bafy1", 100, 3 * UNIT + UNIT // 2),
    sale(DAYS[1], FIRST.payer, "bafy2", 200, 2 * UNIT + UNIT // 2, role="origin"),
    sale(DAYS[2], SECOND.payer, "bafy1", 300, 7 * UNIT, role="origin"),
]
CHANNELS = [held(FIRST, 6), held(SECOND, 7)]
CLAIMS = [
    ClaimTransaction(b"1" * 32, NOON_S - 2 * DAY_S, 10, 2, ((id_of(FIRST), 2),)),
    ClaimTransaction(b"2" * 32, NOON_S, 20, 8, ((id_of(FIRST), 5), (id_of(SECOND), 5))),
]


def test_by_day() -> None:
    table = earnings(By.DAY, SALES, CHANNELS, CLAIMS)
    rows = [(row.name, row.delivered_bytes, row.earned_units, row.claimed_units, row.fee_wei) for row in table.lines]
    assert rows == [(DAYS[0], 100, 4, 2, 10), (DAYS[1], 200, 2, None, None), (DAYS[2], 300, 7, 8, 20)]
    total = table.total
    assert (total.earned_units, total.pending_units, total.claimed_units, total.settled_units) == (13, 3, 10, 10)
    assert (total.fee_wei, total.delivered_bytes, table.channels_pending) == (30, 600, 2)


def test_by_peer() -> None:
    table = earnings(By.PEER, SALES, CHANNELS, CLAIMS)
    rows = {row.name: (row.earned_units, row.pending_units, row.claimed_units) for row in table.lines}
    assert rows == {FIRST.payer.hex(): (6, 1, 5), SECOND.payer.hex(): (7, 2, 5)}


def test_by_object() -> None:
    table = earnings(By.OBJECT, SALES, CHANNELS, CLAIMS)
    rows = [(row.name, row.delivered_bytes, row.earned_units, row.claimed_units) for row in table.lines]
    assert rows == [("bafy1", 400, 11, None), ("bafy2", 200, 2, None)]
    assert table.roles == {"bafy1": ["cache", "origin"], "bafy2": ["origin"]}


def test_since_a_day() -> None:
    table = earnings(By.DAY, SALES, CHANNELS, CLAIMS, since_day=DAYS[1])
    assert [row.name for row in table.lines] == [DAYS[1], DAYS[2]]
    assert (table.total.earned_units, table.total.claimed_units, table.total.pending_units) == (9, 8, 3)
    assert table.total.fee_wei == 20


parts = some.integers(0, 1 << 80)


@given(some.lists(parts, max_size=50))
def test_rounded_rows_add_up(values: list[int]) -> None:
    units = rounded_units(values)
    assert sum(units) == sum(values) >> PART_BITS
    assert all(abs((each << PART_BITS) - value) < UNIT for each, value in zip(units, values, strict=True))


some_sales = some.lists(
    some.builds(
        sale,
        some.sampled_from(DAYS),
        some.sampled_from([FIRST.payer, SECOND.payer]),
        some.sampled_from(["", "bafy1", "bafy2", "bafy3"]),
        some.integers(0, 1 << 50),
        parts,
    ),
    max_size=20,
)


@given(some_sales, some.sampled_from(["", *DAYS]))
def test_every_table_of_the_same_sales_has_the_same_total(sales: list[Sale], since_day: str) -> None:
    tables = [earnings(by, sales, CHANNELS, CLAIMS, since_day=since_day) for by in By]
    totals = {(each.total.earned_units, each.total.delivered_bytes, each.total.paid_parts) for each in tables}
    assert len(totals) == 1
    for table in tables:
        assert sum(row.earned_units for row in table.lines) == table.total.earned_units
        assert table.total.earned_units == table.total.paid_parts >> PART_BITS
        if table.by is not By.OBJECT:
            assert sum(row.claimed_units or 0 for row in table.lines) == table.total.claimed_units
        if table.by is By.PEER:
            assert sum(row.pending_units or 0 for row in table.lines) == table.total.pending_units


def test_what_was_spent() -> None:
    rows = [
        Spending(DAYS[0], b"\x0a" * 20, "bafy1", 100, 5 * UNIT // 2),
        Spending(DAYS[1], b"\x0b" * 20, "bafy1", 200, 3 * UNIT // 2),
        Spending(DAYS[1], b"\x0b" * 20, "", 0, UNIT),
    ]
    deposits = [Deposit(b"h" * 32, DAYS[1], b"c" * 32, b"\x0b" * 20, 50, 7)]
    by_day = spendings(By.DAY, rows, deposits)
    assert [(row.name, row.size_bytes, row.spent_units, row.deposited_units) for row in by_day.lines] == [
        (DAYS[0], 100, 3, None),
        (DAYS[1], 200, 2, 50),
    ]
    assert (by_day.total.spent_units, by_day.total.deposited_units, by_day.total.fee_wei) == (5, 50, 7)
    by_peer = spendings(By.PEER, rows, deposits, since_day=DAYS[1])
    assert [(row.name, row.spent_units) for row in by_peer.lines] == [("0b" * 20, 2)]
    by_object = spendings(By.OBJECT, rows, deposits)
    assert {row.name: row.spent_units for row in by_object.lines} == {"bafy1": 4, "": 1}
    assert by_object.total.deposited_units == 50
