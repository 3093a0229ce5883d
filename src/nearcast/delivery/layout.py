"""Which leaves a download still needs, numbered in the order in which they are wanted.

Made from nodes that are verified already: every file below the target, or the part of one file that a byte
range covers. What the store has is left out; what it has under another name (the same leaf in another file) is listed
for reuse instead of being fetched. Files whose leaves are not all raw came with their nodes; the raw leaves among
theirs are wanted one by one. Plain synchronous code that reads the store: run it in a thread.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nearcast.content.blocks import BLOCK_BYTES_MAX, GetBlock, MissingBlockError, read_block
from nearcast.content.cid import RAW, Cid
from nearcast.content.dag import FileDag, file_dag_of
from nearcast.content.nodes import FileNode, children, parse_node
from nearcast.content.reader import walk_nodes
from nearcast.content.store import Store
from nearcast.delivery.plan import RUN_LEAVES_MAX
from nearcast.delivery.session import WalkedFile
from nearcast.delivery.source import Span
from nearcast.errors import IntegrityError, LimitError

RANGE_BLOCKS_MAX = 1 << 20  # 256 GiB of somebody's 256 KiB leaves; ends what repeated links could make endless
FILES_IN_RUN_MAX = 16  # larger files in one request: bounds how many are open at a time


class Stretch(NamedTuple):
    """Leaves of one file that stand next to each other. `dag` is None for a raw leaf that goes into a pack."""

    item: int
    cid: Cid
    dag: FileDag | None
    first: int
    leaves_count: int
    claimed_bytes: int


@dataclass(slots=True)
class Layout:
    """Items 0..count-1 are the leaves to fetch."""

    stretches: list[Stretch] = field(default_factory=list)
    count: int = 0
    total_bytes: int = 0
    have_bytes: int = 0
    reusable: list[tuple[FileDag, int]] = field(default_factory=list)
    dags: list[FileDag] = field(default_factory=list)
    whole: list[FileDag] = field(default_factory=list)
    raw_digests: set[bytes] = field(default_factory=set)
    _starts: list[int] = field(default_factory=list)

    def add(self, cid: Cid, dag: FileDag | None, first: int, count: int, claimed_bytes: int = 0) -> None:
        self.stretches.append(Stretch(self.count, cid, dag, first, count, claimed_bytes))
        self._starts.append(self.count)
        self.count += count

    def leaf(self, item: int) -> tuple[Stretch, int]:
        """The stretch of an item, and the leaf's index in its file."""
        stretch = self.stretches[bisect_right(self._starts, item) - 1]
        return stretch, stretch.first + item - stretch.item

    def size_of(self, item: int) -> int:
        """In bytes; for a raw leaf that is a file, as far as its directory says."""
        stretch, index = self.leaf(item)
        return stretch.claimed_bytes if stretch.dag is None else stretch.dag.leaves.span(index)[1]

    def items_by_digest(self, limit: int) -> dict[bytes, int]:
        """The first `limit` items by the digest of their leaf."""
        items: dict[bytes, int] = {}
        for item in range(min(limit, self.count) - 1, -1, -1):
            stretch, index = self.leaf(item)
            digest = stretch.cid.digest if stretch.dag is None else stretch.dag.leaves.digest(index)
            items[digest] = item
        return items

    def is_part(self, digest: bytes) -> bool:
        """Whether a leaf with this digest belongs to the files, here already or not."""
        if digest in self.raw_digests:
            return True
        return any(digest == dag.leaves.digest(index) for dag in self.dags for index in range(len(dag.leaves)))

    def run_end(self, item: int) -> int:
        """The first item that is not asked for together with `item`: beyond FILES_IN_RUN_MAX larger files."""
        position = bisect_right(self._starts, item) - 1
        files = 0
        while position < len(self.stretches):
            files += self.stretches[position].dag is not None
            if files > FILES_IN_RUN_MAX:
                return self.stretches[position].item
            position += 1
            if position < len(self.stretches) and self.stretches[position].item > item + RUN_LEAVES_MAX:
                break
        return self.count

    def spans(self, first: int, end: int) -> list[Span]:
        """Items first..end (not included) as requests per file."""
        spans = []
        position = bisect_right(self._starts, first) - 1
        while first < end:
            stretch = self.stretches[position]
            count = min(end, stretch.item + stretch.leaves_count) - first
            leaves = None if stretch.dag is None else stretch.dag.leaves
            spans.append(Span(stretch.cid, stretch.first + first - stretch.item, count, leaves))
            first += count
            position += 1
        return spans


def lay_out(
    store: Store, get: GetBlock, files: Sequence[WalkedFile], byte_range: tuple[int, int] | None = None
) -> Layout:
    """The layout of these files, or of bytes start..end (end not included) of the only one; `get` gives their nodes.

    Raises MissingBlockError when a node is not in the store, IntegrityError, LimitError.
    """
    layout = Layout()
    for file in files:
        if file.cid.codec == RAW:
            _add_raw(layout, store, file.cid, min(file.size_bytes, BLOCK_BYTES_MAX))
            continue
        dag = file_in_one_piece(store, get, file.cid)
        if dag is not None:
            _add_file(layout, store, dag, byte_range)
        else:
            _add_loose(layout, store, get, file.cid, byte_range)
    return layout


def file_in_one_piece(store: Store, get: GetBlock, cid: Cid) -> FileDag | None:
    """The DAG of a file that is (to be) kept in one piece.

    None for one that is kept block by block: because its leaves are of other kinds (then only those of its nodes may be
    here that a byte range needed), or because its root is in a pack already.
    """
    stat = store.stat(cid)
    if cid.codec == RAW or (stat is not None and stat.kind == "packed"):
        return None
    try:
        return file_dag_of(get, cid)
    except MissingBlockError:
        return None


def _add_file(layout: Layout, store: Store, dag: FileDag, byte_range: tuple[int, int] | None) -> None:
    layout.dags.append(dag)
    table = dag.leaves
    start, end = byte_range or (0, table.size_bytes)
    first, count = table.covering(max(start, 0), min(end, table.size_bytes))
    wanted_bytes = sum(table.span(index)[1] for index in range(first, first + count))
    missing = list(_absent(store.available_leaves(dag.root), first, first + count))
    missing_bytes = 0
    for gap_first, gap_end in missing:
        missing_bytes += _add_gap(layout, store, dag, gap_first, gap_end)
    if not missing and byte_range is None and _is_arriving(store, dag.root):
        layout.whole.append(dag)
    layout.total_bytes += wanted_bytes
    layout.have_bytes += wanted_bytes - missing_bytes


def _is_arriving(store: Store, root: Cid) -> bool:
    stat = store.stat(root)
    return stat is not None and stat.kind == "partial"


def _add_gap(layout: Layout, store: Store, dag: FileDag, first: int, end: int) -> int:
    """Leaves first..end are not in the file yet; those that stand elsewhere in the store are reused."""
    missing_bytes = 0
    start = first
    for index in range(first, end):
        missing_bytes += dag.leaves.span(index)[1]
        if store.has(dag.leaves.cid(index)):
            if start < index:
                layout.add(dag.root, dag, start, index - start)
            layout.reusable.append((dag, index))
            start = index + 1
    if start < end:
        layout.add(dag.root, dag, start, end - start)
    return missing_bytes


def _absent(present: list[tuple[int, int]], first: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches of first..end outside the (first, count) spans that are present."""
    for span_first, span_count in sorted(present):
        if first < min(span_first, end):
            yield first, min(span_first, end)
        first = max(first, span_first + span_count)
    if first < end:
        yield first, end


def _add_raw(layout: Layout, store: Store, cid: Cid, size_bytes: int) -> None:
    layout.total_bytes += size_bytes
    layout.raw_digests.add(cid.digest)
    if store.has(cid):
        layout.have_bytes += size_bytes
    else:
        layout.add(cid, None, 0, 1, size_bytes)


def _add_loose(layout: Layout, store: Store, get: GetBlock, root: Cid, byte_range: tuple[int, int] | None) -> None:
    """A file kept block by block: what came with its nodes is here, its raw leaves are wanted singly."""
    raw = _raw_leaves(get, root) if byte_range is None else _raw_leaves_in(get, root, *byte_range)
    seen: set[bytes] = set()
    for cid, size_bytes in raw:
        if cid.digest not in seen and not cid.is_identity:
            seen.add(cid.digest)
            _add_raw(layout, store, cid, min(size_bytes, BLOCK_BYTES_MAX))


def _raw_leaves(get: GetBlock, root: Cid) -> Iterator[tuple[Cid, int]]:
    for cid, data in walk_nodes(get, root):
        node = parse_node(cid, data)
        sizes = [child.size_bytes for child in node.children] if isinstance(node, FileNode) else []
        for child, size_bytes in zip(children(node), sizes, strict=False):
            if child.codec == RAW:
                yield child, size_bytes


def _raw_leaves_in(get: GetBlock, root: Cid, start: int, end: int) -> Iterator[tuple[Cid, int]]:
    for block in blocks_of_range(get, root, start, end):
        if block.cid.codec == RAW:
            yield block.cid, block.size_bytes


class RangeBlock(NamedTuple):
    """A block below a file's root that holds some of a byte range. `is_here` is False for a node that is missing."""

    cid: Cid
    size_bytes: int
    is_here: bool


def blocks_of_range(get: GetBlock, root: Cid, start: int, end: int) -> Iterator[RangeBlock]:
    """The blocks that hold some of a file's bytes start..end (not included), in order; raw leaves are not looked at.

    A missing node is given and not descended into. Raises IntegrityError where a node has another size than its parent
    said, LimitError over RANGE_BLOCKS_MAX blocks.
    """
    pending: list[tuple[Cid, int, int | None]] = [(root, 0, None)]
    for _ in range(RANGE_BLOCKS_MAX):
        if not pending:
            return
        cid, offset, size_bytes = pending.pop()
        if cid.codec == RAW:
            yield RangeBlock(cid, size_bytes or 0, is_here=True)
            continue
        try:
            node = parse_node(cid, read_block(get, cid))
        except MissingBlockError:
            yield RangeBlock(cid, size_bytes or 0, is_here=False)
            continue
        if not isinstance(node, FileNode) or size_bytes not in (None, node.size_bytes):
            raise IntegrityError(f"{cid} is not the part of a file that its parent says it is")
        yield RangeBlock(cid, node.size_bytes, is_here=True)
        pending += reversed(_children_in_range(node, offset, start, end))
    raise LimitError(f"a byte range in over {RANGE_BLOCKS_MAX} blocks")


def _children_in_range(node: FileNode, offset: int, start: int, end: int) -> list[tuple[Cid, int, int | None]]:
    offset += len(node.inline)
    within: list[tuple[Cid, int, int | None]] = []
    for child in node.children:
        if child.size_bytes and offset < end and offset + child.size_bytes > start:
            within.append((child.cid, offset, child.size_bytes))
        offset += child.size_bytes
    return within
