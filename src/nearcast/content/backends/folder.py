"""A folder as a backend: the same names, symlinks and empty folders that an import of it would find.

Unlike a file shared in place, a backend's folder may be a network mount, and its files are not expected to stay: what
the node has served is in its cache, the rest is read when it is asked for, and believed only by its hash.
"""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from itertools import islice

from nearcast.content.backends.base import (
    KEY_DEPTH_MAX,
    BackendEntry,
    BackendFolder,
    BackendObject,
    BackendSymlink,
)
from nearcast.errors import ChangedError, NearcastError, NotFoundError, RefusedError, UnavailableError, UsageError

PIECE_BYTES = 1 << 20  # a leaf
ENTRIES_AT_ONCE = 1000  # guess: a few milliseconds of looking in a thread

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe put in a file's place must not block


class FolderBackend:
    """Backend of base.py over a folder. `only`: just this file of it."""

    def __init__(self, path: str, only: str | None = None) -> None:
        self._path = path
        self._only = only

    async def entries(self) -> AsyncGenerator[BackendEntry]:
        if self._only is not None:
            yield await self.find(self._only)
            return
        walk = self._walk("", 0)
        while some := await asyncio.to_thread(list, islice(walk, ENTRIES_AT_ONCE)):
            for entry in some:
                yield entry

    async def find(self, key: str) -> BackendObject:
        return await asyncio.to_thread(self._find, key)

    async def read(self, wanted: BackendObject, start: int, end: int) -> bytes:
        return await asyncio.to_thread(self._read, wanted, start, end)

    async def stream(self, wanted: BackendObject) -> AsyncGenerator[bytes]:
        for start in range(0, wanted.size_bytes, PIECE_BYTES):
            yield await self.read(wanted, start, min(start + PIECE_BYTES, wanted.size_bytes))
        if await self.find(wanted.key) != wanted:
            raise changed(wanted.key)

    def _walk(self, folder: str, depth: int) -> Iterator[BackendEntry]:
        if depth > KEY_DEPTH_MAX:
            raise UsageError(f"{folder} lies over {KEY_DEPTH_MAX} folders deep", fix="add a folder further down")
        yield BackendFolder(folder)
        below: list[str] = []
        try:
            with os.scandir(self._at(folder)) as entries:
                for entry in entries:
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    _check_text(key)
                    if entry.is_symlink():
                        yield BackendSymlink(key, os.readlink(entry.path))
                    elif entry.is_dir(follow_symlinks=False):
                        below.append(key)
                    elif entry.is_file(follow_symlinks=False):
                        yield _object(key, entry.stat(follow_symlinks=False))
                    else:
                        raise UsageError(f"{key} is neither a file nor a folder nor a symlink", fix="add without it")
        except OSError as error:
            raise _translated(folder, error) from error
        for key in below:
            yield from self._walk(key, depth + 1)

    def _find(self, key: str) -> BackendObject:
        try:
            status = os.lstat(self._at(key))
        except OSError as error:
            raise _translated(key, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise NotFoundError(f"{key} is not a file any more")
        return _object(key, status)

    def _read(self, wanted: BackendObject, start: int, end: int) -> bytes:
        try:
            descriptor = os.open(self._at(wanted.key), _OPEN_FLAGS)
        except OSError as error:
            raise _translated(wanted.key, error) from error
        try:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            data = os.pread(descriptor, end - start, start) if is_file else b""
        except OSError as error:
            raise _translated(wanted.key, error) from error
        finally:
            os.close(descriptor)
        if len(data) != end - start:  # whether they are the right ones, their hash tells
            raise changed(wanted.key)
        return data

    def _at(self, key: str) -> str:
        return os.path.join(self._path, key) if key else self._path


def _object(key: str, status: os.stat_result) -> BackendObject:
    """Its version is what an in-place import guards, but for the device: a mount's number changes with every boot."""
    version = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    return BackendObject(key, status.st_size, version)


def changed(key: str) -> ChangedError:
    return ChangedError(f"{key} changed in the backend", fix="add the backend again when nothing writes to it")


def _translated(key: str, error: OSError) -> NearcastError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFoundError(f"the backend has no {key or 'such folder'} (any more)")
    if isinstance(error, PermissionError):
        return RefusedError(f"cannot read {key or 'the folder'}: {error.strerror}", fix="make it readable")
    return UnavailableError(f"cannot read {key or 'the folder'}: {error.strerror}")


def _check_text(key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(key).decode(errors="replace")
        raise UsageError(f"the name {shown!r} is not UTF-8", fix="rename it") from None
