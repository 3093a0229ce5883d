"""Directories and symlinks as the profile `unixfs-v1-2025` writes them: one block while it is small, else a HAMT."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

from nearcast.content.cid import Cid, dag_pb_cid
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.hamt import build_shard
from nearcast.content.nodes import SYMLINK_BYTES_MAX, Entry
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs
from nearcast.errors import UsageError

BASIC_DIRECTORY_BYTES_MAX = 262_144  # IPIP-0499: serialized; a directory over it is sharded

_DIRECTORY = encode_unixfs(UnixFsData(DataType.DIRECTORY))


@dataclass(frozen=True, slots=True)
class DirectoryDag:
    """A directory's own blocks, the root first; its entries' blocks are not among them, but tsize counts them."""

    root: Cid
    nodes: tuple[tuple[Cid, bytes], ...]
    tsize: int


def build_directory(entries: Iterable[Entry]) -> DirectoryDag:
    """The directory of these entries, whatever their order. Raises UsageError for a name that no directory can hold."""
    ordered = sorted(entries, key=lambda entry: _checked_name(entry.name))
    for before, after in pairwise(ordered):
        if before.name == after.name:
            raise UsageError(f"a directory cannot hold the name {after.name!r} twice")
    block = encode_node(PbNode(tuple([PbLink(entry.cid, entry.name, entry.tsize) for entry in ordered]), _DIRECTORY))
    if len(block) > BASIC_DIRECTORY_BYTES_MAX:
        shard = build_shard(ordered)
        return DirectoryDag(shard.cid, shard.nodes, shard.tsize)
    cid = dag_pb_cid(sha256(block).digest())
    return DirectoryDag(cid, ((cid, block),), len(block) + sum(entry.tsize or 0 for entry in ordered))


def build_symlink(target: str) -> tuple[Cid, bytes]:
    """The block of a symbolic link. Raises UsageError when the target is empty, not text or too long."""
    try:
        data = target.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"a symlink's target is not UTF-8: {target!r}") from error
    if not 0 < len(data) <= SYMLINK_BYTES_MAX:
        raise UsageError(f"a symlink's target has {len(data)} bytes, 1 to {SYMLINK_BYTES_MAX} are possible")
    block = encode_node(PbNode((), encode_unixfs(UnixFsData(DataType.SYMLINK, data))))
    return dag_pb_cid(sha256(block).digest()), block


def _checked_name(name: str) -> bytes:
    """The name's bytes, by which directories are sorted."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UsageError(f"{name!r} cannot be a name in a directory")
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"a file name is not UTF-8: {name!r}", fix="rename it") from error
