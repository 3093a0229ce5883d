"""What is here, told without reading the content: the state of a name, and which leaves of a file have arrived."""

import os
from pathlib import Path

from nearcast.content.cid import Cid, decode_cid
from nearcast.content.store.core import Core
from nearcast.content.store.disk import storing
from nearcast.content.store.reading import Found, Reading
from nearcast.content.store.rows import ABSENT, CHANGED, FLAT, IN_PLACE, PACKED, PARTIAL, STORED
from nearcast.content.store.types import Kind, ObjectStat
from nearcast.errors import ChangedError, NotFoundError

KINDS: dict[int, Kind] = {PACKED: "packed", FLAT: "flat", IN_PLACE: "in place", PARTIAL: "partial", CHANGED: "changed"}


def stat(reading: Reading, cid: Cid) -> ObjectStat | None:
    """The object of this name, or the block inside another one; None when nothing is here."""
    if cid.is_identity:
        return None
    with storing():
        row = reading.core.lookup.fresh_row(cid.v1.to_bytes())
    if row is None or row.place == ABSENT:
        return _stat_inside(reading, cid)
    if row.place == IN_PLACE:
        is_good = row.id not in reading.core.changed and reading.is_unchanged(row)
        row = row if is_good else row._replace(place=CHANGED)
    complete = row.place not in (PARTIAL, CHANGED)
    in_place = Path(os.fsdecode(row.source.path)) if row.source else None
    return ObjectStat(row.cid, KINDS[row.place], row.size_bytes, complete, row.held > 0, in_place)


def roots(core: Core, count_max: int) -> list[Cid]:
    """What can be asked for by a name of its own: pinned roots that are here, the newest first, then whole objects that
    nothing else here links to, the newest first. Looks at every row, some 0.3 s for a million."""
    stored = ",".join(map(str, STORED))
    with storing():
        rows = core.index.ask(
            f"select cid from pins join objects using (cid) where place in ({stored}) order by created desc limit ?",
            [count_max],
        )
        rows += core.index.ask(
            f"select cid from objects where parents = 0 and place in ({stored}) order by id desc limit ?", [count_max]
        )
    return [decode_cid(key) for key in dict.fromkeys(key for (key,) in rows)][:count_max]


def _stat_inside(reading: Reading, cid: Cid) -> ObjectStat | None:
    try:
        size_bytes, row = reading.on_found(cid, lambda found: (len(reading.block(found)), found.row))
    except (NotFoundError, ChangedError):
        return None
    in_place = Path(os.fsdecode(row.source.path)) if row.source else None
    return ObjectStat(cid.v1, "inside", size_bytes, True, row.held > 0, in_place)


def available_leaves(reading: Reading, cid: Cid) -> list[tuple[int, int]]:
    """(first, count) of the leaves that are here, of a file that lies or is arriving in one piece."""
    if cid.is_identity:
        return []
    try:
        return reading.on_found(cid, lambda found: _spans(reading, found))
    except (NotFoundError, ChangedError):
        return []


def _spans(reading: Reading, found: Found) -> list[tuple[int, int]]:
    row = found.row
    if row.place == PARTIAL and found.position is None:
        return reading.bitmap(row, reading.leaves(row)).spans(present=True)
    reading.file_span(found)  # raises when it is not one piece
    if row.place == IN_PLACE and not reading.is_unchanged(row):
        return []
    if found.position is not None:
        return [(0, 1)] if reading.is_here(found) else []
    return [(0, reading.leaves(row) if row.place != PACKED else 1)]
