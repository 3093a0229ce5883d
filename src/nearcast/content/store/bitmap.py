"""Which leaves of a file on its way have arrived.

On disk: magic | number of leaves | bits, least significant first | CRC-32 of all before. It is replaced as a whole, and
only after the leaves that it names were synced, so a bit on disk is never ahead of the bytes. A map that is cut or
damaged is not believed; the leaves are then found by hashing what is there (partial.py).
"""

import re
import struct
import zlib
from pathlib import Path

from nearcast.content.store.disk import write_synced

MAGIC = b"ncbit 1\n"
_HEAD = struct.Struct("<8sQ")
_CRC = struct.Struct("<I")


_RUNS = re.compile(rb"\x00+|\xff+|[^\x00\xff]", re.DOTALL)


class Bitmap:
    """A fixed number of bits, and how many are set."""

    def __init__(self, count: int, bits: bytes | None = None) -> None:
        self.count = count
        self._bits = bytearray(bits) if bits is not None else bytearray((count + 7) // 8)
        self.present = int.from_bytes(self._bits, "little").bit_count()

    def __contains__(self, index: int) -> bool:
        return 0 <= index < self.count and bool(self._bits[index >> 3] & 1 << (index & 7))

    def add(self, index: int) -> None:
        if index not in self:
            self._bits[index >> 3] |= 1 << (index & 7)
            self.present += 1

    def spans(self, *, present: bool) -> list[tuple[int, int]]:
        """(first, count) of the runs of set (or, not `present`, of clear) bits, in order."""
        found: list[tuple[int, int]] = []
        for match in _RUNS.finditer(self._bits):
            first, byte = match.start() * 8, match[0][0]
            if byte in (0, 0xFF):  # a run of equal bytes: a map of a million leaves has few others
                _extend(found, first, len(match[0]) * 8, wanted=(byte == 0xFF) is present)
                continue
            for bit in range(8):
                _extend(found, first + bit, 1, wanted=bool(byte & 1 << bit) is present)
        if found and sum(found[-1]) > self.count:  # the last byte may have bits to spare
            first, _ = found.pop()
            found += [(first, self.count - first)] if first < self.count else []
        return found

    def missing_in(self, first: int, count: int) -> int | None:
        """The first clear bit among `count` from `first`; None when all are set."""
        return next((index for index in range(first, first + count) if index not in self), None)

    def encode(self) -> bytes:
        body = _HEAD.pack(MAGIC, self.count) + self._bits
        return body + _CRC.pack(zlib.crc32(body))


def _extend(found: list[tuple[int, int]], first: int, count: int, *, wanted: bool) -> None:
    if wanted and found and sum(found[-1]) == first:
        found[-1] = found[-1][0], found[-1][1] + count
    elif wanted:
        found.append((first, count))


def load_bitmap(path: Path, count: int) -> Bitmap | None:
    """The map in a file; None when there is none that can be believed."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = data[: -_CRC.size]
    if len(body) != _HEAD.size + (count + 7) // 8 or body[: _HEAD.size] != _HEAD.pack(MAGIC, count):
        return None
    bitmap = Bitmap(count, body[_HEAD.size :])
    sound = data[-_CRC.size :] == _CRC.pack(zlib.crc32(body)) and bitmap.present <= count
    return bitmap if sound else None


def save_bitmap(path: Path, encoded: bytes, temporary: Path) -> None:
    """Replaces the file as a whole. After a power cut either the old map or the new one is there, and both are true."""
    fresh = temporary / f"{path.name}-new"
    write_synced(fresh, encoded)
    fresh.replace(path)
