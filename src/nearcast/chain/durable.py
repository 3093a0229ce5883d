"""Small private files that survive a crash whole: the keystore, and what a node must not forget it has signed."""

import errno
import os
from pathlib import Path


def write_private(path: Path, data: bytes, *, replace: bool) -> None:
    """`path` holds exactly `data`, mode 0600, durably, or is as it was. OSError where the disk cannot.

    FileExistsError where there is something and `replace` is False, also when two processes try at once.
    """
    _make_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)  # left by a crash of a process with our number; its mode is not to be trusted
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # unlike a rename it fails where there is something
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a file is in the way of the folder: not what our caller means by existing
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error


def _sync_folder(folder: Path) -> None:
    """A new name is only there for good after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
