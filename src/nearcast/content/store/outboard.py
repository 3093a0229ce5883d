"""The outboard of a flat file: everything of its DAG that is not in its bytes (`<root>.dag`).

    magic | header | root CID | path | leaf digests | leaf offsets, if not uniform | node table | nodes | sha2-256

With 1 MiB leaves it has 0.009 % of the file's size: the digests, and the inner nodes that repeat them as dag-pb. For a
file shared in place it also keeps the path and the guard, so that the index can be rebuilt from outboards alone. Inner
nodes are dag-pb; node 0 is the root. A file that is a single raw leaf has no nodes.

Single digests, spans and nodes are read by position: a leaf of a 16 TiB file costs two small reads.
"""

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.content.cid import DIGEST_BYTES, Cid
from nearcast.content.leaves import LEAVES_MAX, LeafTable
from nearcast.content.store.types import FileGuard, Reference
from nearcast.errors import StoreError

MAGIC = b"ncdag 1\n"
NODES_MAX = 1 << 24  # no more inner nodes than leaves: see leaves.LEAVES_MAX
PATH_BYTES_MAX = 4096  # PATH_MAX of Linux
OFFSET_BYTES = 8

_HEADER = struct.Struct("<8sQQQQIHHBxxxQQQqq")  # magic, total, leaves, size, leaf size, nodes, key, path, flags, guard
_NODE = struct.Struct("<32sQI")
_HAS_OFFSETS, _HAS_PATH = 1, 2

Read = Callable[[int, int], bytes]
"""`read(size_bytes, offset)`: bytes of the outboard, fewer where it ends."""


def encode_outboard(
    root: Cid, leaves: LeafTable, nodes: Sequence[tuple[Cid, bytes]], source: Reference | None
) -> list[bytes]:
    """The outboard in parts that are to be written one after the other."""
    key = root.v1.to_bytes()
    path = source.path if source else b""
    body = [key, path, leaves.digests]
    if leaves.offsets is not None:
        body.append(leaves.offsets.tobytes())
    ordered = sorted(nodes, key=lambda node: node[0].digest != root.digest)  # the root first, the rest as they were
    table, position = [], 0
    for cid, data in ordered:
        table.append(_NODE.pack(cid.digest, position, len(data)))
        position += len(data)
    body += [b"".join(table), *(data for _, data in ordered)]
    total = _HEADER.size + sum(map(len, body)) + DIGEST_BYTES
    flags = _HAS_OFFSETS * (leaves.offsets is not None) | _HAS_PATH * (source is not None)
    guard = source.guard if source else FileGuard(0, 0, 0, 0, 0)
    sizes = (total, len(leaves), leaves.size_bytes, leaves.leaf_bytes, len(ordered), len(key), len(path), flags)
    parts = [_HEADER.pack(MAGIC, *sizes, *guard), *body]
    checksum = sha256()
    for part in parts:
        checksum.update(part)
    return [*parts, checksum.digest()]


class _Header(NamedTuple):
    magic: bytes
    total_bytes: int
    leaves: int
    size_bytes: int
    leaf_bytes: int
    nodes: int
    key_bytes: int
    path_bytes: int
    flags: int


class Outboard:
    """One outboard, read by position. Raises StoreError when it cannot be one."""

    def __init__(self, read: Read) -> None:
        self._read = read
        head = read(_HEADER.size, 0)
        if len(head) < _HEADER.size or not head.startswith(MAGIC):
            raise StoreError("an outboard in the store is damaged: it does not begin like one")
        fields = _HEADER.unpack(head)
        self._header = _Header(*fields[:9])
        self._guard = FileGuard(*fields[9:])
        self._check_bounds()
        self._digests_at = _HEADER.size + self._header.key_bytes + self._header.path_bytes
        self._offsets_at = self._digests_at + DIGEST_BYTES * self._header.leaves
        self._nodes_at = self._offsets_at + (OFFSET_BYTES * self._header.leaves if self._has_offsets else 0)
        self._data_at = self._nodes_at + _NODE.size * self._header.nodes

    def _check_bounds(self) -> None:
        header = self._header
        if header.leaves > LEAVES_MAX or header.nodes > NODES_MAX or header.path_bytes > PATH_BYTES_MAX:
            raise StoreError("an outboard in the store is damaged: it claims impossible sizes")

    @property
    def _has_offsets(self) -> bool:
        return bool(self._header.flags & _HAS_OFFSETS)

    @property
    def total_bytes(self) -> int:
        return self._header.total_bytes

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return self._header.size_bytes

    @property
    def leaves(self) -> int:
        return self._header.leaves

    @property
    def nodes(self) -> int:
        return self._header.nodes

    @property
    def key(self) -> bytes:
        return self._exactly(self._header.key_bytes, _HEADER.size)

    @property
    def source(self) -> Reference | None:
        """Where the bytes are, when they are in a file of the user's."""
        if not self._header.flags & _HAS_PATH:
            return None
        return Reference(self._exactly(self._header.path_bytes, _HEADER.size + self._header.key_bytes), self._guard)

    def digest(self, index: int) -> bytes:
        return self._exactly(DIGEST_BYTES, self._digests_at + DIGEST_BYTES * index)

    def span(self, index: int) -> tuple[int, int]:
        """(offset, size) in bytes of a leaf within the file."""
        start = self._start(index)
        end = self._start(index + 1) if index + 1 < self.leaves else self.size_bytes
        return start, end - start

    def node(self, index: int) -> tuple[bytes, bytes]:
        """(digest, data) of an inner node."""
        entry = self._exactly(_NODE.size, self._nodes_at + _NODE.size * index)
        digest, offset, size_bytes = _NODE.unpack(entry)
        if size_bytes > BLOCK_BYTES_MAX:
            raise StoreError("an outboard in the store is damaged: a node is too large")
        return digest, self._exactly(size_bytes, self._data_at + offset)

    def node_digests(self) -> Iterator[bytes]:
        table = self._exactly(_NODE.size * self.nodes, self._nodes_at)
        return (entry[0] for entry in _NODE.iter_unpack(table))

    def table(self) -> LeafTable:
        digests = self._exactly(DIGEST_BYTES * self.leaves, self._digests_at)
        offsets = None
        if self._has_offsets:
            offsets = array("Q")
            offsets.frombytes(self._exactly(OFFSET_BYTES * self.leaves, self._offsets_at))
        return LeafTable(digests, self.size_bytes, self._header.leaf_bytes, offsets)

    def is_sound(self) -> bool:
        """Whether all of it is as it was written."""
        checksum, position, end = sha256(), 0, self.total_bytes - DIGEST_BYTES
        while position < end:
            part = self._read(min(BLOCK_BYTES_MAX, end - position), position)
            if not part:
                return False
            checksum.update(part)
            position += len(part)
        return self._read(DIGEST_BYTES, end) == checksum.digest()

    def _start(self, index: int) -> int:
        if not self._has_offsets:
            return index * self._header.leaf_bytes
        return int.from_bytes(self._exactly(OFFSET_BYTES, self._offsets_at + OFFSET_BYTES * index), "little")

    def _exactly(self, size_bytes: int, offset: int) -> bytes:
        data = self._read(size_bytes, offset)
        if len(data) != size_bytes:
            raise StoreError("an outboard in the store is damaged: it is cut short")
        return data
