"""Re-verification in the background: every object is hashed again, in the order of row ids, round after round.

That is oldest-verified first: new objects were verified when they came, and have the highest ids. The place where the
last step ended, down to the leaf, is kept in the index. A bad object is dropped; a file of the user's is marked as
changed.
"""

from collections.abc import Iterator
from hashlib import sha256

from nearcast.content.cid import Cid
from nearcast.content.store.core import Core
from nearcast.content.store.disk import storing
from nearcast.content.store.reading import Reading, StaleError
from nearcast.content.store.removal import lose
from nearcast.content.store.rows import COLUMNS, IN_PLACE, PACKED, STORED, Row
from nearcast.content.store.types import ScrubReport
from nearcast.errors import ChangedError, NotFoundError

ROWS_AT_ONCE = 100
ROW_COST_BYTES = 4096  # what an object costs at least: one seek's worth, so that a step over tiny blocks ends too


NEXT_ROWS = f"select {COLUMNS} from objects where id > ? and place in {STORED} order by id limit {ROWS_AT_ONCE}"


class Scrub:
    """One step: until `budget_bytes` were hashed, or a round is over."""

    def __init__(self, core: Core, reading: Reading, budget_bytes: int) -> None:
        self._core = core
        self._reading = reading
        self._left_bytes = budget_bytes
        self._id = core.facts["scrub_id"]  # the last object that was begun
        self._leaf = core.facts["scrub_leaf"]  # where to go on in it; 0: it is done
        self._objects = 0
        self._bytes = 0
        self._bad: list[Cid] = []

    def run(self) -> ScrubReport:
        finished = True
        for row in self._rows():
            self._check(row)
            if self._left_bytes <= 0:
                finished = False
                break
        if finished:
            self._id = self._leaf = 0
        with self._core.change() as change:
            change.facts["scrub_id"] = self._id - self._core.facts["scrub_id"]
            change.facts["scrub_leaf"] = self._leaf - self._core.facts["scrub_leaf"]
        return ScrubReport(self._objects, self._bytes, tuple(self._bad), finished)

    def _rows(self) -> Iterator[Row]:
        """The objects from where the last step ended."""
        after = self._id - 1 if self._leaf else self._id
        while True:
            with storing():
                rows = self._core.index.ask(NEXT_ROWS, (after,))
            for columns in rows:
                row = Row(*columns)
                if row.id != self._id:
                    self._leaf = 0
                self._id = row.id
                yield self._core.lookup.with_source(row)
            if not rows:
                return
            after = self._id

    def _check(self, row: Row) -> None:
        if row.id in self._core.changed:
            return
        try:
            with storing():
                good = self._packed_is_good(row) if row.place == PACKED else self._file_is_good(row)
        except ChangedError:
            self._bad.append(row.cid)
            return
        except (StaleError, NotFoundError):
            good = False
        if self._leaf == 0:
            self._objects += 1
        if not good:
            self._drop(row)

    def _packed_is_good(self, row: Row) -> bool:
        data = self._reading.packed(row)
        self._spend(len(data))
        return sha256(data).digest() == row.cid.digest

    def _file_is_good(self, row: Row) -> bool:
        """Checks leaves as far as the budget goes; `_leaf` says where to go on."""
        if not row.outboard_bytes:
            return self._leaf_is_good(row, 0, row.size_bytes, row.cid.digest)
        with self._reading.outboard(row) as outboard:
            if self._leaf == 0 and not outboard.is_sound():
                return False
            for index in range(self._leaf, outboard.leaves):
                offset, size_bytes = outboard.span(index)
                if not self._leaf_is_good(row, offset, size_bytes, outboard.digest(index)):
                    self._leaf = 0
                    return False
                if self._left_bytes <= 0 and index + 1 < outboard.leaves:
                    self._leaf = index + 1
                    return True
        self._leaf = 0
        return True

    def _leaf_is_good(self, row: Row, offset: int, size_bytes: int, digest: bytes) -> bool:
        data = self._reading.bytes_of(row, offset, offset + size_bytes)
        self._spend(size_bytes)
        return sha256(data).digest() == digest

    def _spend(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        self._left_bytes -= max(size_bytes, ROW_COST_BYTES)

    def _drop(self, row: Row) -> None:
        if row.place == IN_PLACE:
            error = self._reading.changed_now(row)  # same stat, other bytes: the disk lies, or someone who hides
            self._core.tell("store_damaged", error.message)
        elif lose(self._core, [row]):
            self._core.tell("store_damaged", f"{row.cid} does not hash to its name any more and was dropped")
        else:
            return  # it moved or went in the meantime
        self._bad.append(row.cid)
