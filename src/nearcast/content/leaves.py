"""The leaves of a file: the raw blocks whose concatenation is the file.

With `unixfs-v1-2025` leaves are 1 MiB each, so a table of digests and one number say where every byte is. Files that
others cut differently (any sizes up to 2 MiB) carry explicit offsets.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from nearcast.content.cid import DIGEST_BYTES, Cid, raw_cid
from nearcast.errors import LimitError

LEAF_BYTES = 1 << 20  # unixfs-v1-2025, IPIP-0499
LEAVES_MAX = 1 << 24  # one file: 16 TiB at 1 MiB; a table of 512 MiB is where we stop believing


@dataclass(frozen=True, slots=True)
class LeafTable:
    """Digests (32 bytes each, joined) and places of a file's leaves.

    `offsets` is None when every leaf but the last has `leaf_bytes` bytes; else it holds each leaf's start.
    """

    digests: bytes
    size_bytes: int
    leaf_bytes: int
    offsets: "array[int] | None" = None

    def __len__(self) -> int:
        return len(self.digests) // DIGEST_BYTES

    def digest(self, index: int) -> bytes:
        return self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]

    def cid(self, index: int) -> Cid:
        return raw_cid(self.digest(index))

    def span(self, index: int) -> tuple[int, int]:
        """(offset, size) in bytes of leaf `index` within the file."""
        start = self._start(index)
        end = self._start(index + 1) if index + 1 < len(self) else self.size_bytes
        return start, end - start

    def leaf_at(self, offset: int) -> int:
        """The index of the leaf that holds the byte at `offset`, 0 <= offset < size_bytes."""
        if self.offsets is None:
            return offset // self.leaf_bytes
        return bisect_right(self.offsets, offset) - 1

    def covering(self, start: int, end: int) -> tuple[int, int]:
        """(first, count) of the leaves that hold the bytes start..end (end not included)."""
        if start >= end:
            return 0, 0
        first = self.leaf_at(start)
        return first, self.leaf_at(end - 1) - first + 1

    def _start(self, index: int) -> int:
        return index * self.leaf_bytes if self.offsets is None else self.offsets[index]


def leaf_table(digests: bytes, sizes: Sequence[int]) -> LeafTable:
    """A table from each leaf's size in bytes; offsets are kept only where the sizes are not uniform.

    Raises LimitError over LEAVES_MAX leaves.
    """
    if len(sizes) > LEAVES_MAX:
        raise LimitError(f"a file of {len(sizes)} leaves is over the limit of {LEAVES_MAX}")
    total = sum(sizes)
    first = sizes[0] if sizes else LEAF_BYTES
    if all(size == first for size in sizes[:-1]) and (not sizes or 0 < sizes[-1] <= first):
        return LeafTable(digests, total, first)
    offsets = array("Q")
    position = 0
    for size in sizes:
        offsets.append(position)
        position += size
    return LeafTable(digests, total, first, offsets)
