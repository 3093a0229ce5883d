"""The ledger of what a node earns: the newest voucher of every channel, and which objects were delivered and paid.

A voucher is money only while we have it: it is here, synced, before a byte is delivered that relies on it. One
transaction takes the vouchers of many channels, since syncing the disk costs the same for one and for a hundred. Sales
are written in the same transactions, so that after any crash paid parts over all objects are the vouchers, exactly.

What was delivered since the last transaction is lost by a crash (seconds of statistics, no money).
Amounts of parts can pass 63 bits: they are kept as whole units and a rest under 2^30.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from nearcast.chain.vouchers import ChannelConfig
from nearcast.errors import DiskFullError, StoreError
from nearcast.payments.credit import PART_BITS
from nearcast.payments.earned_rows import ClaimTransaction, EarnedChannel, Sale, SaleKey, Unclaimed
from nearcast.payments.messages import Promise
from nearcast.payments.owed import Lot

FILE_NAME: Final = "earned.sqlite3"  # beside the other books of its chain
_BUSY_S: Final = 10.0  # how long to wait for another process that writes; its transactions take milliseconds
_REST: Final = (1 << PART_BITS) - 1
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS channel (
    id BLOB PRIMARY KEY, payer BLOB NOT NULL, payer_authorizer BLOB NOT NULL, receiver BLOB NOT NULL,
    receiver_authorizer BLOB NOT NULL, token BLOB NOT NULL, withdraw_delay_s INTEGER NOT NULL, salt BLOB NOT NULL,
    units INTEGER NOT NULL, signature BLOB NOT NULL, promised_at_s INTEGER NOT NULL, capacity_units INTEGER NOT NULL,
    checked_at_s INTEGER NOT NULL, forgiven_units INTEGER NOT NULL, forgiven_rest INTEGER NOT NULL, owed TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sale (
    day TEXT NOT NULL, payer BLOB NOT NULL, root TEXT NOT NULL, role TEXT NOT NULL, delivered_bytes INTEGER NOT NULL,
    delivered_units INTEGER NOT NULL, delivered_rest INTEGER NOT NULL,
    paid_units INTEGER NOT NULL, paid_rest INTEGER NOT NULL, PRIMARY KEY (day, payer, root, role)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claim_transaction (
    hash BLOB PRIMARY KEY, at_s INTEGER NOT NULL, fee_wei TEXT NOT NULL, settled_units INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claim (
    hash BLOB NOT NULL REFERENCES claim_transaction (hash), channel BLOB NOT NULL, total_units INTEGER NOT NULL,
    PRIMARY KEY (channel, hash)
) WITHOUT ROWID;
"""
_CHANNEL: Final = (
    "id, payer, payer_authorizer, receiver, receiver_authorizer, token, withdraw_delay_s, salt,"
    " units, signature, promised_at_s, capacity_units, checked_at_s, forgiven_units, forgiven_rest, owed"
)
# A voucher never goes back, whoever writes: the signature stays with the amount that it signs.
_PUT_CHANNEL: Final = f"""
INSERT INTO channel ({_CHANNEL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    signature = CASE WHEN excluded.units > units THEN excluded.signature ELSE signature END,
    promised_at_s = CASE WHEN excluded.units > units THEN excluded.promised_at_s ELSE promised_at_s END,
    units = max(units, excluded.units), capacity_units = excluded.capacity_units, checked_at_s = excluded.checked_at_s,
    forgiven_units = excluded.forgiven_units, forgiven_rest = excluded.forgiven_rest, owed = excluded.owed
"""
_ADD_SALE: Final = f"""
INSERT INTO sale VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, payer, root, role) DO UPDATE SET
    delivered_bytes = delivered_bytes + excluded.delivered_bytes,
    delivered_units =
        delivered_units + excluded.delivered_units + ((delivered_rest + excluded.delivered_rest) >> {PART_BITS}),
    delivered_rest = (delivered_rest + excluded.delivered_rest) & {_REST},
    paid_units = paid_units + excluded.paid_units + ((paid_rest + excluded.paid_rest) >> {PART_BITS}),
    paid_rest = (paid_rest + excluded.paid_rest) & {_REST}
"""


class EarnedLedger:
    """Open it with `EarnedLedger.open`. Any thread may call; several processes may have it open.

    Every method raises StoreError (DiskFullError) when the disk cannot, and has then changed nothing.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path = path
        self._database = database
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["EarnedLedger"]:
        """The ledger at `path`, mode 0600, made on first use. StoreError when it cannot be used."""
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            with _disk_errors(path):
                _prepare(path, database)
            yield cls(path, database)
        finally:
            database.close()

    def record_vouchers(self, channels: Iterable[EarnedChannel], sales: Iterable[Sale] = ()) -> None:
        """Write channels as they stand now and add the sales, all in one synced transaction."""
        with self._transaction() as database:
            database.executemany(_PUT_CHANNEL, map(_channel_row, channels))
            database.executemany(_ADD_SALE, map(_sale_row, sales))

    def newest(self, channel_id: bytes) -> EarnedChannel | None:
        """What is known of a channel, or None."""
        rows = self._rows(f"SELECT {_CHANNEL} FROM channel WHERE id = ?", (channel_id,))
        return _channel(rows[0]) if rows else None

    def channels(self) -> list[EarnedChannel]:
        """Every channel that a voucher came on."""
        return [_channel(row) for row in self._rows(f"SELECT {_CHANNEL} FROM channel ORDER BY id")]

    def sales(self, since_day: str = "") -> list[Sale]:
        """Every row of the books from that day on, the oldest day first."""
        rows = self._rows("SELECT * FROM sale WHERE day >= ? ORDER BY day, payer, root, role", (since_day,))
        return [_sale(row) for row in rows]

    def pending(self) -> list[Unclaimed]:
        """Vouchers that are worth more than what was claimed with them, the most valuable first."""
        rows = self._rows(
            f"SELECT {_CHANNEL}, claimed FROM (SELECT *, ifnull((SELECT max(total_units) FROM claim"
            " WHERE claim.channel = channel.id), 0) AS claimed FROM channel) WHERE units > claimed"
            " ORDER BY units - claimed DESC, id"
        )
        unclaimed = [(_channel(row[:-1]), row[-1]) for row in rows]
        return [Unclaimed(each.channel_id, each.config, each.promise, claimed) for each, claimed in unclaimed]

    def record_claims(self, done: ClaimTransaction) -> None:
        """Book a transaction. One that is booked already stays as it is."""
        with self._transaction() as database:
            row = (done.transaction, done.at_s, str(done.fee_wei), done.settled_units)
            if database.execute("INSERT OR IGNORE INTO claim_transaction VALUES (?, ?, ?, ?)", row).rowcount:
                rows = [(done.transaction, channel_id, units) for channel_id, units in done.claims]
                database.executemany("INSERT OR REPLACE INTO claim VALUES (?, ?, ?)", rows)

    def claims(self) -> list[ClaimTransaction]:
        """Every booked transaction, the oldest first."""
        with self._lock, _disk_errors(self._path):
            claims: dict[bytes, list[tuple[bytes, int]]] = {}
            for transaction, channel_id, units in self._database.execute("SELECT * FROM claim ORDER BY channel"):
                claims.setdefault(transaction, []).append((channel_id, units))
            rows = self._database.execute("SELECT * FROM claim_transaction ORDER BY at_s, hash").fetchall()
        return [
            ClaimTransaction(transaction, at_s, int(fee_wei), settled_units, tuple(claims.get(transaction, ())))
            for transaction, at_s, fee_wei, settled_units in rows
        ]

    def claimed_units(self, channel_id: bytes) -> int:
        """The total claimed of a channel, as far as it is booked here."""
        ((units,),) = self._rows("SELECT ifnull(max(total_units), 0) FROM claim WHERE channel = ?", (channel_id,))
        return int(units)

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, _disk_errors(self._path):
            return self._database.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _disk_errors(self._path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise


def _prepare(path: Path, database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # in WAL mode: the log is synced at every commit
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise StoreError(f"the ledger {path} was written by a newer Nearcast", fix="update Nearcast")
    database.executescript(_SCHEMA)
    database.execute(f"PRAGMA user_version = {_VERSION}")


def _channel_row(channel: EarnedChannel) -> tuple[Any, ...]:
    return (
        channel.channel_id,
        *channel.config.as_tuple(),
        channel.promise.units,
        channel.promise.signature,
        channel.promised_at_s,
        channel.capacity_units,
        channel.checked_at_s,
        *_split(channel.forgiven_parts),
        json.dumps([(lot.root, lot.role, lot.parts) for lot in channel.owed]),
    )


def _channel(row: Sequence[Any]) -> EarnedChannel:
    units, signature, promised_at_s, capacity_units, checked_at_s, forgiven_units, forgiven_rest, owed = row[8:]
    return EarnedChannel(
        row[0],
        ChannelConfig(*row[1:8]),
        Promise(units, signature),
        promised_at_s,
        capacity_units,
        checked_at_s,
        _joined(forgiven_units, forgiven_rest),
        tuple(Lot(*lot) for lot in json.loads(owed)),
    )


def _sale_row(sale: Sale) -> tuple[Any, ...]:
    key = sale.key
    paid = _split(sale.paid_parts)
    return key.day, key.payer, key.root, key.role, sale.delivered_bytes, *_split(sale.delivered_parts), *paid


def _sale(row: Sequence[Any]) -> Sale:
    day, payer, root, role, delivered_bytes, delivered_units, delivered_rest, paid_units, paid_rest = row
    key = SaleKey(day, payer, root, role)
    return Sale(key, delivered_bytes, _joined(delivered_units, delivered_rest), _joined(paid_units, paid_rest))


def _split(parts: int) -> tuple[int, int]:
    return parts >> PART_BITS, parts & _REST


def _joined(units: int, rest: int) -> int:
    return (units << PART_BITS) + rest


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        kind = DiskFullError if full else StoreError
        raise kind(f"the ledger of earnings {path} cannot be used: {error}") from error
    except OSError as error:
        raise StoreError(
            f"the ledger of earnings {path} cannot be used: {error.strerror}",
            fix="free the disk, or make the file writable",
        ) from error
