"""The order of a download's nodes, which both ends follow.

A DAG is sent without saying what is what: first the blocks that lead along the path, then the target's nodes depth
first, parents before children, in link order, each block at its first visit only, leaves left out. Serving side and
fetching side each run this walk over the same blocks, so at every moment there is exactly one block that may come next,
and the fetching side knows its name from a block that it has already verified. (One request, whole DAG, depth-first is
also the shape of the trustless gateway's CAR, https://specs.ipfs.tech/http-gateways/trustless-gateway/.)

Invariants: `expected` is None exactly when the walk is over; every file below the target is in `files` once, in order.
Bounds: blocks are at most 2 MiB (nodes.py), a walk takes NODES_MAX of them and LINKS_MAX links.
"""

from typing import NamedTuple

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import RAW, Cid
from nearcast.content.nodes import DirectoryNode, FileNode, Node, RawLeaf, ShardNode, parse_node
from nearcast.content.reader import resolve
from nearcast.errors import LimitError

NODES_MAX = 1 << 20  # guess: a directory of a hundred million files, or 256 GiB in somebody's 256 KiB dag-pb leaves
LINKS_MAX = 1 << 23  # guess: about a gigabyte of our memory, if all were different


class WalkedFile(NamedTuple):
    """A file below the target. A raw one's `size_bytes` is only what its directory claims (0: it says nothing)."""

    cid: Cid
    size_bytes: int


class _Pending(NamedTuple):
    cid: Cid
    tsize: int
    in_file: bool  # below a file's node: a part of a file, not a file


class NodeWalk:
    """The walk. Ask `expected`, find that block (verified), `accept` it; repeat until `expected` is None.

    `expected_in_file`: whether that block is a part of a file whose root came before it.
    """

    def __init__(self, root: Cid, path: str = "", *, shallow: bool = False) -> None:
        """Raises UsageError or NotFoundError when the path can be no path."""
        self._root = root
        self._path = path
        self.shallow = shallow
        self._along: dict[Cid, bytes] = {}  # blocks on the way along the path, the target's own included
        self._visited: set[bytes] = set()
        self._pending: list[_Pending] = []
        self._links = 0
        self.expected_in_file = False
        self.accepted = 0
        self.expected: Cid | None = None
        self.target: Cid | None = None
        self.target_node: Node | None = None
        self.files: list[WalkedFile] = []
        self._follow_path()

    def accept(self, data: bytes) -> Node:
        """Go on with `data`, the verified block named `expected`; its meaning.

        Raises IntegrityError, LimitError (the content itself is broken), NotFoundError (it has no such path).
        """
        cid = self.expected
        if cid is None:
            raise LimitError("a block after the last one of the walk")
        self.accepted += 1
        if self.accepted > NODES_MAX:
            raise LimitError(f"a DAG of over {NODES_MAX} nodes")
        if self.target is None:
            self._along[cid] = data
            node = parse_node(cid, data)
            self._follow_path()
            return node
        node = parse_node(cid, data)
        self._visit(cid, node, 0, self.expected_in_file)
        self._advance()
        return node

    def upcoming(self, limit: int) -> list[Cid]:
        """Up to `limit` blocks that will be expected soon, the nearest first: worth fetching ahead."""
        soon = [] if self.expected is None else [self.expected]
        near = [pending.cid for pending in reversed(self._pending[-4 * limit :])]
        soon += [cid for cid in near if cid.codec != RAW and not cid.is_identity and cid.digest not in self._visited]
        return soon[:limit]

    def _follow_path(self) -> None:
        """Resolving again from the root is cheap: a path has a handful of blocks, and it keeps one resolver."""
        try:
            resolved = resolve(self._block_along, self._root, self._path)
        except MissingBlockError as gap:
            self.expected = gap.cid
            return
        self.target, self.target_node = resolved.cid, resolved.node
        self._visited.add(resolved.cid.digest)
        size_bytes = len(resolved.node.data) if isinstance(resolved.node, RawLeaf) else 0
        self._visit(resolved.cid, resolved.node, size_bytes, in_file=False)
        self._advance()

    def _block_along(self, cid: Cid) -> bytes:
        data = self._along.get(cid)
        if data is None:
            raise MissingBlockError(cid)
        return data

    def _visit(self, cid: Cid, node: Node, size_bytes: int, in_file: bool) -> None:
        match node:
            case RawLeaf():
                self.files.append(WalkedFile(cid, size_bytes))
            case FileNode():
                if not in_file:
                    self.files.append(WalkedFile(cid, node.size_bytes))
                below = [child.cid for child in reversed(node.children) if child.cid.codec != RAW]
                self._push([] if self.shallow else [_Pending(child, 0, True) for child in below])
            case DirectoryNode():
                entries = [] if self.shallow else node.entries
                self._push([_Pending(entry.cid, entry.tsize or 0, False) for entry in reversed(entries)])
            case ShardNode():
                links = [link for link in reversed(node.links) if link.name is None or not self.shallow]
                self._push([_Pending(link.cid, link.tsize or 0, False) for link in links])
            case _:
                pass

    def _push(self, below: list[_Pending]) -> None:
        self._links += len(below)
        if self._links > LINKS_MAX:
            raise LimitError(f"a DAG of over {LINKS_MAX} links")
        self._pending += below

    def _advance(self) -> None:
        """Take what needs no block from outside, up to the next one that does."""
        while self._pending:
            cid, tsize, in_file = self._pending.pop()
            if cid.is_identity:
                self._visit_identity(cid, in_file)
                continue
            if cid.digest in self._visited:
                continue
            self._visited.add(cid.digest)
            if cid.codec == RAW:
                self.files.append(WalkedFile(cid, tsize))
                continue
            self.expected, self.expected_in_file = cid, in_file
            return
        self.expected = None

    def _visit_identity(self, cid: Cid, in_file: bool) -> None:
        """A CID that carries its own block: there is nothing to fetch, except what it links to."""
        if cid.codec != RAW:
            self._visit(cid, parse_node(cid, cid.digest), 0, in_file)
