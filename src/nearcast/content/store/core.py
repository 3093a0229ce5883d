"""What the parts of an open store share, and the one way to change the index.

A change is a transaction plus what has to follow once it is durable: counters, the readers' memory of rows, the
eviction queue, the marks of dead bytes in packs. None of that happens when the transaction fails.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from nearcast.clock import Clock
from nearcast.content.store.descriptors import Descriptors
from nearcast.content.store.disk import storing
from nearcast.content.store.eviction import CachedQueue
from nearcast.content.store.holding import Turned
from nearcast.content.store.index import Index, Transaction
from nearcast.content.store.layout import Layout
from nearcast.content.store.leases import Leases
from nearcast.content.store.packs import PackSet, remove_pack
from nearcast.content.store.pinlog import Line, append_lines
from nearcast.content.store.rows import CHANGED, IN_PLACE, Lookup, Row, prefix_of, rows_with
from nearcast.content.store.trash import Trash
from nearcast.content.store.types import Listener

if TYPE_CHECKING:
    from nearcast.content.store.partial import PartialFile

UNLINKED_AT_ONCE = 50  # files unlinked while holding the lock: 1 to 10 ms
SWEEP_START = (-(1 << 63), 0)  # the smallest key of the leaf index
FACTS = ("next_id", "objects", "held_bytes", "cached_bytes", "absent", "leaves", "dangling", "scrub_id", "scrub_leaf")


@dataclass
class Change:
    """One transaction on the index and its consequences."""

    sql: Transaction
    next_id: int
    facts: Counter[str] = field(default_factory=Counter)
    moved: list[bytes] = field(default_factory=list)
    dead: dict[int, list[int]] = field(default_factory=dict)
    dead_bytes: Counter[int] = field(default_factory=Counter)
    empty_packs: list[int] = field(default_factory=list)
    trash: list[tuple[bytes, str]] = field(default_factory=list)
    appeared: list[tuple[int, int, int]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)

    def new_id(self) -> int:
        self.next_id += 1
        self.facts["next_id"] += 1
        return self.next_id - 1

    def appears(self, row_id: int, key: bytes, evictable_bytes: int, *, held: bool) -> None:
        """An object's bytes are here from now on."""
        self.facts["objects"] += 1
        if held:
            self.facts["held_bytes"] += evictable_bytes
        else:
            self.facts["cached_bytes"] += evictable_bytes
            if evictable_bytes:
                self.appeared.append((row_id, evictable_bytes, prefix_of(key[4:])))

    def disappears(self, row: Row) -> None:
        """An object's bytes are here no more."""
        self.facts["objects"] -= 1
        self.facts["held_bytes" if row.held else "cached_bytes"] -= row.evictable_bytes
        self.gone.append(row.id)
        self.moved.append(row.key)

    def holds(self, turned: list[Turned]) -> None:
        size_bytes = sum(each.evictable_bytes for each in turned)
        self.facts["held_bytes"] += size_bytes
        self.facts["cached_bytes"] -= size_bytes
        self.gone += [each.id for each in turned]

    def releases(self, turned: list[Turned]) -> None:
        size_bytes = sum(each.evictable_bytes for each in turned)
        self.facts["held_bytes"] -= size_bytes
        self.facts["cached_bytes"] += size_bytes
        self.appeared += [(each.id, each.evictable_bytes, 0) for each in turned if each.evictable_bytes]

    def grow_pack(self, number: int, size_bytes: int, live_bytes: int) -> None:
        """A pack has this length now, and so many more bytes that count."""
        self.sql.run(
            "insert into packs values (?, ?, ?) "
            "on conflict(id) do update set size = excluded.size, live = live + excluded.live",
            (number, size_bytes, live_bytes),
        )

    def save(self) -> None:
        for number, size_bytes in self.dead_bytes.items():
            live = self.sql.ask("update packs set live = live - ? where id = ? returning live", (size_bytes, number))
            if live == [(0,)]:
                self.empty_packs.append(number)
        for name, by in self.facts.items():
            if by:
                self.sql.run("update facts set value = value + ? where name = ?", (by, name))


class Core:
    """The shared parts. `changed` are ids of files that were found changed since they were shared in place."""

    def __init__(self, layout: Layout, index: Index, *, quota_bytes: int, clock: Clock, listener: Listener) -> None:
        self.layout = layout
        self.index = index
        self.quota_bytes = quota_bytes
        self.clock = clock
        self.tell = listener
        self.lookup = Lookup(index)
        self.descriptors = Descriptors()
        self.leases = Leases()
        self.packs = PackSet(layout)
        self.queue = CachedQueue(quota_bytes)
        self.changed: set[int] = set()
        self.trash = Trash(layout)
        self.unwanted: set[int] = set()  # asked to be removed while leased
        self.eviction_pauses = 0
        self.retired_packs: list[int] = []  # compacted away, to be unlinked
        self.swept = SWEEP_START  # how far the leaf index was looked through for entries of objects that are gone
        self.partials: dict[int, PartialFile] = {}
        self.partials_lock = threading.Lock()
        self.facts: Counter[str] = Counter()
        self.load_facts()

    def load_facts(self) -> None:
        with self.index.transaction() as sql:
            self.trash.load([text for (text,) in sql.ask("select path from trash")])
            sql.insert("insert or ignore into facts values %s", 2, [(name, int(name == "next_id")) for name in FACTS])
            self.facts = Counter(dict(sql.ask("select name, value from facts")))

    @contextmanager
    def change(self) -> Iterator[Change]:
        """A transaction on the index; raises DiskFullError or StoreError with nothing changed."""
        with storing(), self.index.lock:
            with self.index.transaction() as sql:
                change = Change(sql, self.facts["next_id"])
                yield change
                change.save()
                settled = self.trash.save(sql, change.trash)
                for number in [each for each in change.empty_packs if self.packs.withdraw(each)]:
                    sql.run("delete from packs where id = ?", (number,))
                    change.after.append(partial(self.unlink_pack, number))
            self.trash.saved(change.trash, settled)
            self._apply(change)

    def _apply(self, change: Change) -> None:
        self.facts.update(change.facts)
        if change.moved:
            self.lookup.forget(change.moved)
        gone = set(change.gone)
        self.queue.add([each for each in change.appeared if each[0] not in gone])
        self.queue.discard(change.gone)
        acts: list[Callable[[], None]] = [*change.after, partial(self._bury, change)]
        for act in acts:
            try:
                act()
            except OSError as error:  # the change itself is safe; the next opening of the store catches up
                self.tell("store_leftover", f"the store could not clean up after a change: {error}")

    def _bury(self, change: Change) -> None:
        for number, offsets in change.dead.items():
            self.packs.bury(number, offsets)

    def unlink_pack(self, number: int) -> None:
        self.descriptors.forget([number])
        remove_pack(self.layout, number)

    def note_pins(self, lines: list[Line]) -> None:
        """Repeats a change of the pins where it outlives the index."""
        if lines:
            append_lines(self.layout.pin_log, lines)

    def empty_trash(self, budget_s: float) -> None:
        """Unlinks files of dropped objects, a few at a time, for about so long."""
        end_s = self.clock.monotonic_s() + budget_s
        while len(self.trash):
            with self.index.lock:
                self.descriptors.forget(self.trash.unlink_some(UNLINKED_AT_ONCE))
            if self.clock.monotonic_s() >= end_s:
                return

    def save_changed(self) -> None:
        """Writes down which of the user's files were found changed."""
        ids = list(self.changed)
        if not ids:
            return
        with self.change() as change:
            for row in rows_with(change.sql, ids):
                if row.place == IN_PLACE:
                    change.disappears(row)
                    change.sql.run("update objects set place = ? where id = ?", (CHANGED, row.id))
            change.after.append(lambda: self.changed.difference_update(ids))

    def pause_eviction(self, by: int) -> None:
        with self.index.lock:
            self.eviction_pauses += by

    def forget_everything(self) -> None:
        """After the index was replaced: nothing that was remembered of it holds."""
        self.lookup.forget()
        self.queue.unload()
        self.changed.clear()
        self.unwanted.clear()
        self.swept = SWEEP_START
        self.load_facts()
