"""The file behind a lock of the kernel's (flock), which goes with its process, however that ends."""

import os
from pathlib import Path

from nearcast.errors import StoreError


def open_lock_file(path: Path) -> int:
    """A descriptor of the file at `path`, made on first use with mode 0600. StoreError when it cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the lock {path} cannot be used: {error.strerror}") from error
