"""The ledger keeps the newest voucher of every channel and books to the part, whatever interrupts it."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.payments.shop import Payer

from nearcast.errors import StoreError
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.earned_rows import ClaimTransaction, EarnedChannel, Sale, SaleKey
from nearcast.payments.owed import LOTS_MAX, Lot, Owed

PAYER = Payer(1)
LARGE = (1 << 70) + 5  # parts: more than SQLite's numbers hold


def standing(units: int, payer: Payer = PAYER, *, owed: tuple[Lot, ...] = (), forgiven_parts: int = 0) -> EarnedChannel:
    return EarnedChannel(payer.channel, payer.config, payer.promise(units), 100 + units, 9, 8, forgiven_parts, owed)


def sale(root: str, delivered_bytes: int, delivered_parts: int, paid_parts: int) -> Sale:
    return Sale(
        SaleKey("2026-11-21", PAYER.wallet.address, root, "cache"), delivered_bytes, delivered_parts, paid_parts
    )


def test_a_channel_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = standing(7, owed=(Lot("root", "cache", LARGE), Lot("", "unknown", 1)), forgiven_parts=LARGE)
    with EarnedLedger.open(tmp_path / "earned") as ledger:
        assert ledger.newest(PAYER.channel) is None
        ledger.record_vouchers([written])
    with EarnedLedger.open(tmp_path / "earned") as ledger:
        assert ledger.newest(PAYER.channel) == written
        assert ledger.channels() == [written]


def test_an_older_voucher_never_takes_the_place_of_a_newer_one(tmp_path: Path) -> None:
    with EarnedLedger.open(tmp_path / "earned") as ledger:
        ledger.record_vouchers([standing(7)])
        ledger.record_vouchers([standing(5)])
        held = ledger.newest(PAYER.channel)
        assert held is not None
        assert held.promise == PAYER.promise(7)
        assert held.promised_at_s == 107


@given(st.lists(st.tuples(st.integers(0, 1 << 72), st.integers(0, 1 << 72)), max_size=6))
def test_sales_add_up_to_the_part(amounts: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder, EarnedLedger.open(Path(folder) / "earned") as ledger:
        for delivered_parts, paid_parts in amounts:
            ledger.record_vouchers([], [sale("a", 3, delivered_parts, paid_parts), sale("b", 1, 0, 1)])
        rows = {row.key.root: row for row in ledger.sales()}
        if amounts:
            assert rows["a"].delivered_parts == sum(delivered for delivered, _ in amounts)
            assert rows["a"].paid_parts == sum(paid for _, paid in amounts)
            assert rows["b"].paid_parts == len(amounts)
        assert ledger.sales("2026-11-22") == []


def test_a_voucher_is_pending_until_all_of_it_is_claimed(tmp_path: Path) -> None:
    other = Payer(2)
    with EarnedLedger.open(tmp_path / "earned") as ledger:
        ledger.record_vouchers([standing(7), standing(20, other), standing(0, Payer(3))])
        assert [(each.channel_id, each.pending_units) for each in ledger.pending()] == [
            (other.channel, 20),
            (PAYER.channel, 7),
        ]
        done = ClaimTransaction(b"t" * 32, 5, 10**20, 24, ((PAYER.channel, 7), (other.channel, 17)))
        ledger.record_claims(done)
        ledger.record_claims(ClaimTransaction(b"t" * 32, 6, 1, 0, ((PAYER.channel, 1),)))  # booked already
        assert [(each.channel_id, each.pending_units) for each in ledger.pending()] == [(other.channel, 3)]
        assert ledger.claimed_units(other.channel) == 17
        (booked,) = ledger.claims()
        assert (booked.fee_wei, booked.settled_units, sorted(booked.claims)) == (10**20, 24, sorted(done.claims))


def test_all_of_a_transaction_is_written_or_nothing(tmp_path: Path) -> None:
    with EarnedLedger.open(tmp_path / "earned") as ledger:
        broken = Sale(SaleKey("2026-11-21", b"", "root", None), 1, 1, 1)  # type: ignore[arg-type]
        with pytest.raises(StoreError):
            ledger.record_vouchers([standing(7)], [broken])
        assert ledger.channels() == []
        ledger.record_vouchers([standing(8)])
        assert ledger.channels() == [standing(8)]


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "chain" / "1" / "earned"
    with EarnedLedger.open(path) as ledger:
        ledger.record_vouchers([standing(7)])
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3  # the log, and the log's index


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "earned"
    path.write_bytes(b"something else, long enough not to be taken for an empty file" * 20)
    with pytest.raises(StoreError, match="earned"), EarnedLedger.open(path):
        pass
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="newer"), EarnedLedger.open(path):
        pass


def test_a_ledger_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"earned cannot be used: (File exists|Not a directory)$") as failed:
        EarnedLedger.open(tmp_path / "file" / "earned").__enter__()
    assert failed.value.fix


def test_what_was_recorded_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "earned"
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.payments.test_earned import *\n"
        "with EarnedLedger.open(Path(sys.argv[1])) as ledger:\n"
        "    ledger.record_vouchers([standing(41)], [sale('a', 1, 2, 3)])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    house = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=house, timeout=60, check=False)
    assert done.returncode == -9
    with EarnedLedger.open(path) as ledger:
        assert ledger.newest(PAYER.channel) == standing(41)
        assert [row.paid_parts for row in ledger.sales()] == [3]


# What a payment pays for.


def test_what_was_delivered_first_is_paid_first() -> None:
    owed = Owed()
    owed.deliver("a", "cache", 10)
    owed.deliver("a", "cache", 5)
    owed.deliver("b", "origin", 7)
    assert owed.lots() == (Lot("a", "cache", 15), Lot("b", "origin", 7))
    assert owed.pay(17) == ([Lot("a", "cache", 15), Lot("b", "origin", 2)], 0)
    assert owed.parts == 5


def test_what_was_forgiven_is_paid_last_and_what_is_not_known_is_told() -> None:
    owed = Owed()
    owed.deliver("a", "cache", 10)
    owed.forgive()
    assert owed.parts == 0
    owed.deliver("b", "cache", 1)
    assert owed.pay(13) == ([Lot("b", "cache", 1), Lot("a", "cache", 10)], 2)


def test_many_small_objects_are_booked_as_one_and_no_part_is_lost() -> None:
    owed = Owed()
    for number in range(3 * LOTS_MAX):
        owed.deliver(str(number), "cache", 2)
    assert len(owed.lots()) == LOTS_MAX
    assert owed.parts == 6 * LOTS_MAX
    paid, unknown_parts = owed.pay(6 * LOTS_MAX + 1)
    assert sum(lot.parts for lot in paid) == 6 * LOTS_MAX
    assert unknown_parts == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.booleans()), max_size=40))
def test_every_part_that_is_paid_is_booked_once(acts: list[tuple[str, int, bool]]) -> None:
    owed, delivered, paid, unknown = Owed(), 0, 0, 0
    for root, parts, is_payment in acts:
        if is_payment:
            lots, more = owed.pay(parts)
            assert sum(lot.parts for lot in lots) + more == parts
            paid, unknown = paid + parts, unknown + more
        else:
            owed.deliver(root, "cache", parts)
            delivered += parts
    assert owed.parts == delivered - (paid - unknown)
