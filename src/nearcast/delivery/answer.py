"""What a node answers to a fetch: frames, in order, the end included. Plain synchronous reading; serve.py sends.

The nodes go out in the order of session.py, the leaves in the order asked. Frames are joined into pieces of
PIECE_BYTES, so that a directory of tiny files is not a directory of tiny writes; where somebody pays, pieces are no
larger than the credit that is given at a time.

What is missing ends a nodes' answer, and is said in its place among leaves; unless somebody can bring it: then the
answer yields a Gap, and looks again when it is asked to go on.

Invariants: only what the store has as verified is sent, and nothing that is listed; every answer ends with an End; no
path of this machine and no detail of a failure of ours is told to the other side.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import RAW, Cid
from nearcast.content.dag import file_dag_of
from nearcast.content.leaves import LeafTable
from nearcast.content.store import Store
from nearcast.delivery.messages import INLINE_BYTES_MAX, End, FetchRequest, LeafSpan, MissingLeaf, answer_fields
from nearcast.delivery.session import NodeWalk, WalkedFile
from nearcast.errors import ChangedError, NearcastError, NotFoundError, StoreError
from nearcast.wire import block_header, encode_message

PIECE_BYTES_FIRST = 16 << 10  # the first write is small: the first byte leaves soon, also of a slow walk
PIECE_BYTES = 2 << 20  # later ones amortise the way into the transport: two leaves of unixfs-v1-2025
ALL_BYTES = 1 << 62  # "every leaf": no limit on what follows the nodes


Listed: TypeAlias = Callable[[Cid], bool]
"""Whether a digest is on the blacklist. Called in threads, for every block: a look into memory."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames to be written at once. `content_bytes`: the blocks' own bytes, which are what is paid for.

    `is_courtesy`: they are leaves behind the nodes, which may as well be asked for. The other side cannot pay for them
    before it has heard the end, so nobody may wait until they are paid.
    """

    data: bytes
    content_bytes: int
    is_courtesy: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing here: a leaf (the file's CID and the leaf's index), or, without one, nodes."""

    leaf: tuple[Cid, int] | None = None


Frame: TypeAlias = tuple[bytes, ...]
"""A message in one part, or a block in two: its header and its bytes."""


class _ListedError(NearcastError):
    """A block that is on the blacklist is due."""


class Answer:
    """One answer: iterate `pieces`, then read `reason`.

    `content_bytes_max`: a piece holds no more content than that, or one block; set it while iterating. `brings`:
    whether somebody fetches what is missing; then Gaps are yielded. Unset it, and missing is missing.
    """

    def __init__(
        self, store: Store, request: FetchRequest, *, listed: Listed | None = None, brings: bool = False
    ) -> None:
        self._store = store
        self._request = request
        self._listed = listed
        self.brings = brings
        self.content_bytes_max = ALL_BYTES
        self._is_inline = False
        self.reason = "error"
        self.sent_bytes = 0  # counted by whoever sends

    def pieces(self) -> Iterator[Piece | Gap]:
        """The answer's bytes after the offer, ready to be written."""
        parts: list[bytes] = []
        size_bytes, content_bytes, enough_bytes, is_courtesy = 0, 0, PIECE_BYTES_FIRST, True
        for frame in self._frames():
            block_bytes = len(frame[1]) if not isinstance(frame, Gap) and len(frame) > 1 else 0
            if parts and (isinstance(frame, Gap) or content_bytes + block_bytes > self.content_bytes_max):
                yield Piece(b"".join(parts), content_bytes, is_courtesy)
                parts, size_bytes, content_bytes, enough_bytes, is_courtesy = [], 0, 0, PIECE_BYTES, True
            if isinstance(frame, Gap):
                yield frame
                continue
            parts += frame
            size_bytes += sum(map(len, frame))
            content_bytes += block_bytes
            is_courtesy = is_courtesy and self._is_inline
            if size_bytes >= enough_bytes:
                yield Piece(b"".join(parts), content_bytes, is_courtesy)
                parts, size_bytes, content_bytes, enough_bytes, is_courtesy = [], 0, 0, PIECE_BYTES, True
        yield Piece(b"".join(parts), content_bytes, is_courtesy)

    def _frames(self) -> Iterator[Frame | Gap]:
        """Frames in parts, so that a large block is copied once, into its piece."""
        try:
            if self._request.want == "leaves":
                yield from self._leaves(self._request.spans)
            else:
                yield from self._dag()
        except MissingBlockError as missing:
            yield self._end(End("missing", f"block {missing.cid} is not here"))
        except NotFoundError as error:
            yield self._end(End("missing", error.message))
        except ChangedError:
            yield self._end(End("changed", ""))
        except _ListedError as error:
            yield self._end(End("listed", error.message))
        except StoreError:
            yield self._end(End("error", "reading failed"))
        except NearcastError as error:
            yield self._end(End("error", error.message))
        else:
            yield self._end(End("done", ""))

    def _end(self, end: End) -> Frame:
        self.reason = end.reason
        return (encode_message(answer_fields(end)),)

    def _dag(self) -> Iterator[Frame | Gap]:
        request = self._request
        walk = NodeWalk(request.root, request.path, shallow=request.shallow)
        while walk.expected is not None:
            self._check_list(walk.expected)
            try:
                data = self._store.get_block(walk.expected)
            except MissingBlockError:
                if not self.brings:
                    raise
                yield Gap()
                data = self._store.get_block(walk.expected)
            # It goes out before it is walked: a block without the path's next entry proves that there is none.
            if walk.accepted >= request.skip:
                yield block_header(len(data)), data
            walk.accept(data)
        if request.want == "all":
            yield from self._files(walk, ALL_BYTES)
        elif request.inline_bytes:
            self._is_inline = True
            with suppress(MissingBlockError):  # leaves behind the nodes are a courtesy: what is not here is left out
                yield from self._files(walk, min(request.inline_bytes, INLINE_BYTES_MAX))

    def _files(self, walk: NodeWalk, budget_bytes: int) -> Iterator[Frame | Gap]:
        """Leaves of the target's files in the walk's order, as far as the budget goes. The target's own block, if it is
        a leaf, has been sent already."""
        for file in walk.files:
            if file.cid == walk.target and file.cid.codec == RAW:
                continue
            for index, cid in enumerate(self._leaf_names(file)):
                self._check_list(cid)
                try:
                    data = self._store.get_block(cid)
                except MissingBlockError:
                    if not self.brings or self._request.want != "all":
                        raise
                    yield Gap((file.cid, index))
                    data = self._store.get_block(cid)
                budget_bytes -= len(data)
                if budget_bytes < 0:
                    return
                yield block_header(len(data)), data

    def _leaf_names(self, file: WalkedFile) -> Iterator[Cid]:
        if file.cid.codec == RAW:
            yield file.cid
            return
        table = self._table(file.cid)
        if table is not None:
            for index in range(len(table)):
                yield table.cid(index)

    def _table(self, cid: Cid) -> LeafTable | None:
        table = self._store.leaf_table(cid)
        if table is None:
            dag = file_dag_of(self._store.get_block, cid)
            table = None if dag is None else dag.leaves
        return table

    def _leaves(self, spans: tuple[LeafSpan, ...]) -> Iterator[Frame | Gap]:
        for span in spans:
            table = None if span.cid.codec == RAW else self._table_or_none(span.cid)
            if self.brings and table is None and span.cid.codec != RAW:
                yield Gap()
                table = self._table_or_none(span.cid)
            leaves_count = 1 if span.cid.codec == RAW else len(table or ())
            for index in range(span.first, span.first + span.count):
                data = self._leaf(span.cid, table, index)
                if self.brings and data is None and index < leaves_count:
                    yield Gap((span.cid, index))
                    data = self._leaf(span.cid, table, index)
                if data is None:
                    yield (encode_message(answer_fields(MissingLeaf(span.cid, index))),)
                else:
                    yield block_header(len(data)), data

    def _check_list(self, cid: Cid) -> None:
        if self._listed is not None and self._listed(cid):
            raise _ListedError(f"{cid} is on the blacklist")

    def _table_or_none(self, cid: Cid) -> LeafTable | None:
        try:
            return self._table(cid)
        except MissingBlockError:
            return None

    def _leaf(self, cid: Cid, table: LeafTable | None, index: int) -> bytes | None:
        """One leaf's bytes, None when it is not here. Raises ChangedError when its file is not what it was."""
        try:
            if cid.codec == RAW:
                return self._store.get_block(cid) if index == 0 else None
            if table is None or index >= len(table):
                return None
            if self._listed is not None:
                self._check_list(table.cid(index))
            offset, size_bytes = table.span(index)
            try:
                return self._store.read_file(cid, offset, offset + size_bytes)
            except MissingBlockError:
                raise
            except NotFoundError:  # not in one piece: the leaves stand in packs or in other files
                return self._store.get_block(table.cid(index))
        except MissingBlockError:
            return None
