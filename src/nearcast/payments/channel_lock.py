"""One process at a time signs for a channel.

Two that did would each promise what the other had promised already, and only the higher of both would be worth
anything. The lock is the kernel's and dies with its process, however that dies. In its file every holder leaves behind
for the next one how much it had verified.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from nearcast.errors import StoreError
from nearcast.payments.lock_file import open_lock_file
from nearcast.payments.verified_count import VerifiedCount


class ChannelLock:
    """A channel that is ours to sign for until `release`."""

    def __init__(self, descriptor: int) -> None:
        self.count = VerifiedCount(descriptor)
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, folder: Path, channel_id: bytes) -> Self | None:
        """The lock of a channel; None while somebody else has it. StoreError when the folder cannot be used."""
        path = folder / f"{channel_id.hex()}.lock"
        descriptor = open_lock_file(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise StoreError(f"the lock {path} cannot be taken: {error.strerror}") from error
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it. The file stays: two could otherwise hold two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
