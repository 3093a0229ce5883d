"""CAR files in and out of the store, block by block, so that their size does not matter.

Import keeps all or nothing. Blocks are verified as they come and committed in bounded batches; the roots are pinned
last, once the DAG below each is found complete. On any failure the blocks that were new are dropped again; a crash in
the middle leaves them as cached content that nothing refers to.

Export is depth first, each block once, without identity blocks: the same root gives the same bytes everywhere.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from nearcast.content.batches import Batches, Refuse
from nearcast.content.blocks import MissingBlockError
from nearcast.content.carformat import encode_header, encode_section_head, read_blocks, read_header
from nearcast.content.cid import DAG_PB, RAW, Cid, decode_cid
from nearcast.content.nodes import children, parse_node
from nearcast.content.progress import Progress, ProgressCallback
from nearcast.content.reader import walk_blocks, walk_nodes
from nearcast.content.store import Store
from nearcast.errors import DiskFullError, IntegrityError, StoreError


@dataclass(frozen=True, slots=True)
class CarSummary:
    """What a CAR held: its roots, and the number and bytes of its blocks."""

    roots: tuple[Cid, ...]
    blocks: int
    size_bytes: int


def import_car(
    store: Store,
    stream: BinaryIO,
    *,
    name: str | None = None,
    progress: ProgressCallback | None = None,
    refuse: Refuse | None = None,
) -> CarSummary:
    """Imports a CAR and pins its roots as `name` (default: the root's CID); durable on return.

    `progress(bytes, blocks)` is called a few times a second. Raises IntegrityError or LimitError for a corrupt,
    truncated or incomplete CAR, StoreError, DiskFullError, and whatever `refuse` raises, which is asked of every block
    that is new here; nothing of it is kept then.
    """
    counted = Progress(progress)
    new: set[bytes] = set()
    with store.eviction_paused():
        try:
            roots = _load(store, stream, new, counted, refuse)
            with store.batch() as batch:
                for root in roots:
                    batch.pin(root, name or str(root))
        except BaseException:
            with suppress(StoreError):  # a store that cannot even do that keeps them as cache; the first error matters
                store.remove([decode_cid(key) for key in new])
            raise
    counted.report()
    return CarSummary(roots, counted.files, counted.bytes)


def _load(store: Store, stream: BinaryIO, new: set[bytes], counted: Progress, refuse: Refuse | None) -> tuple[Cid, ...]:
    """Stores every block, and notes those that were not here before; the roots, once all below them is complete."""
    with _using("read"):
        roots = read_header(stream)
    _check_roots(roots)
    with Batches(store, refuse) as batches:
        for cid, data in _blocks(stream):
            counted.add(len(data), files=1)
            if not store.has(cid):
                batches.put_block(cid, data)
                new.add(cid.v1.to_bytes())
    for root in roots:
        _check_complete(store, root, new)
    return roots


def _blocks(stream: BinaryIO) -> Iterator[tuple[Cid, bytes]]:
    with _using("read"):
        yield from read_blocks(stream)


def _check_roots(roots: tuple[Cid, ...]) -> None:
    for root in roots:
        if root.codec not in (RAW, DAG_PB):
            raise IntegrityError(f"the CAR's root {root} is not a file or folder: codec 0x{root.codec:x}")


def _check_complete(store: Store, root: Cid, new: set[bytes]) -> None:
    """Raises IntegrityError unless every block below `root` is here: a CAR cut between two sections looks whole."""
    checked: set[bytes] = set()

    def check(cid: Cid) -> None:
        key = cid.v1.to_bytes()
        if key not in checked:
            checked.add(key)
            if key not in new and not store.has(cid):
                raise MissingBlockError(cid)

    try:
        check(root)
        for cid, data in walk_nodes(store.get_block, root):
            for child in children(parse_node(cid, data)):
                if child.codec != DAG_PB:
                    check(child)
    except MissingBlockError as error:
        raise IntegrityError(f"the CAR is incomplete, perhaps cut short: it lacks block {error.cid}") from error


def export_car(store: Store, root: Cid, stream: BinaryIO, *, progress: ProgressCallback | None = None) -> CarSummary:
    """Writes the DAG below `root` as a CAR. Raises MissingBlockError at a gap, ChangedError, StoreError.

    After an error what was written is a truncated CAR: the caller throws it away.
    """
    counted = Progress(progress)
    with store.lease(root):
        if not store.has(root):
            raise MissingBlockError(root)
        with _using("write"):
            stream.write(encode_header([root]))
        for cid, data in walk_blocks(store.get_block, root):
            with _using("write"):
                stream.write(encode_section_head(cid, len(data)))
                stream.write(data)
            counted.add(len(data), files=1)
    counted.report()
    return CarSummary((root,), counted.files, counted.bytes)


@contextmanager
def _using(verb: str) -> Iterator[None]:
    """Turns the operating system's errors with the CAR's stream into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError("the disk has no room left for the CAR", fix="free some space") from error
        raise StoreError(f"cannot {verb} the CAR: {error.strerror or error}") from error
