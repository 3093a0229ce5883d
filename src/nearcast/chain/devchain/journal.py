"""The file in which a development chain survives its process: appended to, synced before anything is acknowledged.

    header   magic, chain id (8 bytes), hash of the genesis block (32 bytes)
    record   size (4 bytes), CRC-32 of the payload (4 bytes), payload        again and again

A process that is killed leaves at most one record torn, the last: it was never acknowledged and is cut off at the next
start. A damaged record with others after it is not passed over.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nearcast.errors import ChainError, StoreLockedError

FILE_NAME: Final = "chain.log"
RECORD_SIZE_MAX_BYTES: Final = 64 << 20  # a block of 30 million gas writes less than 2 MB
_MAGIC: Final = b"nearcast devchain 1\n"
_HEAD_SIZE_BYTES: Final = 8
RESET: Final = "nearcast devchain --reset begins a new chain and forgets this one"


class Journal:
    """The open file. One process at a time: raises StoreLockedError when another has it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise StoreLockedError(
                f"another development chain has {folder} open", fix="stop it, or choose another --state DIR"
            ) from None
        self._end = 0
        _sync_folder(folder)

    def reset(self) -> None:
        """Forget everything."""
        os.ftruncate(self._file, 0)
        os.fsync(self._file)

    def read(self, chain_id: int, genesis_hash: bytes) -> Iterator[bytes]:
        """The payloads in order; afterwards the file is ready for `append`. An empty file gets its header.

        Raises ChainError for the journal of another chain, of other contracts, or a damaged one.
        """
        header = _MAGIC + chain_id.to_bytes(8, "big") + genesis_hash
        size_bytes = os.fstat(self._file).st_size
        found = os.pread(self._file, len(header), 0)
        if header.startswith(found) and found != header:  # new, or killed in the middle of its very first write
            os.ftruncate(self._file, 0)
            self._end = 0
            self._write(header)
            return
        self._check_header(found, header)
        self._end = len(header)
        while (payload := self._record(size_bytes)) is not None:
            yield payload
        if self._end < size_bytes:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)

    def append(self, *payloads: bytes) -> None:
        """Add records; they are on the disk when this returns. On OSError none of them is in the journal."""
        rows = b"".join(
            len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload for payload in payloads
        )
        try:
            self._write(rows)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        view, at = memoryview(data), self._end
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written
        os.fsync(self._file)
        self._end = at

    def _check_header(self, found: bytes, expected: bytes) -> None:
        if found == expected:
            return
        if not found.startswith(_MAGIC):
            raise ChainError(f"{self.path} is not the journal of a development chain", fix=RESET)
        if found[: len(_MAGIC) + 8] != expected[: len(_MAGIC) + 8]:
            raise ChainError(f"{self.path} is of another chain id", fix=RESET)
        raise ChainError(f"{self.path} was begun with other contracts than this version of nearcast has", fix=RESET)

    def _record(self, size_bytes: int) -> bytes | None:
        """The record at `_end`, which moves past it; None at the end or at a torn tail."""
        head = os.pread(self._file, _HEAD_SIZE_BYTES, self._end)
        if len(head) < _HEAD_SIZE_BYTES:
            return None
        length, checksum = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        end = self._end + _HEAD_SIZE_BYTES + length
        if end > size_bytes:
            return None
        payload = os.pread(self._file, length, self._end + _HEAD_SIZE_BYTES) if length <= RECORD_SIZE_MAX_BYTES else b""
        if zlib.crc32(payload) != checksum or not payload:
            if end == size_bytes:
                return None
            raise ChainError(f"{self.path} is damaged at byte {self._end}", fix=RESET)
        self._end = end
        return payload


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as what is in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
