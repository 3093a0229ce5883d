"""A fetch as it is shown: bookkeeping from its events, bars, and the words at the end."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from nearcast.cli.bars import FetchBars, Rate
from nearcast.cli.output import Mode, Output
from nearcast.cli.tally import Tally
from nearcast.cli.watching import report_fields, summary_lines, take, watched
from nearcast.content.cid import raw_cid
from nearcast.delivery.events import (
    Depositing,
    FetchEvent,
    FetchReport,
    Hiring,
    LeafVerified,
    Planned,
    SourceFailed,
    SourceJoined,
)

FILE = raw_cid(bytes(32))
MEBIBYTE = 1 << 20
LIE = SourceFailed("mallory", "bytes do not hash to \x1b[2J", liar=True)
EVENTS: list[FetchEvent] = [
    SourceJoined("alice"),
    Planned(total_bytes=4 * MEBIBYTE, have_bytes=MEBIBYTE),
    LeafVerified("alice", MEBIBYTE, FILE, 1),
    SourceJoined("mallory"),
    LIE,
    LeafVerified("bob", MEBIBYTE, FILE, 2),
]


def played(events: list[FetchEvent]) -> tuple[Tally, list[str]]:
    tally, lines = Tally(), list[str]()
    for event in events:
        take(tally, event, lines.append)
    return tally, lines


def test_bytes_are_booked_to_who_brought_them() -> None:
    tally, _ = played(EVENTS)
    assert {share.name: share.verified_bytes for share in tally.shares.values()} == {
        "alice": MEBIBYTE,
        "mallory": 0,
        "bob": MEBIBYTE,
    }
    assert (tally.total_bytes, tally.done_bytes) == (4 * MEBIBYTE, 3 * MEBIBYTE)


def test_a_new_plan_starts_from_what_is_here_by_then() -> None:
    tally, _ = played([*EVENTS, Planned(total_bytes=8 * MEBIBYTE, have_bytes=3 * MEBIBYTE)])
    assert tally.done_bytes == 3 * MEBIBYTE
    take(tally, LeafVerified("bob", MEBIBYTE, FILE, 3), print)
    assert tally.done_bytes == 4 * MEBIBYTE


def test_a_liar_is_named_at_once_and_cannot_steer_the_terminal() -> None:
    _, lines = played(EVENTS)
    assert lines == ["  mallory lied and is not asked again: bytes do not hash to \\x1b[2J"]


def test_without_a_terminal_only_trouble_is_told() -> None:
    output = Output(Mode.PEOPLE, io.StringIO(), io.StringIO())
    with watched(output) as on_event:
        for event in EVENTS:
            on_event(event)
    assert isinstance(output.stderr, io.StringIO)
    assert output.stderr.getvalue().count("\n") == 1


def test_what_may_be_paid_and_what_leaves_the_wallet_is_said_before() -> None:
    hired = Hiring(
        "alice", 10_000, 559, max_price_units_per_gib=50_000, fetch_cap_units=100, left_today_units=4_999_000
    )
    _, told = played([replace(hired, expected_units=None)])
    assert told[1] == "  it does not say how much that is"
    _, told = played([hired, Depositing("alice", 1_000_000, opens=True), Depositing("alice", 20_000, opens=False)])
    assert told == [
        "  nobody gives it for free: alice is paid 0.01 USDC per GiB of verified bytes,",
        "  about 0.000559 USDC for all of it",
        "  limits: 0.05 USDC per GiB (--max-price), 0.0001 USDC for this fetch (--cap), 4.999 USDC left today",
        "  1.00 USDC of the wallet open a channel to it first; what is not spent can be taken back",
        "  0.02 USDC of the wallet go into the channel to it first; what is not spent can be taken back",
    ]


def test_programs_are_told_nothing_on_the_way() -> None:
    output = Output(Mode.JSON, io.StringIO(), io.StringIO())
    with watched(output) as on_event:
        on_event(LIE)
    assert isinstance(output.stderr, io.StringIO)
    assert output.stderr.getvalue() == ""


def test_the_bars_have_a_row_per_source_and_a_total() -> None:
    tally, _ = played(EVENTS)
    console = Console(file=io.StringIO(), width=100)
    console.print(FetchBars(Output(Mode.PEOPLE, io.StringIO(), io.StringIO()), tally, lambda: 1.0).table())
    assert isinstance(console.file, io.StringIO)
    rows = [row.split() for row in console.file.getvalue().splitlines()]
    assert [row[0] for row in rows] == ["alice", "mallory", "bob", "total"]
    assert "lied" in rows[1]
    assert rows[3][-2:] == ["75", "%"]
    assert all(len(row) <= 100 for row in console.file.getvalue().splitlines())


def test_on_a_narrow_terminal_every_figure_is_still_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast.cli.output.CONSOLE_COLUMNS_WITHOUT_TERMINAL", 80)
    tally, _ = played([Planned(151_000_000, 0), LeafVerified("aa420fd8", 65_700_000, FILE, 1)])
    console = Console(file=io.StringIO(), width=80)
    console.print(FetchBars(Output(Mode.PEOPLE, io.StringIO(), io.StringIO()), tally, lambda: 1.0).table())
    assert isinstance(console.file, io.StringIO)
    rows = console.file.getvalue().splitlines()
    assert "…" not in console.file.getvalue()
    assert "65.7 MB of 151 MB" in rows[1]
    assert rows[0].startswith("  aa420fd8 ")
    assert all(len(row) <= 80 for row in rows)


def test_a_rate_is_over_the_last_seconds_only() -> None:
    rate = Rate()
    assert rate.at(0.0, 0) == 0.0
    assert rate.at(1.0, 100) == 100.0
    assert rate.at(2.0, 100) == 50.0
    assert rate.at(4.0, 100) == 0.0


def test_the_end_names_the_sources_the_rate_and_the_liars() -> None:
    report = FetchReport(FILE, 4_000_000, {"alice": 3_000_000, "bob": 1_000_000}, 500_000, 0, 2.0)
    report.liars, report.failed = ("mallory",), {"mallory": "wrong bytes", "bob": "gone"}
    lines = list(summary_lines(report, "site"))
    assert lines[0] == "  site   4.00 MB verified in 2.0 s, 2.00 MB/s, 500 kB were here already"
    assert lines[1].split() == ["alice", "3.00", "MB", "75", "%"]
    assert lines[2].split() == ["bob", "1.00", "MB", "25", "%", "gone"]
    assert lines[3].split() == ["mallory", "lied:", "wrong", "bytes"]
    assert report_fields(report)["sources"] == {"alice": 3_000_000, "bob": 1_000_000}


def test_the_end_of_a_fetch_that_fetched_nothing() -> None:
    report = FetchReport(FILE, 0, {}, 500_000, 0, 0.002)
    assert list(summary_lines(report, "site")) == ["  site   everything was here already"]
