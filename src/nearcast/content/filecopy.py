"""Bytes from the store into a file: by the kernel where they lie in one piece, else as blocks give them."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nearcast.content.cid import Cid
from nearcast.content.progress import Progress
from nearcast.content.store import Store
from nearcast.content.store.disk import FULL_ERRNOS, write_all
from nearcast.errors import ChangedError, DiskFullError, StoreError

COPY_BYTES = 16 << 20  # one call to the kernel, and one step of progress
# What copy_file_range answers where it cannot: between filesystems, on old kernels, on special ones.
_CANNOT_ERRNOS = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)


def copy_extent(store: Store, cid: Cid, path: Path, target: int, progress: Progress) -> bool:
    """Copies the file `cid` to the open file `target` (at `path`); False when it does not lie in one piece.

    The store is asked again after the last byte, so that a file of the user's that was written to meanwhile is
    noticed: ChangedError.
    """
    extent = store.locate(cid)
    if extent is None:
        return False
    try:
        source = os.open(extent.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"cannot read {extent.path}: {error.strerror}") from error
    try:
        with writing(path):
            _copy(source, extent.offset, target, extent.size_bytes, progress)
        store.locate(cid)
    finally:
        os.close(source)
    return True


def _copy(source: int, offset: int, target: int, size_bytes: int, progress: Progress) -> None:
    done = 0
    by_kernel = True
    while done < size_bytes:
        step = min(COPY_BYTES, size_bytes - done)
        try:
            if by_kernel:
                count = os.copy_file_range(source, target, step, offset + done)
            else:
                count = os.sendfile(target, source, offset + done, step)
        except OSError as error:
            if by_kernel and error.errno in _CANNOT_ERRNOS:
                by_kernel = False
                continue
            raise
        if not count:
            raise ChangedError("a file became shorter while it was copied")
        done += count
        progress.add(count)


def write_pieces(path: Path, target: int, pieces: Iterable[bytes], progress: Progress) -> None:
    """Writes the pieces one after the other to the open file `target` (at `path`)."""
    for piece in pieces:
        with writing(path):
            write_all(target, piece)
        progress.add(len(piece))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's errors about a file that is being written into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise DiskFullError(f"the disk has no room left for {path}", fix="free some space") from error
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
