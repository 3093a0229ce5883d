"""The index: one SQLite file that says where everything is. It can be rebuilt from the files alone (rebuild.py).

One writer, which holds a lock for the length of a transaction; readers take a connection each from a small pool and,
the journal being a WAL, never wait for the writer. Commits that are acknowledged are synced (synchronous=FULL).

Statements carry hundreds of rows each: Python gives up the GIL around every step of SQLite, and in a busy program
each time costs up to 5 ms to get it back.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from nearcast.content.store.disk import is_damaged

VALUES_MAX = 30_000  # SQLite binds at most 32,766 values to a statement
BUSY_TIMEOUT_S = 10.0  # only the moment in which a WAL is reset can be busy, the process lock keeps everyone else out
WRITER_CACHE_KIB = 8192  # guess: upper pages of the trees of some million rows
READER_CACHE_KIB = 1024  # the kernel's page cache is behind it
READERS_KEPT_MAX = 8  # connections kept open between reads; more threads at once open and close their own
WAL_BYTES_KEPT = 16 << 20

SCHEMA = """
create table objects(
    id integer primary key, cid blob not null unique, place integer not null,
    pack integer, offset integer, size integer not null, outboard integer not null,
    held integer not null, parents integer not null);
create table edges(parent integer, child integer, primary key(parent, child)) without rowid;
create table leaves(prefix integer, object integer, position integer, primary key(prefix, object)) without rowid;
create table sources(id integer primary key, path blob not null, guard blob not null);
create table pins(cid blob primary key, name text not null, created real not null) without rowid;
create table packs(id integer primary key, size integer not null, live integer not null);
create table trash(path text primary key) without rowid;
create table facts(name text primary key, value integer not null) without rowid;
"""

SUSPECT = "index.suspect"
TABLES = ("objects", "edges", "leaves", "sources", "pins", "packs", "trash", "facts")
SIDE_FILES = ("-wal", "-shm")
Rows = list[tuple[Any, ...]]


class Index:
    """Connections to the index. Errors of SQLite pass through as they are: see `disk.storing`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        fresh = not path.exists()
        self._writer = _connect(path, WRITER_CACHE_KIB)
        try:
            self._writer.execute("pragma journal_mode=wal")
            self._writer.execute("pragma synchronous=full")
            self._writer.execute(f"pragma journal_size_limit={WAL_BYTES_KEPT}")
            if fresh:
                self._writer.executescript("begin;" + SCHEMA + "commit;")
        except sqlite3.Error:
            self._writer.close()
            raise

    def ask(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of one query, on a connection of its own."""
        try:
            reader = self._readers.pop()
        except IndexError:
            reader = _connect(self.path, READER_CACHE_KIB)
        try:
            return reader.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            if is_damaged(error):
                self.path.with_name(SUSPECT).touch()  # the next opening rebuilds it
            raise
        finally:
            if self._closed or len(self._readers) >= READERS_KEPT_MAX:
                reader.close()
            else:
                self._readers.append(reader)

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """All or nothing, durable when the block ends. Others that write wait, readers do not."""
        with self.lock:
            self._writer.execute("begin immediate")
            try:
                yield Transaction(self._writer)
                self._writer.execute("commit")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("rollback")
                raise

    def sound(self) -> bool:
        """SQLite's own check of the whole file."""
        return self._writer.execute("pragma quick_check(1)").fetchall() == [("ok",)]

    def copy_from(self, other: Path) -> None:
        """Takes over everything from another index, in one transaction."""
        with self.lock:
            self._writer.execute("attach ? as fresh", (str(other),))
            try:
                with self.transaction() as sql:
                    for table in TABLES:
                        sql.run(f"delete from main.{table}")
                        sql.run(f"insert into main.{table} select * from fresh.{table}")
            finally:
                self._writer.execute("detach fresh")

    def close(self) -> None:
        with self.lock:
            self._closed = True
            while self._readers:
                self._readers.pop().close()
            self._writer.close()


class Transaction:
    """The writer's connection inside a transaction, with statements over many rows at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ask(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Executes one statement; the number of rows that it changed."""
        return self._connection.execute(sql, values).rowcount

    def ask_many(self, sql: str, keys: Iterable[Any]) -> Rows:
        """`sql` ends in `in (%s)`: its rows for all keys, a slice of them at a time."""
        rows: Rows = []
        for part in slices(keys, SLICE):
            rows += self._connection.execute(sql % ",".join("?" * len(part)), part).fetchall()
        return rows

    def run_many(self, sql: str, keys: Iterable[Any]) -> None:
        for part in slices(keys, SLICE):
            self._connection.execute(sql % ",".join("?" * len(part)), part)

    def insert(self, into: str, columns: int, rows: Iterable[tuple[Any, ...]]) -> int:
        """`into` is `insert … into t values %s`; the number of rows that were inserted."""
        inserted = 0
        row = "(" + ",".join("?" * columns) + ")"
        for part in slices(rows, min(SLICE, VALUES_MAX // columns)):
            flat = [value for each in part for value in each]
            inserted += self._connection.execute(into % ",".join([row] * len(part)), flat).rowcount
        return inserted


SLICE = 500  # rows a statement; measured: beyond it nothing gets faster


def slices(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=32
    )
    connection.execute(f"pragma cache_size=-{cache_kib}")
    return connection
