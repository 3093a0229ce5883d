"""A pack: many small blocks in one append-only file whose body is CAR v1 (https://ipld.io/specs/transport/car/carv1/).

    header frame, then for each block:  varint(length of CID and data) | CID | data

So that any CAR reader can open one. Besides blocks a pack holds the outboards of files shared in place (outboard.py),
under a CID with a codec of the range that multicodec reserves for private use.

Invariant: the index says how many bytes of a pack count. What lies beyond was never acknowledged and is cut off when
the store opens; so a pack is only ever appended to by one batch at a time.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import libipld

from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.content.cid import DIGEST_BYTES, SHA2_256, Cid, encode_varint, read_cid, read_varint
from nearcast.content.store.disk import read_at, write_all
from nearcast.errors import LimitError, UsageError

PACK_BYTES_TARGET = 128 << 20  # sealed beyond this; research note: big enough for few files, small enough to rewrite
OUTBOARD_CODEC = 0x300000  # multicodec: 0x300000-0x3FFFFF is reserved for private use
CID_BYTES_MAX = 64  # a binary CIDv1 with sha2-256 has 36; room for longer codecs
VARINT_BYTES_MAX = 9
SCAN_BYTES = 4 << 20  # one read while scanning: twice the largest block

_OUTBOARD_START = b"\x01" + encode_varint(OUTBOARD_CODEC)
_HEADER = bytes(libipld.encode_dag_cbor({"roots": [], "version": 1}))
HEADER = encode_varint(len(_HEADER)) + _HEADER


class Frame(NamedTuple):
    """One frame of a pack: where its data begins, and whether the data hashes to the CID."""

    key: bytes
    offset: int
    data: bytes
    intact: bool

    @property
    def is_outboard(self) -> bool:
        return self.key.startswith(_OUTBOARD_START)


def frame_head(key: bytes, size_bytes: int) -> bytes:
    """What stands before the data of a frame."""
    return encode_varint(len(key) + size_bytes) + key


def frame_bytes(key_bytes: int, size_bytes: int) -> int:
    """The length of a whole frame."""
    body = key_bytes + size_bytes
    return body + max(1, (body.bit_length() + 6) // 7)


def outboard_key(data: bytes) -> bytes:
    return Cid(1, OUTBOARD_CODEC, SHA2_256, sha256(data).digest()).to_bytes()


class PackWriter:
    """A pack open for appending. `size_bytes` is its length up to the last whole frame."""

    def __init__(self, path: Path, number: int, size_bytes: int) -> None:
        self.path = path
        self.number = number
        self.size_bytes = size_bytes
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.is_new = size_bytes == 0
        if self.is_new:
            try:
                os.ftruncate(self._descriptor, 0)
                self.append([HEADER], len(HEADER))
            except OSError:
                self.close()
                raise

    def append(self, parts: list[bytes], size_bytes: int) -> None:
        """Appends whole frames, `size_bytes` in all; on an OSError nothing counts as appended."""
        os.lseek(self._descriptor, self.size_bytes, os.SEEK_SET)
        write_all(self._descriptor, b"".join(parts))
        self.size_bytes += size_bytes

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def truncate(self, size_bytes: int) -> None:
        os.ftruncate(self._descriptor, size_bytes)
        self.size_bytes = size_bytes

    def close(self) -> None:
        os.close(self._descriptor)


def scan(path: Path) -> Iterator[Frame]:
    """Every whole frame of a pack in order, up to its end or the first byte that cannot be one."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        position = len(HEADER)
        buffer, start = b"", position
        while True:
            if position + BLOCK_BYTES_MAX + CID_BYTES_MAX + VARINT_BYTES_MAX > start + len(buffer):
                buffer, start = read_at(descriptor, SCAN_BYTES, position), position
            frame = _frame_at(buffer, position - start, start)
            if frame is None:
                return
            yield frame
            position = frame.offset + len(frame.data)
    finally:
        os.close(descriptor)


def _frame_at(buffer: bytes, at: int, start: int) -> Frame | None:
    try:
        length, body = read_varint(buffer, at)
        if length > BLOCK_BYTES_MAX + CID_BYTES_MAX or body + length > len(buffer):
            return None
        cid, data_at = read_cid(buffer, body)
    except (UsageError, LimitError):
        return None
    if data_at > body + length or cid.hash_code != SHA2_256 or len(cid.digest) != DIGEST_BYTES:
        return None
    data = buffer[data_at : body + length]
    return Frame(cid.v1.to_bytes(), start + data_at, data, sha256(data).digest() == cid.digest)
