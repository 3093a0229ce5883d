"""Which blocks a node's backends can give, kept in one private SQLite file beside the store.

A file of a backend is a row (key, version, CID); its inner nodes, and the nodes of the folders, are kept whole, for no
backend has them; of its leaves only where they are. So what is kept is about 0.01 % of the bytes that can be served,
and what the store holds of them is cache that may be evicted.

Several processes may use it at once: a command adds while the node serves. It holds the backends' addresses, so its
mode is 0600. Thread-safe.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nearcast.content.backends.address import BackendAddress, Kind
from nearcast.content.backends.base import BackendObject
from nearcast.content.cid import RAW, Cid, decode_cid
from nearcast.content.dag import FileDag
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store.disk import storing
from nearcast.errors import StoreError, UsageError

FILE_NAME = "backends.sqlite3"
VERSION = 1
BUSY_TIMEOUT_S = 30.0  # another process that commits; guess: a batch on a slow disk
BACKENDS_MAX = 256  # of one node; guess
COPIES_MAX = 8  # of one file that are looked at: in several backends, or under several keys
PREFIX_BYTES = 8  # of a digest, to find a leaf by; two leaves that share them are told apart by hashing

SCHEMA = """
create table if not exists backends(
    id integer primary key autoincrement, name text not null unique, kind text not null, url text not null,
    endpoint text not null, region text not null, only_key text, listed integer not null, hidden integer not null,
    round integer not null, root blob, size integer not null, files integer not null, read_unix_s real not null,
    unique(url, endpoint));
create table if not exists files(
    id integer primary key autoincrement, backend integer not null, key text not null, cid blob not null,
    size integer not null, tsize integer not null, version text not null, changed integer not null,
    round integer not null,
    unique(backend, key));
create index if not exists files_by_cid on files(cid);
create table if not exists nodes(cid blob not null, backend integer not null, file integer not null,
    data blob not null, primary key(cid, backend, file)) without rowid;
create index if not exists nodes_by_file on nodes(backend, file);
create table if not exists leaves(prefix blob not null, file integer not null, position integer not null,
    primary key(prefix, file, position)) without rowid;
create index if not exists leaves_by_file on leaves(file);
"""

_FOLDERS = 0  # stands for "no file" among the nodes
_BACKEND = "id, name, kind, url, endpoint, region, only_key, listed, hidden, round, root, size, files, read_unix_s"
_FILE = "id, backend, key, cid, size, tsize, version, changed"


@dataclass(frozen=True, slots=True)
class KnownBackend:
    """A backend as it is remembered. `root` is None until all of it has been read once."""

    backend_id: int
    name: str
    address: BackendAddress
    only: str | None  # the one key that it is about, where its address names a file
    is_listed: bool  # False: a web server's folder, whose keys were given
    hidden: bool
    round: int  # of reading it; files that the last one did not meet are gone
    root: Cid | None
    size_bytes: int
    files: int
    read_unix_s: float


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of a backend, as it was when it was read."""

    file_id: int
    backend_id: int
    object: BackendObject
    cid: Cid
    tsize: int
    is_changed: bool  # its bytes have been seen to be others since


class BackendIndex:
    """Open it, `close` it. Raises StoreError (and DiskFullError) from everything."""

    def __init__(self, data_dir: Path) -> None:
        self._lock = threading.RLock()
        with storing():
            data_dir.mkdir(parents=True, exist_ok=True)
            path = data_dir / FILE_NAME
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its side files the same mode
            path.chmod(0o600)
            self._sql = sqlite3.connect(path, BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._sql.close()
                raise

    def _prepare(self) -> None:
        self._sql.execute("pragma journal_mode=wal")
        self._sql.execute("pragma synchronous=full")
        (version,) = self._sql.execute("pragma user_version").fetchone()
        if version not in (0, VERSION):
            raise StoreError(f"{FILE_NAME} was written by another version of nearcast")
        if version == 0:
            self._sql.executescript(f"begin immediate; {SCHEMA} pragma user_version={VERSION}; commit;")

    def close(self) -> None:
        self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The backends

    def backends(self) -> list[KnownBackend]:
        """All of them, the oldest first."""
        return [_backend(row) for row in self._ask(f"select {_BACKEND} from backends order by id")]

    def backend(self, backend_id: int) -> KnownBackend | None:
        rows = self._ask(f"select {_BACKEND} from backends where id = ?", (backend_id,))
        return _backend(rows[0]) if rows else None

    def begin(
        self, address: BackendAddress, name: str, *, only: str | None, is_listed: bool, hidden: bool
    ) -> KnownBackend:
        """A new round of reading: of a new backend, or of the one at this address. An empty `name` keeps the old one,
        or takes the next number. Raises UsageError when another backend has the name."""
        place = (address.url, address.endpoint)
        with self._changing() as sql:
            found = sql.execute("select id, name from backends where url = ? and endpoint = ?", place).fetchone()
            taken = sql.execute("select id from backends where name = ?", (name,)).fetchone()
            if taken is not None and (found is None or taken[0] != found[0]):
                raise UsageError(f"another backend is called {name!r}", fix="give another --name")
            if found is None:
                found = self._insert(sql, address, name)
            sql.execute(
                "update backends set round = round + 1, name = ?, region = ?, only_key = ?, listed = ?, hidden = ?"
                " where id = ?",
                (name or found[1], address.region, only, is_listed, hidden, found[0]),
            )
        known = self.backend(found[0])
        assert known is not None
        return known

    def _insert(self, sql: sqlite3.Connection, address: BackendAddress, name: str) -> tuple[int, str]:
        (count, last) = sql.execute("select count(*), coalesce(max(id), 0) from backends").fetchone()
        if count >= BACKENDS_MAX:
            raise UsageError(f"a node has {BACKENDS_MAX} backends at most", fix="nearcast backend rm NAME")
        cursor = sql.execute(
            "insert into backends(name, kind, url, endpoint, region, listed, hidden, round, size, files, read_unix_s)"
            " values(?, ?, ?, ?, ?, 1, 0, 0, 0, 0, 0)",
            (name or f"backend-{last + 1}", address.kind, address.url, address.endpoint, address.region),
        )
        backend_id = int(cursor.lastrowid or 0)
        if not name:  # numbers are not used again, so the real one may be higher than the guess
            sql.execute("update backends set name = ? where id = ?", (f"backend-{backend_id}", backend_id))
        return backend_id, name or f"backend-{backend_id}"

    def finish(self, known: KnownBackend, root: Cid, folders: Iterable[tuple[Cid, bytes]], unix_s: float) -> None:
        """The round is over: `root` and its folders' nodes stand for the backend now, and what was not met is gone."""
        with self._changing() as sql:
            gone = "select id from files where backend = ? and round != ?"
            mine = (known.backend_id, known.round)
            sql.execute(f"delete from leaves where file in ({gone})", mine)
            sql.execute(f"delete from nodes where backend = ? and file in ({gone})", (known.backend_id, *mine))
            sql.execute("delete from files where backend = ? and round != ?", mine)
            sql.execute("delete from nodes where backend = ? and file = ?", (known.backend_id, _FOLDERS))
            rows = ((cid.v1.to_bytes(), known.backend_id, _FOLDERS, data) for cid, data in folders)
            sql.executemany("insert or ignore into nodes values(?, ?, ?, ?)", rows)
            sql.execute(
                "update backends set root = ?1, read_unix_s = ?2,"
                " size = (select coalesce(sum(size), 0) from files where backend = ?3),"
                " files = (select count(*) from files where backend = ?3) where id = ?3",
                (root.v1.to_bytes(), unix_s, known.backend_id),
            )

    def forget(self, backend_id: int) -> None:
        """Nothing of it is known any more."""
        with self._changing() as sql:
            sql.execute("delete from leaves where file in (select id from files where backend = ?)", (backend_id,))
            for table, column in (("nodes", "backend"), ("files", "backend"), ("backends", "id")):
                sql.execute(f"delete from {table} where {column} = ?", (backend_id,))

    # Their files

    def files(self, backend_id: int) -> Iterator[KnownFile]:
        """All files of a backend by key, in pages: there may be millions."""
        after = ""
        while True:
            rows = self._ask(
                f"select {_FILE} from files where backend = ? and key > ? order by key limit 1000", (backend_id, after)
            )
            yield from map(_file, rows)
            if not rows:
                return
            after = rows[-1][2]

    def file_at(self, backend_id: int, key: str) -> KnownFile | None:
        rows = self._ask(f"select {_FILE} from files where backend = ? and key = ?", (backend_id, key))
        return _file(rows[0]) if rows else None

    def put_files(self, known: KnownBackend, read: Sequence[tuple[BackendObject, FileDag]]) -> None:
        """Files that were read in this round; durable on return."""
        with self._changing() as sql:
            for found, dag in read:
                self._drop_file(sql, known.backend_id, found.key)
                cursor = sql.execute(
                    "insert into files(backend, key, cid, size, tsize, version, changed, round)"
                    " values(?, ?, ?, ?, ?, ?, 0, ?)",
                    (known.backend_id, found.key, dag.root.v1.to_bytes(), found.size_bytes, dag.tsize, found.version,
                     known.round),
                )  # fmt: skip
                file_id = cursor.lastrowid
                sql.executemany(
                    "insert or ignore into nodes values(?, ?, ?, ?)",
                    ((cid.v1.to_bytes(), known.backend_id, file_id, data) for cid, data in dag.nodes),
                )
                leaves = range(len(dag.leaves)) if dag.nodes else ()
                sql.executemany(
                    "insert or ignore into leaves values(?, ?, ?)",
                    ((dag.leaves.digest(index)[:PREFIX_BYTES], file_id, index) for index in leaves),
                )

    def keep_files(self, known: KnownBackend, file_ids: Sequence[int]) -> None:
        """Files that this round met again as they were."""
        with self._changing() as sql:
            sql.executemany("update files set round = ? where id = ?", ((known.round, each) for each in file_ids))

    def mark_changed(self, file_id: int) -> None:
        """Its bytes are not what they were: it is served no more until it is read anew."""
        with self._changing() as sql:
            sql.execute("update files set changed = 1 where id = ?", (file_id,))

    def is_changed(self, file_id: int) -> bool:
        """Whether its bytes were seen to be others, or it is not known (any more)."""
        return not self._ask("select 1 from files where id = ? and not changed", (file_id,))

    def count_changed(self, backend_id: int) -> int:
        return int(self._ask("select count(*) from files where backend = ? and changed", (backend_id,))[0][0])

    # Blocks

    def holders(self, cid: Cid) -> list[int]:
        """The backends that know this file, folder, node or leaf, the oldest first; what changed is not known."""
        key = cid.v1.to_bytes()
        rows = self._ask(
            "select backend from files where cid = ?1 and not changed union"
            " select nodes.backend from nodes left join files on files.id = nodes.file"
            f" where nodes.cid = ?1 and (nodes.file = {_FOLDERS} or not files.changed)",
            (key,),
        )
        if not rows and cid.codec == RAW:
            rows = self._ask(
                "select distinct files.backend from leaves join files on files.id = leaves.file"
                " where prefix = ? and not changed",
                (cid.digest[:PREFIX_BYTES],),
            )
        return sorted(row[0] for row in rows)

    def node(self, cid: Cid) -> bytes | None:
        """A node of a folder or a file."""
        rows = self._ask("select data from nodes where cid = ? limit 1", (cid.v1.to_bytes(),))
        return bytes(rows[0][0]) if rows else None

    def files_named(self, cid: Cid) -> tuple[KnownFile, ...]:
        """Files with this CID that have not changed, wherever they are; COPIES_MAX of them."""
        rows = self._ask(
            f"select {_FILE} from files where cid = ? and not changed order by id limit {COPIES_MAX}",
            (cid.v1.to_bytes(),),
        )
        return tuple(map(_file, rows))

    def leaf(self, cid: Cid) -> tuple[KnownFile, int] | None:
        """A file that has not changed, and the offset in it, at which this raw leaf probably is."""
        columns = ", ".join(f"files.{column}" for column in _FILE.split(", "))
        rows = self._ask(
            f"select {columns}, position from leaves join files on files.id = leaves.file"
            " where prefix = ? and not changed limit 1",
            (cid.digest[:PREFIX_BYTES],),
        )
        return (_file(rows[0][:-1]), rows[0][-1] * LEAF_BYTES) if rows else None

    def _drop_file(self, sql: sqlite3.Connection, backend_id: int, key: str) -> None:
        found = sql.execute("select id from files where backend = ? and key = ?", (backend_id, key)).fetchone()
        if found is not None:
            sql.execute("delete from leaves where file = ?", found)
            sql.execute("delete from nodes where backend = ? and file = ?", (backend_id, *found))
            sql.execute("delete from files where id = ?", found)

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with storing(), self._lock:
            return self._sql.execute(sql, values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when the block ends."""
        with storing(), self._lock:
            self._sql.execute("begin immediate")
            try:
                yield self._sql
                self._sql.execute("commit")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("rollback")
                raise


def _backend(row: tuple[Any, ...]) -> KnownBackend:
    backend_id, name, kind, url, endpoint, region, only, listed, hidden, round_, root, size, files, read_s = row
    checked: Kind = kind
    return KnownBackend(
        backend_id, name, BackendAddress(checked, url, endpoint, region), only, bool(listed), bool(hidden), round_,
        decode_cid(root) if root is not None else None, size, files, read_s,
    )  # fmt: skip


def _file(row: tuple[Any, ...]) -> KnownFile:
    file_id, backend_id, key, cid, size, tsize, version, is_changed = row
    return KnownFile(file_id, backend_id, BackendObject(key, size, version), decode_cid(cid), tsize, bool(is_changed))
