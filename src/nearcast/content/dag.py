"""A file's DAG as two flat things: the table of its leaves, and the few inner nodes above them.

Built by the profile `unixfs-v1-2025` (IPIP-0499): raw leaves of 1 MiB, balanced, 1024 links a node, every leaf at the
same depth. Read from whatever others wrote, as long as every leaf is raw: then the file lies in one piece on disk and
any leaf is a slice of it.

Invariant: the concatenation of the leaves, in the table's order, is the file. Inner nodes are listed depth first,
parents before children, each once, the root first.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple

from nearcast.content.blocks import BLOCK_BYTES_MAX, GetBlock, read_block
from nearcast.content.cid import DAG_PB, DIGEST_BYTES, RAW, SHA2_256, Cid, dag_pb_cid, raw_cid
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.leaves import LEAF_BYTES, LEAVES_MAX, LeafTable, leaf_table
from nearcast.content.nodes import FileChild, FileNode, children, parse_node
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs
from nearcast.errors import IntegrityError, LimitError, UsageError

NODE_LINKS = 1024  # unixfs-v1-2025
FILE_DEPTH_MAX = 64  # guess: 1024 links need 3 levels for 1 PiB, trickle DAGs of 174 some 10, a binary tree 30
LEAVES_FREE_MAX = 1 << 20  # a table of 32 MiB (1 TiB of 1 MiB leaves) is made without asking how it came about
VISITS_FREE_MAX = 1 << 16  # and this many visits of inner nodes, half a second's work
REPEATS_MAX = 16  # beyond these, so many leaves or visits for each link or node that was really received (guess)


@dataclass(frozen=True, slots=True)
class FileDag:
    """A file whose leaves are all raw. A file of one leaf is that leaf: root is its CID, and there are no nodes."""

    root: Cid
    leaves: LeafTable
    nodes: tuple[tuple[Cid, bytes], ...]

    @property
    def tsize(self) -> int:
        """The bytes of all blocks, shared ones counted as often as linked: what a directory writes beside its name."""
        return self.leaves.size_bytes + _overhead_bytes(self)


class _Built(NamedTuple):
    """A node of the tree that is being built: what its parent has to say about it."""

    cid: Cid
    block: bytes
    size_bytes: int
    tsize: int
    children: tuple["_Built", ...]


def build_file_dag(digests: bytes, size_bytes: int) -> FileDag:
    """The DAG over 1 MiB leaves with these sha2-256 digests (32 bytes each, joined) of a file of `size_bytes`.

    An empty file has one leaf, of no bytes. Raises UsageError when the number of digests does not fit the size.
    """
    count = len(digests) // DIGEST_BYTES
    if len(digests) % DIGEST_BYTES or count != max(1, -(-size_bytes // LEAF_BYTES)):
        raise UsageError(f"{len(digests)} bytes of digests do not fit a file of {size_bytes} bytes")
    table = LeafTable(digests, size_bytes, LEAF_BYTES)
    if count == 1:
        return FileDag(raw_cid(digests), table, ())
    level = [_bottom_node(table, first) for first in range(0, count, NODE_LINKS)]
    while len(level) > 1:
        level = [_inner_node(level[start : start + NODE_LINKS]) for start in range(0, len(level), NODE_LINKS)]
    nodes = dict(_pre_order(level[0]))
    return FileDag(level[0].cid, table, tuple(nodes.items()))


def _bottom_node(table: LeafTable, first: int) -> _Built:
    indices = range(first, min(first + NODE_LINKS, len(table)))
    sizes = [table.span(index)[1] for index in indices]
    links = [PbLink(table.cid(index), "", size) for index, size in zip(indices, sizes, strict=True)]
    return _built(links, sizes, ())


def _inner_node(below: list[_Built]) -> _Built:
    """Also over a single node: every leaf lies at the same depth, so a lone trailing node is wrapped all the same."""
    return _built([PbLink(node.cid, "", node.tsize) for node in below], [n.size_bytes for n in below], tuple(below))


def _built(links: list[PbLink], sizes: list[int], below: tuple[_Built, ...]) -> _Built:
    size_bytes = sum(sizes)
    data = encode_unixfs(UnixFsData(DataType.FILE, filesize=size_bytes, blocksizes=tuple(sizes)))
    block = encode_node(PbNode(tuple(links), data))
    tsize = len(block) + sum(link.tsize or 0 for link in links)
    return _Built(dag_pb_cid(sha256(block).digest()), block, size_bytes, tsize, below)


def _pre_order(node: _Built) -> Iterator[tuple[Cid, bytes]]:
    yield node.cid, node.block
    for child in node.children:
        yield from _pre_order(child)


def _overhead_bytes(dag: FileDag) -> int:
    """The inner nodes' bytes. Equal nodes are listed once but linked often, so they are counted from the root down."""
    blocks = dict(dag.nodes)
    counted: dict[Cid, int] = {}

    def count(cid: Cid) -> int:
        if cid not in counted:
            below = [count(child) for child in children(parse_node(cid, blocks[cid])) if child in blocks]
            counted[cid] = len(blocks[cid]) + sum(below)
        return counted[cid]

    return count(dag.root) if dag.nodes else 0


def file_dag_of(get: GetBlock, root: Cid) -> FileDag | None:
    """The leaf table and inner nodes of any file DAG whose leaves are all raw: balanced, trickle, leaves up to 2 MiB.

    None when it has no such table (dag-pb or inline leaves, empty links, far more repetition than bytes to show for
    it, not a file at all): such a DAG is read block by block. Leaves are not fetched, except a lone one for its size.
    Raises MissingBlockError, IntegrityError, LimitError.
    """
    if root.codec == RAW and root.hash_code == SHA2_256:
        return FileDag(root, leaf_table(root.digest, [len(read_block(get, root))]), ())
    gathering = _Gathering(get)
    if not gathering.add(root):
        return None
    return FileDag(root, leaf_table(bytes(gathering.digests), gathering.sizes), tuple(gathering.nodes.items()))


class _Run(NamedTuple):
    """Raw leaves that follow each other in one node, packed: some 40 bytes a leaf where objects would take 300."""

    digests: bytes
    sizes: "array[int]"


_Part = _Run | FileChild


class _Gathering:
    """Leaves and nodes of one file, collected depth first.

    A node that is linked often is read once and adds its leaves each time. That repetition is bounded by what was
    really received, else a few kilobytes could ask for a table of gigabytes.
    """

    def __init__(self, get: GetBlock) -> None:
        self._get = get
        self._parts: dict[Cid, tuple[int, tuple[_Part, ...]]] = {}
        self._links_read = 0
        self._visits = 0
        self.digests = bytearray()
        self.sizes: array[int] = array("Q")
        self.nodes: dict[Cid, bytes] = {}

    def add(self, root: Cid) -> bool:
        """Collects everything below `root`; False when the file has no leaf table."""
        first = self._read(root)
        if first is None:
            return False
        pending = [(part, 1) for part in reversed(first[1])]
        while pending:
            part, depth = pending.pop()
            if isinstance(part, _Run):
                self.digests += part.digests
                self.sizes.extend(part.sizes)
            else:
                if depth > FILE_DEPTH_MAX:
                    raise LimitError(f"a file's DAG is over {FILE_DEPTH_MAX} levels deep")
                below = self._read(part.cid)
                if below is None:
                    return False
                if below[0] != part.size_bytes:
                    raise IntegrityError(f"{part.cid} holds {below[0]} bytes, its parent says {part.size_bytes}")
                pending += [(each, depth + 1) for each in reversed(below[1])]
            if not self._within_bounds():
                return False
        return True

    def _within_bounds(self) -> bool:
        if len(self.sizes) > LEAVES_MAX:
            raise LimitError(f"a file of over {LEAVES_MAX} leaves")
        leaves_max = LEAVES_FREE_MAX + REPEATS_MAX * self._links_read
        visits_max = VISITS_FREE_MAX + REPEATS_MAX * len(self._parts)
        return len(self.sizes) <= leaves_max and self._visits <= visits_max

    def _read(self, cid: Cid) -> tuple[int, tuple[_Part, ...]] | None:
        """(file bytes, parts) of an inner node; None where a table cannot hold it."""
        self._visits += 1
        known = self._parts.get(cid)
        if known is not None:
            return known
        if cid.codec != DAG_PB or cid.is_identity:
            return None
        data = self._get(cid)
        node = parse_node(cid, data)
        if not isinstance(node, FileNode) or node.inline or not node.children:
            return None
        parts = _parts(node)
        if parts is None:
            return None
        self.nodes[cid] = data
        self._links_read += len(node.children)
        self._parts[cid] = node.size_bytes, parts
        return self._parts[cid]


def _parts(node: FileNode) -> tuple[_Part, ...] | None:
    """The node's children with raw leaves joined into runs; None when one is empty or carries its bytes in its CID."""
    parts: list[_Part] = []
    for is_leaf, group in groupby(node.children, lambda child: child.cid.codec == RAW):
        run = list(group)
        if any(child.size_bytes == 0 or child.cid.is_identity for child in run):
            return None
        if not is_leaf:
            parts += run
            continue
        sizes = array("Q", [child.size_bytes for child in run])
        if max(sizes) > BLOCK_BYTES_MAX:
            raise LimitError(f"a leaf of {max(sizes)} bytes is over the limit of {BLOCK_BYTES_MAX}")
        parts.append(_Run(b"".join([child.cid.digest for child in run]), sizes))
    return tuple(parts)
