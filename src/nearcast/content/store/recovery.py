"""What opening a store does about the way it was left. Nobody repairs anything by hand.

format, lock        another format or another process: refused
index               missing, damaged or doubted: moved aside, rebuilt from the files
packs               cut to the length that the index knows; unknown ones unlinked
trash, intents      files that a crash kept from being unlinked, or from being committed
pins                the small files follow the index
"""

import os
import sqlite3
from pathlib import Path

from nearcast.clock import Clock
from nearcast.content.cid import decode_cid
from nearcast.content.store.core import Change, Core
from nearcast.content.store.disk import is_damaged, sync_folder
from nearcast.content.store.flat import INTENT_SUFFIX
from nearcast.content.store.index import SIDE_FILES, Index
from nearcast.content.store.layout import Layout
from nearcast.content.store.packs import remove_pack
from nearcast.content.store.pinlog import match_log
from nearcast.content.store.rebuild import make_index
from nearcast.content.store.removal import lose_beyond
from nearcast.content.store.rows import ABSENT, FLAT, PARTIAL, rows_of
from nearcast.content.store.types import Listener, Pin

CHECKED_BYTES_MAX = 32 << 20  # an index up to this size is checked whole at every opening: some 50 ms


def open_index(layout: Layout, *, quota_bytes: int, clock: Clock, tell: Listener) -> Index:
    """The index, rebuilt if it is missing or damaged."""
    if layout.suspect.exists():
        set_aside(layout, "a reader found it damaged", tell)
    if layout.index.exists():
        try:
            return _checked(layout)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            set_aside(layout, str(error), tell)
    elif any(any(folder.iterdir()) for folder in (layout.packs, layout.objects)) or layout.pin_log.exists():
        tell("store_rebuild", "the store's index is missing: it is rebuilt from the files")
    fresh = make_index(layout, quota_bytes=quota_bytes, clock=clock, tell=tell)
    for suffix in SIDE_FILES:
        Path(f"{layout.index}{suffix}").unlink(missing_ok=True)
    fresh.replace(layout.index)
    sync_folder(layout.root)
    return Index(layout.index)


def _checked(layout: Layout) -> Index:
    """The index as it is. Raises DatabaseError when it is not what it should be."""
    index = Index(layout.index)
    try:
        index.ask("select value from facts limit 1")
        index.ask("select id, cid, place, pack, offset, size, outboard, held, parents from objects limit 1")
        if index.path.stat().st_size <= CHECKED_BYTES_MAX and not index.sound():
            error = sqlite3.DatabaseError("its pages contradict each other")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
    except sqlite3.DatabaseError:
        index.close()
        raise
    return index


def set_aside(layout: Layout, reason: str, tell: Listener) -> Path:
    """Moves a damaged index out of the way, for whoever wants to look at it."""
    aside = layout.index.with_name("index.damaged")
    if layout.index.exists():
        layout.index.replace(aside)
    for suffix in SIDE_FILES:
        Path(f"{layout.index}{suffix}").unlink(missing_ok=True)
    layout.suspect.unlink(missing_ok=True)
    tell("store_rebuild", f"the store's index was damaged ({reason}): it is rebuilt, the old one is {aside}")
    return aside


def recover(core: Core) -> None:
    """Brings the files in line with a sound index."""
    _settle_intents(core)
    for path in core.layout.temporary.iterdir():
        path.unlink()
    match_packs(core)
    _match_pins(core)


def _settle_intents(core: Core) -> None:
    for path in core.layout.temporary.glob(f"*{INTENT_SUFFIX}"):
        keys = [bytes.fromhex(line) for line in path.read_text().split()]
        with core.change() as change:
            rows = rows_of(change.sql, keys)
            for key in keys:
                row = rows.get(key)
                if row is None or row.place == ABSENT:
                    _unlink(core, key, (".data", ".dag", ".part", ".bits"))
                elif row.place == PARTIAL and core.layout.object(key, ".data").exists():
                    _finish_partial(change, core, row.id, key)
                elif row.place not in (FLAT, PARTIAL):
                    _unlink(core, key, (".data", ".part", ".bits"))


def _unlink(core: Core, key: bytes, suffixes: tuple[str, ...]) -> None:
    for suffix in suffixes:
        core.layout.object(key, suffix).unlink(missing_ok=True)


def _finish_partial(change: Change, core: Core, row_id: int, key: bytes) -> None:
    """Its last leaf was synced before the file got its name; only the commit was missing."""
    core.trash.reclaim((key, ".data"))
    change.sql.run("update objects set place = ? where id = ?", (FLAT, row_id))
    core.layout.object(key, ".bits").unlink(missing_ok=True)


def match_packs(core: Core) -> None:
    """Packs get the length that the index knows: what is beyond was never acknowledged. What one lost is dropped."""
    known: dict[int, int] = dict(core.index.ask("select id, size from packs"))
    for number in core.layout.pack_numbers():
        if number not in known:
            core.packs.withdraw(number)
            remove_pack(core.layout, number)
            continue
        actual = core.layout.pack(number).stat().st_size
        if actual > known[number]:
            os.truncate(core.layout.pack(number), known[number])
        if actual < known[number]:
            lost_bytes = known[number] - actual
            core.tell("store_damaged", f"pack {number} lost {lost_bytes} bytes: what was in them is missing")
            lose_beyond(core, number, actual)
        else:
            core.packs.offer(number, known[number])
    for number in known.keys() - set(core.layout.pack_numbers()):
        core.tell("store_damaged", f"pack {number} is gone: what was in it is missing")
        lose_beyond(core, number, 0)


def _match_pins(core: Core) -> None:
    """The index is the truth while it is sound: the log follows it."""
    rows = core.index.ask("select cid, name, created from pins")
    match_log(core.layout.pin_log, [Pin(decode_cid(key), name, created) for key, name, created in rows])
