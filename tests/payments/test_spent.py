"""The ledger of spending: caps over processes, sums to the part, and nothing lost by kill -9."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import StoreError
from nearcast.payments.credit import PART_BITS
from nearcast.payments.spent import Deposit, Line, Seen, Signing, Spending, SpentLedger, split_parts

CHANNEL, OTHER = b"\xaa" * 32, b"\xbb" * 32
NODE = b"\x01" * 20
DAY, NEXT_DAY = "2026-11-21", "2026-11-22"
UNIT = 1 << PART_BITS
LINES = st.lists(st.builds(Line, st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 99)), max_size=9)


def _signing(units: int, *lines: Line, channel: bytes = CHANNEL) -> Signing:
    return Signing(channel, NODE, units, lines)


def test_a_promise_is_there_after_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "chain" / "spent.sqlite3"
    with SpentLedger.open(path) as ledger:
        assert ledger.sign(_signing(5, Line("a", 100, 5 * UNIT + 7)), DAY, 100).units == 5
        assert ledger.sign(_signing(9, Line("a", 20, 7), Line("b", 30, 4 * UNIT)), NEXT_DAY, 100).units == 9
    assert path.stat().st_mode & 0o777 == 0o600
    with SpentLedger.open(path) as ledger:
        assert (ledger.signed_units(CHANNEL), ledger.signed_on(DAY), ledger.signed_on(NEXT_DAY)) == (9, 5, 4)
        assert ledger.promised() == {CHANNEL: 9}
        assert ledger.spendings() == [
            Spending(DAY, NODE, "a", 100, 5 * UNIT),
            Spending(NEXT_DAY, NODE, "a", 20, 7),
            Spending(NEXT_DAY, NODE, "b", 30, 4 * UNIT - 7),
        ]


def test_the_cap_of_a_day_holds_over_all_channels_and_processes(tmp_path: Path) -> None:
    with SpentLedger.open(tmp_path / "spent") as one, SpentLedger.open(tmp_path / "spent") as two:
        assert one.sign(_signing(7, Line("a", 1, 7 * UNIT)), DAY, 10).units == 7
        assert two.sign(_signing(7, Line("a", 1, 7 * UNIT), channel=OTHER), DAY, 10).units == 3
        assert one.sign(_signing(8, Line("a", 1, UNIT)), DAY, 10).units == 7
        assert one.sign(_signing(8, Line("a", 1, UNIT)), NEXT_DAY, 10).units == 8
        assert sum(spending.parts for spending in two.spendings()) == 11 * UNIT


def test_a_lower_promise_changes_nothing(tmp_path: Path) -> None:
    with SpentLedger.open(tmp_path / "spent") as ledger:
        ledger.sign(_signing(7, Line("a", 1, 7 * UNIT)), DAY, 10)
        assert ledger.sign(_signing(4), DAY, 10).units == 7
        assert ledger.sign(_signing(9, Line("a", 1, 2 * UNIT)), DAY, 0).units == 7


def test_a_promise_from_elsewhere_is_kept_and_is_no_days_spending(tmp_path: Path) -> None:
    with SpentLedger.open(tmp_path / "spent") as ledger:
        ledger.sign(_signing(7, Line("a", 1, 7 * UNIT)), DAY, 10)
        ledger.adopt(CHANNEL, NODE, 20, DAY)
        ledger.adopt(CHANNEL, NODE, 15, DAY)
        assert (ledger.signed_units(CHANNEL), ledger.signed_on(DAY)) == (20, 7)
        assert ledger.spendings()[0] == Spending(DAY, NODE, "", 0, 13 * UNIT)


@given(LINES, st.integers(0, 1000))
def test_lines_are_split_and_nothing_is_lost(lines: list[Line], parts: int) -> None:
    paid, rest = split_parts(lines, parts)
    assert sum(line.parts for line in paid) == min(parts, sum(line.parts for line in lines))
    assert sum(line.size_bytes for line in paid) == sum(line.size_bytes for line in lines)
    for root in "abc":
        before = sum(line.parts for line in lines if line.root == root)
        assert sum(line.parts for line in [*paid, *rest] if line.root == root) == before
    shares = [before.parts - after.parts for before, after in zip(lines, paid, strict=True)]
    first_short = next((index for index, share in enumerate(shares) if share), len(lines))
    assert all(after.parts == 0 for after in paid[first_short + 1 :]), "the oldest are paid first"


def test_more_than_sqlite_counts_is_still_counted(tmp_path: Path) -> None:
    with SpentLedger.open(tmp_path / "spent") as ledger:
        for total in (1 << 40, 1 << 41):
            ledger.sign(_signing(total, Line("a", 1, 1 << 70)), DAY, 1 << 50)
        assert ledger.spendings()[0].parts == 1 << 71


def test_what_the_chain_said_and_what_deposits_cost_is_remembered(tmp_path: Path) -> None:
    with SpentLedger.open(tmp_path / "spent") as ledger:
        assert ledger.seen(CHANNEL) is None
        ledger.see(CHANNEL, NODE, Seen(10, 1000))
        ledger.see(CHANNEL, NODE, Seen(12, 1001))
        ledger.sign(_signing(3, Line("a", 1, 3 * UNIT)), DAY, 10)
        assert ledger.seen(CHANNEL) == Seen(12, 1001)
        deposit = Deposit(b"\x07" * 32, DAY, CHANNEL, NODE, 10, 1 << 70)
        ledger.add_deposit(deposit)
        ledger.add_deposit(deposit)
        assert ledger.deposits() == [deposit]


def test_threads_do_not_mix_their_changes(tmp_path: Path) -> None:
    with SpentLedger.open(tmp_path / "spent") as ledger:

        def pay(channel: bytes) -> None:
            for units in range(1, 101):
                ledger.sign(_signing(units, Line("a", 1, UNIT), channel=channel), DAY, 1000)

        threads = [threading.Thread(target=pay, args=(bytes([number]) * 32,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.signed_on(DAY) == 400
        assert ledger.spendings() == [Spending(DAY, NODE, "a", 400, 400 * UNIT)]


@pytest.mark.parametrize("text", ["not a database, and long enough to be seen as none" * 10])
def test_a_damaged_ledger_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "spent").write_text(text)
    with pytest.raises(StoreError, match="cannot be used"), SpentLedger.open(tmp_path / "spent"):
        pass


def test_a_ledger_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"spent cannot be used: (File exists|Not a directory)$") as failed:
        SpentLedger.open(tmp_path / "file" / "spent").__enter__()
    assert failed.value.fix


_SIGNER = """
import sys
from pathlib import Path
from nearcast.payments.spent import Line, Signing, SpentLedger
with SpentLedger.open(Path(sys.argv[1])) as ledger:
    units = ledger.signed_units(bytes(32))
    while True:
        signing = Signing(bytes(32), bytes(20), units + 1, [Line("a", 1, 1 << 30)])
        units = ledger.sign(signing, "2026-11-21", 1 << 40).units
        print(units, flush=True)
"""


@pytest.mark.parametrize("told_lines", [1, 7, 50])
def test_killed_while_it_signs_it_has_what_it_told(tmp_path: Path, told_lines: int) -> None:
    path = tmp_path / "spent"
    told = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", _SIGNER, path], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(told_lines):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
        with SpentLedger.open(path) as ledger:
            units = ledger.signed_units(bytes(32))
            assert told <= units <= told + 1
            assert ledger.signed_on(DAY) == units
            assert ledger.spendings() == [Spending(DAY, bytes(20), "a", units, units * UNIT)]
