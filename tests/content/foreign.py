"""Layouts that others write and we only read: v0 balanced, trickle, mixed leaves, inline data. Small and plain."""

from collections.abc import Sequence
from typing import NamedTuple

from tests.content.conftest import MemoryBlocks

from nearcast.content.cid import Cid
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs

V0_LEAF_BYTES = 262_144
V0_LINKS = 174


class Part(NamedTuple):
    """A written block of a file, the file bytes below it, and the bytes of its blocks."""

    cid: Cid
    size_bytes: int
    tsize: int


def version_0(cid: Cid) -> Cid:
    return Cid(0, cid.codec, cid.hash_code, cid.digest)


def raw_leaf(blocks: MemoryBlocks, data: bytes) -> Part:
    return Part(blocks.raw(data), len(data), len(data))


def pb_leaf(blocks: MemoryBlocks, data: bytes, *, kind: DataType = DataType.FILE, version: int = 0) -> Part:
    block = encode_node(PbNode((), encode_unixfs(UnixFsData(kind, data, filesize=len(data)))))
    cid = blocks.node(block)
    return Part(version_0(cid) if version == 0 else cid, len(data), len(block))


def inner(blocks: MemoryBlocks, below: Sequence[Part], *, inline: bytes | None = None, version: int = 1) -> Part:
    sizes = tuple(part.size_bytes for part in below)
    size_bytes = sum(sizes) + len(inline or b"")
    data = encode_unixfs(UnixFsData(DataType.FILE, inline, filesize=size_bytes, blocksizes=sizes))
    block = encode_node(PbNode(tuple(PbLink(part.cid, "", part.tsize) for part in below), data))
    cid = blocks.node(block)
    tsize = len(block) + sum(part.tsize for part in below)
    return Part(version_0(cid) if version == 0 else cid, size_bytes, tsize)


def balanced_v0(blocks: MemoryBlocks, data: bytes, leaf_bytes: int = V0_LEAF_BYTES, width: int = V0_LINKS) -> Cid:
    """unixfs-v0-2015: dag-pb leaves, CIDv0 everywhere."""
    pieces = [data[start : start + leaf_bytes] for start in range(0, len(data), leaf_bytes)] or [b""]
    level = [pb_leaf(blocks, piece) for piece in pieces]
    while len(level) > 1:
        level = [inner(blocks, level[at : at + width], version=0) for at in range(0, len(level), width)]
    return level[0].cid


def trickle(blocks: MemoryBlocks, data: bytes, leaf_bytes: int, width: int = 4, repeat: int = 2) -> Cid:
    """Every node has `width` leaves, then subtrees of growing depth, `repeat` of each: first bytes lie near the top."""
    leaves = [raw_leaf(blocks, data[at : at + leaf_bytes]) for at in range(0, len(data), leaf_bytes)]

    def fill(depth: int) -> Part:
        below = [leaves.pop(0) for _ in range(min(width, len(leaves)))]
        for level in range(1, depth):
            below.extend(fill(level) for _ in range(repeat) if leaves)
        return inner(blocks, below)

    depth = 1
    while width * (1 + repeat) ** (depth - 1) < len(leaves):
        depth += 1
    return fill(depth).cid
