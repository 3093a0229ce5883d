"""Giving back the space of removed blocks: packs that are mostly dead are written anew, without the dead.

    copy what is live into another pack | sync | one commit that moves the rows | unlink the old pack one call later

A crash before the commit leaves a tail that opening cuts off; one after it leaves a pack that the index does not know,
which opening unlinks. The old pack stays for one more call, for whoever was told its path a moment ago.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from nearcast.content.store.core import SWEEP_START, Change, Core
from nearcast.content.store.disk import storing
from nearcast.content.store.index import slices
from nearcast.content.store.outboard import Outboard
from nearcast.content.store.pack import Frame, frame_bytes, frame_head, scan
from nearcast.content.store.packs import PackSession
from nearcast.content.store.removal import lose, rows_with_ids
from nearcast.content.store.rows import FLAT, Row
from nearcast.errors import StoreError

LIVE_SHARE_MIN = 0.5  # below it a pack is rewritten: then no pack takes over twice the room of its blocks
GROUP_BYTES = 4 << 20  # copied with one write
GROUP_FRAMES = 10_000
MOVES_AT_ONCE = 500
LEAVES_AT_ONCE = 20_000  # entries of the leaf index that are looked through in one transaction: some 20 ms


class Move(NamedTuple):
    """A live frame: where it was in the old pack, and where it went."""

    row_id: int
    key: bytes
    before: int
    frame_bytes: int
    pack: int
    offset: int


def compact_some(core: Core, budget_bytes: int) -> int:
    """Rewrites packs until `budget_bytes` were copied (one pack at least, if any needs it); the bytes given back."""
    with storing():
        retired, core.retired_packs = core.retired_packs, []
        for number in retired:
            core.unlink_pack(number)
        core.empty_trash(math.inf)
        sweep_leaves(core)
        given_back = 0
        for number, size_bytes, live_bytes in _mostly_dead(core):
            if budget_bytes <= 0:
                break
            if core.packs.withdraw(number):
                _rewrite(core, number)
                given_back += size_bytes - live_bytes
                budget_bytes -= max(1, live_bytes)
    return given_back


def _mostly_dead(core: Core) -> list[tuple[int, int, int]]:
    """(pack, size, live) of the packs worth rewriting; none with a leased block."""
    leased = {row.pack for row in rows_with_ids(core, list(core.leases.leased()))}
    rows = core.index.ask(f"select id, size, live from packs where live < size * {LIVE_SHARE_MIN} order by live")
    return [(number, size, live) for number, size, live in rows if number not in leased]


def _rewrite(core: Core, number: int) -> None:
    session = PackSession(core.packs)
    kept = False
    try:
        moves = [move for group in _groups(_live(core, number)) for move in _append(session, group)]
        lengths = session.sync()
        with core.change() as change:
            _commit(core, change, number, moves, lengths)
        kept = True
    finally:
        session.close(keep=kept)


def _live(core: Core, number: int) -> Iterator[tuple[Frame, Row]]:
    """The frames of a pack that the index knows, with their rows. One that does not hash to its name is dropped."""
    for frame in scan(core.layout.pack(number)):
        key = frame.key if not frame.is_outboard else _root_of(frame)
        row = core.lookup.fresh_row(key) if key is not None else None
        if row is None or row.place == FLAT or (row.pack, row.offset) != (number, frame.offset):
            continue
        if frame.intact:
            yield frame, row
        else:
            lose(core, [row])


def _root_of(frame: Frame) -> bytes | None:
    try:
        return Outboard(lambda size_bytes, offset: frame.data[offset : offset + size_bytes]).key
    except StoreError:
        return None


def _groups(live: Iterator[tuple[Frame, Row]]) -> Iterator[list[tuple[Frame, Row]]]:
    group: list[tuple[Frame, Row]] = []
    size_bytes = 0
    for frame, row in live:
        group.append((frame, row))
        size_bytes += len(frame.data)
        if size_bytes >= GROUP_BYTES or len(group) >= GROUP_FRAMES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _append(session: PackSession, group: list[tuple[Frame, Row]]) -> list[Move]:
    frames = [(frame_head(frame.key, len(frame.data)), frame.data) for frame, _ in group]
    pack, offsets = session.append(frames)
    return [
        Move(row.id, row.key, frame.offset, frame_bytes(len(frame.key), len(frame.data)), pack, offset)
        for (frame, row), offset in zip(group, offsets, strict=True)
    ]


def _commit(core: Core, change: Change, number: int, moves: list[Move], lengths: dict[int, int]) -> None:
    live = dict.fromkeys(lengths, 0)
    moved = _move_rows(change, number, moves)
    for move in moves:
        if move.row_id in moved:
            live[move.pack] += move.frame_bytes
        else:  # dropped while it was copied
            change.dead.setdefault(move.pack, []).append(move.offset)
    for pack, size_bytes in lengths.items():
        change.grow_pack(pack, size_bytes, live[pack])
    change.sql.run("delete from packs where id = ?", (number,))
    change.moved += [move.key for move in moves]
    change.after.append(lambda: _retire(core, number))


def _retire(core: Core, number: int) -> None:
    core.retired_packs.append(number)
    core.layout.retired(number).touch()  # should the index be lost now, a rebuild does not count these blocks again


def _move_rows(change: Change, number: int, moves: list[Move]) -> set[int]:
    """Points rows to their new places, if they still are where they were copied from; the ids that moved."""
    moved: set[int] = set()
    for part in slices(moves, MOVES_AT_ONCE):
        values = ",".join(["(?,?,?,?)"] * len(part))
        moved |= {
            row_id
            for (row_id,) in change.sql.ask(
                f"with move(row, before, pack, offset) as (values {values}) "
                "update objects set pack = move.pack, offset = move.offset from move "
                "where id = move.row and objects.pack = ? and objects.offset = move.before returning id",
                [v for move in part for v in (move.row_id, move.before, move.pack, move.offset)] + [number],
            )
        }
    return moved


def sweep_leaves(core: Core) -> None:
    """Forgets some entries of the leaf index whose objects are gone. Removal leaves them, to stay quick."""
    if core.facts["dangling"] <= 0:
        return
    prefix, row_id = core.swept
    with core.change() as change:
        page = change.sql.ask(
            "select prefix, object from leaves where (prefix, object) > (?, ?) order by prefix, object limit ?",
            (prefix, row_id, LEAVES_AT_ONCE),
        )
        there = {
            each for (each,) in change.sql.ask_many("select id from objects where id in (%s)", {o for _, o in page})
        }
        gone = [each for each in page if each[1] not in there]
        for part in slices(gone, MOVES_AT_ONCE):
            marks = ",".join(["(?,?)"] * len(part))
            change.sql.run(
                f"delete from leaves where (prefix, object) in (values {marks})", [v for each in part for v in each]
            )
        change.facts["leaves"] -= len(gone)
        is_round = len(page) < LEAVES_AT_ONCE
        if is_round:
            change.facts["dangling"] = -core.facts["dangling"]
    core.swept = SWEEP_START if is_round else page[-1]
