"""The payer's ledger: what was promised to whom, for which object, on which day. Durable before a voucher leaves.

One SQLite file per chain, for all processes of the user at once, so that the cap on a day holds over all of them. For
every channel the parts that stand beside its objects add up to what its newest voucher promises, to the part: parts are
taken as paid in the order in which they were verified. (What a book from elsewhere proved to be ours without our
knowing what for stands beside no object's name.)
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nearcast.errors import StoreError
from nearcast.payments.credit import PART_BITS

FILE_NAME: Final = "spent.sqlite3"
BUSY_S: Final = 10.0  # how long one process waits for another's change, which takes milliseconds
UNKNOWN_ROOT: Final = ""  # what was paid for before we can remember
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS day (day TEXT PRIMARY KEY, signed_units INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS channel (
    id BLOB PRIMARY KEY, receiver BLOB NOT NULL, signed_units INTEGER NOT NULL DEFAULT 0,
    capacity_units INTEGER, seen_at_s INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spending (
    day TEXT, receiver BLOB, root TEXT, size_bytes INTEGER NOT NULL, units INTEGER NOT NULL, parts INTEGER NOT NULL,
    PRIMARY KEY (day, receiver, root)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deposit (
    hash BLOB PRIMARY KEY, day TEXT NOT NULL, channel BLOB NOT NULL, receiver BLOB NOT NULL, units INTEGER NOT NULL,
    fee_wei TEXT NOT NULL
) WITHOUT ROWID;
"""  # `units` and `parts` of a spending: whole ones, and what is over them, so that both fit a number of SQLite


@dataclass(frozen=True, slots=True)
class Line:
    """Bytes of one object (its CID as text) that were verified, and parts that are to be paid for it."""

    root: str
    size_bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class Signing:
    """A voucher that is about to be signed: `units` in all on its channel, paying for `lines`, the oldest first."""

    channel_id: bytes
    receiver: bytes
    units: int
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Signed:
    """What a voucher may promise in all on its channel, and what was promised on its day on all channels, in units."""

    units: int
    day_units: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What one object from one payee (its operator's address) cost on one day (UTC, like 2026-11-21).

    `size_bytes`: what was verified; `parts`: what vouchers promise for it, 2^30 to a unit.
    """

    day: str
    receiver: bytes
    root: str
    size_bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class Deposit:
    """Money that went into a channel, and what the transaction cost."""

    transaction_hash: bytes
    day: str
    channel_id: bytes
    receiver: bytes
    units: int
    fee_wei: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A channel's balance when the chain was last asked, in unix seconds."""

    capacity_units: int
    at_s: int


def split_parts(lines: Sequence[Line], parts: int) -> tuple[list[Line], list[Line]]:
    """The lines that `parts` pay for, the oldest first, and what is left of them. The bytes go with the first half."""
    paid, rest = [], []
    for line in lines:
        taken = min(parts, line.parts)
        parts -= taken
        paid.append(Line(line.root, line.size_bytes, taken))
        if taken < line.parts:
            rest.append(Line(line.root, 0, line.parts - taken))
    return paid, rest


class SpentLedger:
    """Open it with `SpentLedger.open`. Every change is on disk when its method returns; any thread may call."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = threading.Lock()  # one transaction at a time on the one connection

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["SpentLedger"]:
        """The ledger at `path`, mode 0600, made on first use. StoreError when it cannot be used."""
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.chmod(0o600)
            database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(_SCHEMA)
                yield cls(database)
            finally:
                database.close()

    # Before a voucher leaves.

    def sign(self, signing: Signing, day: str, day_cap_units: int) -> Signed:
        """Write a voucher down as far as the day's cap allows.

        It promises less than `signing.units` where the cap is in the way, and never less than the one before.
        """
        with self._exclusively():
            before_units, day_units = self._signed_units(signing.channel_id), self._signed_on(day)
            room_units = max(0, day_cap_units - day_units)
            more_units = min(max(0, signing.units - before_units), room_units)
            paid, _ = split_parts(signing.lines, more_units << PART_BITS)
            self._raise(signing.channel_id, signing.receiver, before_units + more_units)
            self._database.execute(
                "INSERT INTO day VALUES (?, ?) ON CONFLICT DO UPDATE SET signed_units = signed_units + ?",
                (day, more_units, more_units),
            )
            for line in paid:
                self._add(day, signing.receiver, line)
        return Signed(before_units + more_units, day_units + more_units)

    def adopt(self, channel_id: bytes, receiver: bytes, units: int, day: str) -> None:
        """A promise that we did not remember and that our signature proves: `units` in all. It uses up no day's cap."""
        with self._exclusively():
            more_units = units - self._signed_units(channel_id)
            if more_units > 0:
                self._raise(channel_id, receiver, units)
                self._add(day, receiver, Line(UNKNOWN_ROOT, 0, more_units << PART_BITS))

    def signed_units(self, channel_id: bytes) -> int:
        """What was promised in all on a channel."""
        with self._lock, _sqlite_errors():
            return self._signed_units(channel_id)

    def signed_on(self, day: str) -> int:
        """How many units were promised on a day, by all processes."""
        with self._lock, _sqlite_errors():
            return self._signed_on(day)

    # What the chain said.

    def see(self, channel_id: bytes, receiver: bytes, seen: Seen) -> None:
        """Remember a channel's balance."""
        with self._exclusively():
            self._database.execute(
                "INSERT INTO channel (id, receiver, capacity_units, seen_at_s) VALUES (?, ?, ?, ?) ON CONFLICT"
                " DO UPDATE SET capacity_units = excluded.capacity_units, seen_at_s = excluded.seen_at_s",
                (channel_id, receiver, seen.capacity_units, seen.at_s),
            )

    def seen(self, channel_id: bytes) -> Seen | None:
        """The balance as last remembered, or None."""
        with self._lock, _sqlite_errors():
            row = self._database.execute(
                "SELECT capacity_units, seen_at_s FROM channel WHERE id = ? AND seen_at_s IS NOT NULL", (channel_id,)
            ).fetchone()
        return None if row is None else Seen(*row)

    def add_deposit(self, deposit: Deposit) -> None:
        """Note a deposit that is done; one that is there stays as it is."""
        with self._exclusively():
            self._database.execute(
                "INSERT OR IGNORE INTO deposit VALUES (?, ?, ?, ?, ?, ?)",
                (
                    deposit.transaction_hash,
                    deposit.day,
                    deposit.channel_id,
                    deposit.receiver,
                    deposit.units,
                    str(deposit.fee_wei),
                ),
            )

    # Looking.

    def spendings(self) -> list[Spending]:
        """Everything that was paid, by day, payee and object, in that order."""
        with self._lock, _sqlite_errors():
            rows = self._database.execute("SELECT * FROM spending ORDER BY day, receiver, root").fetchall()
        return [
            Spending(day, receiver, root, size_bytes, (units << PART_BITS) + parts)
            for day, receiver, root, size_bytes, units, parts in rows
        ]

    def deposits(self) -> list[Deposit]:
        """Every deposit that a purse made, the oldest day first."""
        with self._lock, _sqlite_errors():
            rows = self._database.execute("SELECT * FROM deposit ORDER BY day, hash").fetchall()
        return [Deposit(hash_, day, channel, to, units, int(fee)) for hash_, day, channel, to, units, fee in rows]

    def promised(self) -> dict[bytes, int]:
        """What was promised in all, by channel."""
        with self._lock, _sqlite_errors():
            return dict(self._database.execute("SELECT id, signed_units FROM channel").fetchall())

    # Within a transaction.

    def _signed_units(self, channel_id: bytes) -> int:
        row = self._database.execute("SELECT signed_units FROM channel WHERE id = ?", (channel_id,)).fetchone()
        return int(row[0]) if row else 0

    def _signed_on(self, day: str) -> int:
        row = self._database.execute("SELECT signed_units FROM day WHERE day = ?", (day,)).fetchone()
        return int(row[0]) if row else 0

    def _raise(self, channel_id: bytes, receiver: bytes, units: int) -> None:
        self._database.execute(
            "INSERT INTO channel (id, receiver, signed_units) VALUES (?, ?, ?) ON CONFLICT"
            " DO UPDATE SET signed_units = max(signed_units, excluded.signed_units)",
            (channel_id, receiver, units),
        )

    def _add(self, day: str, receiver: bytes, line: Line) -> None:
        key = (day, receiver, line.root)
        row = self._database.execute(
            "SELECT size_bytes, units, parts FROM spending WHERE day = ? AND receiver = ? AND root = ?", key
        ).fetchone()
        size_bytes, units, parts = row or (0, 0, 0)
        total_parts = (units << PART_BITS) + parts + line.parts
        values = size_bytes + line.size_bytes, total_parts >> PART_BITS, total_parts % (1 << PART_BITS)
        self._database.execute("INSERT OR REPLACE INTO spending VALUES (?, ?, ?, ?, ?, ?)", (*key, *values))

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        with self._lock, _sqlite_errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the ledger of spending cannot be used: {error}", fix="free the disk") from error


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StoreError(
            f"the ledger of spending {path} cannot be used: {why}",
            fix="free the disk or repair the file; it knows what was promised, so do not delete it",
        ) from error
