"""What a block means: a leaf, a file's inner node, a directory, a shard of a directory, or a symlink.

`parse_node` is the one gate through which blocks from outside pass. It checks everything that a single block can be
checked for, so that whoever holds a node may rely on it; what only shows across blocks (a child of another size than
its parent said) is checked in reader.py and dag.py, where both are at hand.

Sources: https://specs.ipfs.tech/unixfs/ and, for the sharded directory, hamt.py.
"""

from typing import NamedTuple

from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.content.cid import DAG_PB, RAW, Cid
from nearcast.content.dagpb import PbLink, PbNode, decode_node
from nearcast.content.unixfs import DataType, UnixFsData, decode_unixfs
from nearcast.errors import IntegrityError, LimitError

FILE_BYTES_MAX = 1 << 50  # 1 PiB; guess: no file is larger, and sums of sizes stay far from 64 bits
FANOUT_MAX = 1024  # CVE-2023-23625: a larger one lets a small block ask for a huge table
MURMUR3_X64_64 = 0x22  # multicodec of the only hash that UnixFS shards directories by
SYMLINK_BYTES_MAX = 4096  # PATH_MAX of Linux


class RawLeaf(NamedTuple):
    """A block that is a file's bytes and nothing else."""

    data: bytes


class FileChild(NamedTuple):
    """A link from a file's node, and the number of file bytes below it."""

    cid: Cid
    size_bytes: int


class FileNode(NamedTuple):
    """A file, or a part of one: its own bytes, then its children's. size_bytes counts both."""

    children: tuple[FileChild, ...]
    inline: bytes
    size_bytes: int


class Entry(NamedTuple):
    """A name in a directory. `tsize` is a claim by whoever made the directory."""

    name: str
    cid: Cid
    tsize: int | None


class DirectoryNode(NamedTuple):
    """A directory that fits one block. Names are unique, in the order they were written."""

    entries: tuple[Entry, ...]


class ShardLink(NamedTuple):
    """A used slot of a shard: an entry, or (name None) the shard one level down."""

    slot: int
    name: str | None
    cid: Cid
    tsize: int | None


class ShardNode(NamedTuple):
    """One block of a sharded directory: its used slots, ascending, out of `fanout`."""

    fanout: int
    links: tuple[ShardLink, ...]


class SymlinkNode(NamedTuple):
    """A symbolic link; nothing in Nearcast follows it."""

    target: str


Node = RawLeaf | FileNode | DirectoryNode | ShardNode | SymlinkNode


def parse_node(cid: Cid, data: bytes) -> Node:
    """The meaning of the block `data` named `cid` (which is taken as verified).

    Raises IntegrityError when it is not well-formed UnixFS, LimitError when it exceeds a bound.
    """
    if len(data) > BLOCK_BYTES_MAX:
        raise LimitError(f"a block of {len(data)} bytes is over the limit of {BLOCK_BYTES_MAX}")
    if cid.codec == RAW:
        return RawLeaf(data)
    if cid.codec != DAG_PB:
        raise IntegrityError(f"{cid} is not a file or folder: codec 0x{cid.codec:x}")
    node = decode_node(data)
    if node.data is None:
        raise IntegrityError("malformed UnixFS: a dag-pb node without data")
    fields = decode_unixfs(node.data)
    match fields.type:
        case DataType.FILE | DataType.RAW:
            return _file(node, fields)
        case DataType.DIRECTORY:
            return _directory(node)
        case DataType.HAMT_SHARD:
            return _shard(node, fields)
        case DataType.SYMLINK:
            return _symlink(node, fields)
        case _:
            raise IntegrityError(f"UnixFS nodes of type {fields.type.name.lower()} are not supported")


def children(node: Node) -> tuple[Cid, ...]:
    """What a node links to, in the order of the DAG."""
    match node:
        case FileNode():
            return tuple([child.cid for child in node.children])
        case DirectoryNode():
            return tuple([entry.cid for entry in node.entries])
        case ShardNode():
            return tuple([link.cid for link in node.links])
        case _:
            return ()


def _file(node: PbNode, fields: UnixFsData) -> FileNode:
    if len(node.links) != len(fields.blocksizes):
        raise IntegrityError(f"malformed file: {len(node.links)} links but {len(fields.blocksizes)} block sizes")
    if any(link.name for link in node.links):
        raise IntegrityError("malformed file: a named link")
    inline = fields.data or b""
    size_bytes = len(inline) + sum(fields.blocksizes)
    if size_bytes > FILE_BYTES_MAX:
        raise LimitError(f"a file of {size_bytes} bytes is over the limit of {FILE_BYTES_MAX}")
    # `filesize` is mandatory for writers; a leaf without it is harmless, since nothing but its data can count.
    declared = len(inline) if fields.filesize is None and not node.links else fields.filesize
    if declared != size_bytes:
        raise IntegrityError(f"malformed file: it claims {declared} bytes, its parts have {size_bytes}")
    sizes = zip(node.links, fields.blocksizes, strict=True)
    return FileNode(tuple([FileChild(link.cid, size) for link, size in sizes]), inline, size_bytes)


def _directory(node: PbNode) -> DirectoryNode:
    entries = tuple([Entry(_name(link), link.cid, link.tsize) for link in node.links])
    if len({entry.name for entry in entries}) != len(entries):
        raise IntegrityError("malformed directory: a name occurs twice")
    return DirectoryNode(entries)


def _name(link: PbLink) -> str:
    if not link.name:
        raise IntegrityError("malformed directory: an entry without a name")
    return link.name


def _shard(node: PbNode, fields: UnixFsData) -> ShardNode:
    fanout = fields.fanout or 0
    if fanout > FANOUT_MAX:
        raise LimitError(f"a sharded directory of fanout {fanout} is over the limit of {FANOUT_MAX}")
    if fanout < 8 or fanout & (fanout - 1):
        raise IntegrityError(f"malformed shard: fanout {fanout} is not a power of two of at least 8")
    if fields.hash_type != MURMUR3_X64_64:
        raise IntegrityError(f"malformed shard: hash function {fields.hash_type} is not murmur3-x64-64")
    slots = _used_slots(fields.data or b"", fanout)
    if len(slots) != len(node.links):
        raise IntegrityError(f"malformed shard: {len(slots)} bits set for {len(node.links)} links")
    digits = prefix_digits(fanout)
    pairs = zip(slots, node.links, strict=True)
    return ShardNode(fanout, tuple([_shard_link(slot, digits, link) for slot, link in pairs]))


def prefix_digits(fanout: int) -> int:
    """How many upper-case hexadecimal digits, naming its slot, stand before each name in a shard."""
    return len(f"{fanout - 1:X}")


def _used_slots(bitfield: bytes, fanout: int) -> list[int]:
    """The bitfield is one big-endian number; bit i set means that slot i is used."""
    if len(bitfield) > fanout // 8:
        raise IntegrityError(f"malformed shard: a bitfield of {len(bitfield)} bytes for fanout {fanout}")
    bits = int.from_bytes(bitfield, "big")
    return [slot for slot in range(fanout) if bits >> slot & 1]


def _shard_link(slot: int, digits: int, link: PbLink) -> ShardLink:
    name = link.name or ""
    if name[:digits] != f"{slot:0{digits}X}":
        raise IntegrityError(f"malformed shard: slot {slot:X} holds a link named {name[:digits]!r}…")
    return ShardLink(slot, name[digits:] or None, link.cid, link.tsize)


def _symlink(node: PbNode, fields: UnixFsData) -> SymlinkNode:
    target = fields.data or b""
    if node.links or not target:
        raise IntegrityError("malformed symlink: it has links or no target")
    if len(target) > SYMLINK_BYTES_MAX:
        raise LimitError(f"a symlink's target of {len(target)} bytes is over the limit of {SYMLINK_BYTES_MAX}")
    try:
        return SymlinkNode(target.decode())
    except UnicodeDecodeError as error:
        raise IntegrityError("malformed symlink: its target is not UTF-8") from error
