"""Which leaves a relay brings together when one of a request is missing: that one, and what the request asks for next.

Plain synchronous code; what reads the store runs in a thread.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Final, TypeAlias

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import RAW, Cid
from nearcast.content.dag import FileDag, file_dag_of
from nearcast.content.store import Store
from nearcast.delivery.layout import Layout
from nearcast.delivery.messages import FetchRequest

AHEAD_LEAVES: Final = 16  # brought together: 16 MiB of unixfs-v1-2025, what is asked of one source at a time
AHEAD_BLOCKS: Final = 64  # the same for single raw blocks, whose sizes nobody knows yet; guess: a page's small files
DAGS_MAX: Final = 16  # kept at hand; guess: the files of a page that are in several leaves

Leaf: TypeAlias = tuple[Cid, int]
"""A file's CID (as CIDv1) and the leaf's index; index 0 of a file that is one raw leaf."""


def leaf_of(cid: Cid, index: int) -> Leaf:
    return cid.v1, index


def following(request: FetchRequest, cid: Cid, index: int) -> list[Leaf]:
    """Leaf `index` of `cid`, and what the request asks for after it, as far as is brought together."""
    if request.want != "leaves":
        return [leaf_of(cid, index + ahead) for ahead in range(1 if cid.codec == RAW else AHEAD_LEAVES)]
    asked = list(islice(_from(request, cid, index), AHEAD_BLOCKS))
    files = [position for position, leaf in enumerate(asked) if leaf[0].codec != RAW]
    if len(files) > AHEAD_LEAVES:
        asked = asked[: files[AHEAD_LEAVES]]
    return asked or [leaf_of(cid, index)]


def _from(request: FetchRequest, cid: Cid, index: int) -> Iterator[Leaf]:
    """The request's leaves from that one on; nothing when it is not among them."""
    spans = iter(request.spans)
    for span in spans:
        if span.cid == cid and span.first <= index < span.first + span.count:
            yield from (leaf_of(cid, each) for each in range(index, span.first + span.count))
            break
    for span in spans:
        yield from (leaf_of(span.cid, each) for each in range(span.first, span.first + span.count))


class RelayLayouts:
    """Lays out what is missing of one root. May be used by several threads at a time."""

    def __init__(self, store: Store, listed: Callable[[Cid], bool] | None = None) -> None:
        """`listed`: such leaves are left out."""
        self._store = store
        self._listed = listed
        self._dags: dict[Cid, FileDag | None] = {}  # of a large file it takes a second to make

    def lay_out(self, leaves: Iterable[Leaf]) -> Layout:
        """What of these is missing, to be fetched or reused. Leaves that no file has are left out.

        Raises MissingBlockError when a file's nodes are not here.
        """
        layout = Layout()
        for cid, group in groupby(leaves, key=lambda leaf: leaf[0]):
            indices = [index for _, index in group]
            if cid.codec == RAW:
                if 0 in indices and not self._store.has(cid) and not self._is_listed(cid):
                    layout.add(cid, None, 0, 1)
                continue
            dag = self._dag(cid)
            if dag is not None:
                inside = [index for index in indices if index < len(dag.leaves)]
                self._add(layout, dag, [index for index in inside if not self._is_listed(dag.leaves.cid(index))])
        return layout

    def _is_listed(self, cid: Cid) -> bool:
        return self._listed is not None and self._listed(cid)

    def _dag(self, cid: Cid) -> FileDag | None:
        if cid not in self._dags:
            if len(self._dags) >= DAGS_MAX:
                self._dags.clear()
            self._dags[cid] = file_dag_of(self._store.get_block, cid)
        return self._dags[cid]

    def _add(self, layout: Layout, dag: FileDag, indices: list[int]) -> None:
        if self._is_kept_in_blocks(dag.root):
            for index in indices:
                if not self._store.has(dag.leaves.cid(index)):
                    layout.add(dag.leaves.cid(index), None, 0, 1, dag.leaves.span(index)[1])
            return
        present = _present(self._store, dag.root)
        missing = [index for index in indices if index not in present]
        reusable = {index for index in missing if self._store.has(dag.leaves.cid(index))}
        layout.reusable += [(dag, index) for index in missing if index in reusable]
        for index in missing:
            if index not in reusable:
                layout.add(dag.root, dag, index, 1)

    def _is_kept_in_blocks(self, cid: Cid) -> bool:
        stat = self._store.stat(cid)
        return stat is not None and stat.kind == "packed"


def _present(store: Store, cid: Cid) -> frozenset[int]:
    spans = store.available_leaves(cid)
    return frozenset(index for first, count in spans for index in range(first, first + count))


def is_here(store: Store, leaf: Leaf) -> bool:
    """Whether an answer can be given this leaf now."""
    cid, index = leaf
    if cid.codec == RAW:
        return store.has(cid)
    if any(first <= index < first + count for first, count in store.available_leaves(cid)):
        return True
    if store.leaf_table(cid) is not None:
        return False
    try:
        dag = file_dag_of(store.get_block, cid)
    except MissingBlockError:
        return False
    return dag is not None and index < len(dag.leaves) and store.has(dag.leaves.cid(index))
