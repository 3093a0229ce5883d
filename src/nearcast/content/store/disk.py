"""The edge to the operating system: what its errors mean to us, and how bytes become durable."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearcast.errors import DiskFullError, StoreError

FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # EFBIG: the limit on file sizes of the process (RLIMIT_FSIZE)
MAKE_ROOM = "free some disk space, or lower store.quota_bytes and remove what is not needed"


@contextmanager
def storing() -> Iterator[None]:
    """Turns errors of files and SQLite into ours, once: DiskFullError when there is no room, else StoreError."""
    try:
        yield
    except OSError as error:
        raise store_error(error) from error
    except sqlite3.Error as error:
        raise index_error(error) from error


def store_error(error: OSError) -> StoreError:
    if error.errno in FULL_ERRNOS:
        return DiskFullError("the disk has no room left for the store", fix=MAKE_ROOM)
    name = f" {error.filename}" if error.filename else ""
    return StoreError(
        f"the store cannot use{name}: {error.strerror or error}", fix="check the disk and its permissions"
    )


def index_error(error: sqlite3.Error) -> StoreError:
    if is_full(error):
        return DiskFullError("the disk has no room left for the store's index", fix=MAKE_ROOM)
    return StoreError(f"the store's index cannot be used: {error}", fix="start again: a damaged index is rebuilt")


def is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite says that its file is not, or no longer, a database of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code is the lowest byte
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return True
    return code == sqlite3.SQLITE_ERROR and "no such" in str(error)  # a table or column of the schema is gone


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """write(2) until everything is written: it may stop short at a limit and only then say why."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_all_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count


def read_at(descriptor: int, size_bytes: int, offset: int) -> bytes:
    """pread(2) of all `size_bytes`; shorter only where the file ends."""
    data = os.pread(descriptor, size_bytes, offset)
    if len(data) == size_bytes or not data:
        return data
    parts = [data]
    have = len(data)
    while have < size_bytes and parts[-1]:
        parts.append(os.pread(descriptor, size_bytes - have, offset + have))
        have += len(parts[-1])
    return b"".join(parts)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable: a rename or a new file is only there for good after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """A new file with these bytes, durable but for its name (see `sync_folder`). Nothing is left behind on failure."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(descriptor, data)
        os.fdatasync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
