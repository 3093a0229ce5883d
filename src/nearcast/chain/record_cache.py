"""The registry's events as they were read and checked, in SQLite: a start reads them from here instead of the chain.

Three tables: the events in their order, the standing that they leave each operator with, and checkpoints, the hashes of
blocks up to which all was read. When the chain shows another hash for a checkpoint, events after an older one that
still holds are dropped and the standings made again from what is left. Losing the file costs time and nothing else.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any, Final

from nearcast.chain.eip712 import Domain
from nearcast.chain.node_records import Event, NodeRecord, Standing, after
from nearcast.chain.registration import Registration
from nearcast.errors import StoreError

CHECKPOINTS_MAX: Final = 64  # a reorganisation older than so many reads makes us read from the beginning
_VERSION: Final = 1
_TABLES: Final = {
    "source": "chain_id INTEGER NOT NULL, registry BLOB NOT NULL",
    "checkpoint": "number INTEGER PRIMARY KEY, hash BLOB NOT NULL",
    "event": """block INTEGER NOT NULL, log INTEGER NOT NULL, name TEXT NOT NULL, operator BLOB NOT NULL,
        amount INTEGER NOT NULL, nonce INTEGER NOT NULL, registration TEXT, PRIMARY KEY (block, log)""",
    "standing": """operator BLOB PRIMARY KEY, bonded INTEGER NOT NULL, required INTEGER NOT NULL,
        last_nonce INTEGER NOT NULL, block INTEGER NOT NULL, since_block INTEGER NOT NULL, since_log INTEGER NOT NULL,
        hot_key BLOB, endpoint_id BLOB, mbps INTEGER, region TEXT, price TEXT, urls TEXT""",
}
_NOBODY: Final = (None,) * 6  # the columns of a standing without a registration


class RecordCache:
    """One file for one registry. Any thread may call, one at a time; other processes wait their turn."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, domain: Domain) -> "RecordCache":
        """The cache at `path`, emptied when it is of another registry or damaged. StoreError when it cannot be."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return cls(path, _connect(path, domain))
            except sqlite3.OperationalError:  # the disk, or somebody who holds it: not to be thrown away
                raise
            except sqlite3.DatabaseError:
                for part in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                    part.unlink(missing_ok=True)
                return cls(path, _connect(path, domain))
        except (sqlite3.Error, OSError) as error:
            raise _unusable(path, error) from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "RecordCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def checkpoints(self) -> list[tuple[int, bytes]]:
        """Number and hash of blocks up to which everything was read, the newest first. StoreError."""
        with self._failures():
            return self._connection.execute("SELECT number, hash FROM checkpoint ORDER BY number DESC").fetchall()

    def add(self, events: Iterable[Event], after_block: int, number: int, block_hash: bytes) -> None:
        """The events of the blocks after `after_block` up to `number`, whose hash becomes the newest checkpoint.

        Does nothing when the newest checkpoint is not `after_block` any more: another process was faster. StoreError.
        """
        with self._failures(), _transaction(self._connection) as database:
            if _newest(database) != after_block:
                return
            found = list(events)
            database.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", map(_event_row, found))
            changed: dict[bytes, Standing] = {}
            for event in found:
                before = changed.get(event.operator) or _standing(database, event.operator)
                changed[event.operator] = after(before, event)
            _put(database, changed.values())
            database.execute("INSERT INTO checkpoint VALUES (?, ?)", (number, block_hash))
            database.execute(
                "DELETE FROM checkpoint WHERE number < (SELECT min(number) FROM"
                " (SELECT number FROM checkpoint ORDER BY number DESC LIMIT ?))",
                (CHECKPOINTS_MAX,),
            )

    def go_back(self, number: int) -> None:
        """Forget what was read after the block `number`, a checkpoint; -1: everything. StoreError."""
        with self._failures(), _transaction(self._connection) as database:
            lost = database.execute("SELECT DISTINCT operator FROM event WHERE block > ?", (number,)).fetchall()
            database.execute("DELETE FROM event WHERE block > ?", (number,))
            database.execute("DELETE FROM checkpoint WHERE number > ?", (number,))
            _put(database, [_replayed(database, operator) for (operator,) in lost])

    def records(self) -> list[NodeRecord]:
        """Every node in force; of several that hold one endpoint id only the first that still does. StoreError."""
        with self._failures():
            rows = self._connection.execute(
                "SELECT operator, hot_key, endpoint_id, mbps, region, price, urls, bonded >= required, block"
                " FROM standing WHERE hot_key IS NOT NULL ORDER BY since_block, since_log"
            ).fetchall()
        held: dict[bytes, NodeRecord] = {}
        for operator, hot_key, endpoint_id, mbps, region, price, urls, active, block in rows:
            if endpoint_id not in held:
                held[endpoint_id] = NodeRecord(
                    operator, hot_key, endpoint_id, mbps, region, int(price), _urls(urls), bool(active), block
                )
        return list(held.values())

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error


def _unusable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"the cache of node records {path} cannot be used: {error}", fix=f"remove it: rm {path}*")


def _connect(path: Path, domain: Domain) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power failure may cost the newest reads, never order
        with _transaction(connection) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            source = (domain.chain_id, domain.contract)
            if version != _VERSION or database.execute("SELECT * FROM source").fetchone() != source:
                _make_anew(database, source)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing, and nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_anew(database: sqlite3.Connection, source: tuple[int, bytes]) -> None:
    for table, columns in _TABLES.items():
        database.execute(f"DROP TABLE IF EXISTS {table}")
        database.execute(f"CREATE TABLE {table} ({columns})")
    database.execute("CREATE INDEX event_of ON event (operator, block, log)")
    database.execute("INSERT INTO source VALUES (?, ?)", source)
    database.execute(f"PRAGMA user_version = {_VERSION}")


def _newest(database: sqlite3.Connection) -> int:
    (number,) = database.execute("SELECT ifnull(max(number), -1) FROM checkpoint").fetchone()
    return int(number)


def _standing(database: sqlite3.Connection, operator: bytes) -> Standing:
    row = database.execute("SELECT * FROM standing WHERE operator = ?", (operator,)).fetchone()
    if row is None:
        return Standing(operator)
    _, bonded, required, last_nonce, block, since_block, since_log, *columns = row
    registration = None
    if columns[0] is not None:
        hot_key, endpoint_id, mbps, region, price, urls = columns
        registration = Registration(operator, hot_key, endpoint_id, mbps, region, int(price), _urls(urls))
    return Standing(operator, registration, bonded, required, last_nonce, block, (since_block, since_log))


def _replayed(database: sqlite3.Connection, operator: bytes) -> Standing:
    """The standing that all kept events leave an operator with."""
    rows = database.execute("SELECT * FROM event WHERE operator = ? ORDER BY block, log", (operator,))
    return reduce(after, map(_event, rows), Standing(operator))


def _put(database: sqlite3.Connection, standings: Iterable[Standing]) -> None:
    database.executemany(
        "INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_standing_row, standings)
    )


def _standing_row(standing: Standing) -> tuple[object, ...]:
    now = standing.registration
    row = (standing.operator, standing.bonded, standing.required, standing.last_nonce, standing.block_number)
    return *row, *standing.since, *(_NOBODY if now is None else _columns(now))


def _columns(registration: Registration) -> tuple[object, ...]:
    return (
        registration.hot_key,
        registration.endpoint_id,
        registration.mbps,
        registration.region,
        str(registration.price_units_per_gib),  # 64 bits, one more than SQLite's numbers have
        "\n".join(registration.urls),  # a web URL has no line break in it
    )


def _urls(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def _event_row(event: Event) -> tuple[object, ...]:
    place = event.block_number, event.log_index
    text = None if event.registration is None else _text(event.registration)
    return *place, event.name, event.operator, event.amount, event.nonce, text


def _event(row: Sequence[Any]) -> Event:
    block, log, name, operator, amount, nonce, text = row
    return Event(block, log, name, operator, amount, nonce, None if text is None else _registration(operator, text))


def _text(registration: Registration) -> str:
    _, hot_key, endpoint_id, mbps, _, price, urls = registration.as_tuple()
    return json.dumps([hot_key.hex(), endpoint_id.hex(), mbps, registration.region, price, urls])


def _registration(operator: bytes, text: str) -> Registration:
    hot_key, endpoint_id, mbps, region, price, urls = json.loads(text)
    return Registration(operator, bytes.fromhex(hot_key), bytes.fromhex(endpoint_id), mbps, region, price, tuple(urls))
