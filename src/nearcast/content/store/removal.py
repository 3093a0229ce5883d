"""Dropping objects: because someone asked, because the cache is full, or because their bytes are lost.

A drop is a few rows and an unlink; who is held is known from the counts, nobody walks anything. Work is cut into small
transactions. A crash in between leaves some objects as ordinary cached content, which goes when its turn comes.

Leased objects are not dropped. Those that someone asked to remove are remembered and go with the next `evict`.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nearcast.content.cid import Cid
from nearcast.content.store.core import Change, Core
from nearcast.content.store.disk import storing
from nearcast.content.store.holding import grouped, release
from nearcast.content.store.index import slices
from nearcast.content.store.pinlog import unpin_line
from nearcast.content.store.rows import ABSENT, COLUMNS, OURS, Row, rows_of, rows_with
from nearcast.content.store.storing import leave_place

UNLINK_S_MAX = 0.2  # a removal unlinks for so long itself; the upkeep does the rest
REMOVED_AT_ONCE = 500  # objects a transaction: some 10 ms of work


def unpin(core: Core, roots: Iterable[Cid]) -> None:
    """Takes pins back. What nothing else holds is cached content from then on."""
    keys = [root.v1.to_bytes() for root in roots]
    with dropping(core) as drop:
        rows = _unpin(core, drop.change, keys)
        drop.absent([row.id for row in rows])


def remove(core: Core, roots: Iterable[Cid]) -> int:
    """Takes pins back and drops the roots, and whatever below them nothing else holds or links to; how many went."""
    dropped = 0
    pending: deque[int] = deque()
    for keys in slices((root.v1.to_bytes() for root in roots if not root.is_identity), REMOVED_AT_ONCE):
        with dropping(core) as drop:
            _unpin(core, drop.change, keys)
            ids = [row.id for row in rows_of(drop.change.sql, keys).values()]
            pending += drop.objects(ids, explicit=True)
            core.unwanted |= drop.leased
        dropped += drop.count
    while pending:
        ids = [pending.popleft() for _ in range(min(REMOVED_AT_ONCE, len(pending)))]
        with dropping(core) as drop:
            pending += drop.objects(ids)
            core.unwanted |= drop.leased
        dropped += drop.count
    core.empty_trash(UNLINK_S_MAX)
    return dropped


def discard(core: Core, cids: Iterable[Cid]) -> int:
    """Drops these objects one by one, as eviction does, whatever the quota; how many went. What is held stays, what is
    leased goes with the next `evict` after the lease."""
    dropped = 0
    for keys in slices((cid.v1.to_bytes() for cid in cids if not cid.is_identity), REMOVED_AT_ONCE):
        with dropping(core) as drop:
            drop.absent(drop.objects([row.id for row in rows_of(drop.change.sql, keys).values()], explicit=True))
            core.unwanted |= drop.leased
        dropped += drop.count
    core.empty_trash(UNLINK_S_MAX)
    return dropped


def evict(core: Core) -> int:
    """Drops cached objects until they fit the quota again, S3-FIFO's choice; the bytes that were freed."""
    if core.eviction_pauses:
        return 0
    core.save_changed()
    before = core.facts["cached_bytes"]
    unwanted, core.unwanted = core.unwanted, set()
    _evict(core, list(unwanted))
    while core.queue.needed(core.facts["cached_bytes"]):
        if not core.queue.is_loaded:
            with storing(), core.index.lock:
                core.queue.load(core.index.ask(CACHED_ROWS))
        excess = core.facts["cached_bytes"] - core.quota_bytes
        ids = core.queue.next(excess, REMOVED_AT_ONCE, core.leases.leased())
        if not ids:
            break
        _evict(core, ids)
    core.empty_trash(math.inf)
    return before - core.facts["cached_bytes"]


CACHED_ROWS = f"select id, size + outboard from objects where held = 0 and place in {OURS} order by id"


def _evict(core: Core, ids: list[int]) -> None:
    """Evicts one by one, without what is below: children have their own turns."""
    if not ids:
        return
    with dropping(core) as drop:
        drop.absent(drop.objects(ids, explicit=True))
    spared = [row for row in rows_with_ids(core, list(drop.leased)) if not row.held]
    core.queue.add([(row.id, row.evictable_bytes, 0) for row in spared if row.evictable_bytes])


def rows_with_ids(core: Core, ids: list[int]) -> list[Row]:
    found = core.index.ask(f"select {COLUMNS} from objects where id in ({','.join(map(str, ids))})") if ids else []
    return [Row(*row) for row in found]


def lose(core: Core, rows: list[Row]) -> list[Row]:
    """Drops objects whose bytes are lost, also held ones, if they still are where `rows` say; those that went.

    What was held stays wanted: it counts as held again as soon as it comes back.
    """
    with dropping(core) as drop:
        now = {row.id: row for row in rows_with(drop.change.sql, [row.id for row in rows])}
        lost = [row for row in rows if row.id in now and _same_place(row, now[row.id])]
        drop.objects([row.id for row in lost], explicit=True, lost=True)
    return lost


def lose_beyond(core: Core, pack: int, size_bytes: int) -> None:
    """Drops what a pack that was cut short to `size_bytes` does not hold any more."""
    beyond = "pack = ? and offset + (case when place = 1 then size else outboard end) > ?"
    rows = core.index.ask(f"select {COLUMNS} from objects where {beyond}", (pack, size_bytes))
    for part in slices((Row(*row) for row in rows), REMOVED_AT_ONCE):
        lose(core, part)
    with core.change() as change:
        change.sql.run("update packs set size = ? where id = ?", (size_bytes, pack))
        if size_bytes == 0:
            change.sql.run("delete from packs where id = ?", (pack,))


def _same_place(one: Row, other: Row) -> bool:
    return (one.place, one.pack, one.offset, one.size_bytes) == (
        other.place,
        other.pack,
        other.offset,
        other.size_bytes,
    )


def _unpin(core: Core, change: Change, keys: list[bytes]) -> list[Row]:
    """Takes the pins of these roots back; the rows of those that had one."""
    sql = change.sql
    pinned = [key for (key,) in sql.ask_many("select cid from pins where cid in (%s)", keys)]
    sql.run_many("delete from pins where cid in (%s)", pinned)
    rows = list(rows_of(sql, pinned).values())
    change.releases(release(sql, Counter(row.id for row in rows)))
    cids = [row.cid for row in rows]
    change.after.append(lambda: core.note_pins([unpin_line(cid) for cid in cids]))
    return rows


class Drop:
    """One transaction that drops objects. `count` and `leased` tell what went and what could not."""

    def __init__(self, core: Core, change: Change) -> None:
        self._core = core
        self.change = change
        self.doomed: set[int] = set()
        self.leased: set[int] = set()
        self.count = 0

    def objects(self, ids: list[int], *, explicit: bool = False, lost: bool = False) -> list[int]:
        """Drops those of `ids` that nothing holds (`lost`: also held ones) and, unless `explicit`, nothing links to.

        Returns their children that nothing holds or links to any more.
        """
        rows = rows_with(self.change.sql, ids)
        idle = [row for row in rows if row.place == ABSENT and not row.held and not row.parents]
        going = [
            row for row in rows if row.place != ABSENT and (lost or not row.held) and (explicit or not row.parents)
        ]
        if not lost:
            doomed = self._core.leases.doom(row.id for row in going)
            self.doomed |= doomed
            self.leased |= {row.id for row in going if row.id not in doomed}
            going = [row for row in going if row.id in doomed]
        for row in going:
            leave_place(self.change, row)
            self.change.facts["dangling"] += row.outboard_bytes > 0
        self.count += len(going)
        self._delete(idle, going)
        self._let_go([row.id for row in idle])
        return self._let_go([row.id for row in going if not row.held])

    def absent(self, ids: list[int]) -> None:
        """Forgets rows of what is not here, as far as nothing asks for it any more."""
        while ids := [row.id for row in rows_with(self.change.sql, ids) if row.place == ABSENT and not row.held]:
            ids = self.objects(ids)

    def _delete(self, idle: list[Row], going: list[Row]) -> None:
        sql, facts = self.change.sql, self.change.facts
        unwanted = [row.id for row in going if not row.held and not row.parents]
        sql.run_many("delete from objects where id in (%s)", [*unwanted, *(row.id for row in idle)])
        wanted = [row.id for row in going if row.held or row.parents]
        sql.run_many(
            f"update objects set place = {ABSENT}, pack = null, offset = null, size = 0, outboard = 0 where id in (%s)",
            wanted,
        )
        facts["absent"] += len(wanted) - len(idle)

    def _let_go(self, ids: list[int]) -> list[int]:
        """Takes these as parents from their children; the children that nothing asks for any more."""
        sql = self.change.sql
        counts: Counter[int] = Counter()
        for child, count in sql.ask_many("select child, count(*) from edges where parent in (%s) group by child", ids):
            counts[child] += count
        sql.run_many("delete from edges where parent in (%s)", ids)
        orphans: list[int] = []
        for by, children in grouped(counts).items():
            lower = f"update objects set parents = parents - {by} where id in (%s) returning id, parents, held"
            orphans += [row_id for row_id, parents, held in sql.ask_many(lower, children) if not parents and not held]
        return orphans


@contextmanager
def dropping(core: Core) -> Iterator[Drop]:
    """A drop, committed when the block ends. What it doomed is spared again, either way."""
    drop = None
    try:
        with core.change() as change:
            drop = Drop(core, change)
            yield drop
    finally:
        if drop is not None:
            core.leases.spare(drop.doomed)
