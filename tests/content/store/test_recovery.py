"""Opening whatever is left: without an index, with a damaged one, with another format, with another process inside."""

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.content.store.suite import Shelf, dag_of, linking_block, raw_block

from nearcast.content.cid import Cid
from nearcast.content.dag import FileDag
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.content.store.lock import StoreLock
from nearcast.errors import ChangedError, DiskFullError, StoreError, StoreLockedError

RNG = random.Random(4)
DATA = RNG.randbytes(2 * LEAF_BYTES + 77)
BLOCKS = [raw_block(RNG.randbytes(500)) for _ in range(50)]
FOLDER = linking_block(*(cid for cid, _ in BLOCKS))
REMOVED = raw_block(b"removed")


class Everything:
    """A store with something of every kind in it."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        with shelf.open() as store:
            shelf.put(store, *BLOCKS, FOLDER, pin=FOLDER[0])
            shelf.put(store, REMOVED)
            store.remove([REMOVED[0]])
            self.flat = shelf.put_flat(store, DATA, pin=True)
            self.leaf = shelf.put_flat(store, DATA[:70_000])
            self.path = shelf.user_file("film", DATA[:-1])
            self.shared = shelf.share(store, self.path)
            self.coming = dag_of(DATA[:-2])
            with store.open_partial(self.coming) as partial:
                partial.put_leaf(1, DATA[LEAF_BYTES : 2 * LEAF_BYTES])
            self.pins = store.pins()
            self.usage = store.usage()

    def check(self, store: Store) -> None:
        assert store.pins() == self.pins
        assert store.usage() == self.usage
        for cid, data in [*BLOCKS, FOLDER]:
            assert store.get_block(cid) == data
            assert self.state(store, cid) == ("packed", True)
        assert not store.has(REMOVED[0])
        self.check_file(store, self.flat, DATA)
        self.check_file(store, self.shared, DATA[:-1])
        self.check_file(store, self.leaf, DATA[:70_000])
        assert self.state(store, self.flat.root) == ("flat", True)
        assert self.state(store, self.leaf.root) == ("flat", False)
        assert self.state(store, self.shared.root) == ("in place", True)
        assert self.state(store, self.coming.root) == ("partial", False)
        assert store.available_leaves(self.coming.root) == [(1, 1)]

    def check_file(self, store: Store, dag: FileDag, data: bytes) -> None:
        assert store.read_file(dag.root, 0, len(data)) == data
        for index in range(len(dag.leaves)):
            start, size = dag.leaves.span(index)
            assert store.get_block(dag.leaves.cid(index)) == data[start : start + size]
        assert all(store.get_block(cid) == block for cid, block in dag.nodes)

    def state(self, store: Store, cid: Cid) -> tuple[str, bool]:
        stat = store.stat(cid)
        assert stat is not None
        return stat.kind, stat.held


@pytest.fixture
def everything(shelf: Shelf) -> Everything:
    return Everything(shelf)


def test_reopening_changes_nothing(everything: Everything, shelf: Shelf) -> None:
    with shelf.open() as store:
        everything.check(store)
    assert shelf.events == []


def test_a_deleted_index_comes_back(everything: Everything, shelf: Shelf) -> None:
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        everything.check(store)
        assert store.scrub_some(1 << 30).bad == ()
    assert [event for event, _ in shelf.events] == ["store_rebuild"]
    with shelf.open() as store:
        everything.check(store)
        shelf.put(store, raw_block(b"new"))
        assert store.remove([FOLDER[0]]) == len(BLOCKS) + 1


def test_an_index_is_rebuilt_while_open(everything: Everything, shelf: Shelf) -> None:
    with shelf.open() as store:
        store.rebuild()
        everything.check(store)
        shelf.put(store, raw_block(b"new"))
        with store.lease(FOLDER[0]), pytest.raises(StoreError, match="busy"):
            store.rebuild()
        assert store.get_block(raw_block(b"new")[0]) == b"new"
    with shelf.open() as store:
        assert store.get_block(raw_block(b"new")[0]) == b"new"


def overwrite_all(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def overwrite_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def drop_a_table(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("drop table facts")
    connection.close()


def doubt(path: Path) -> None:
    path.with_name("index.suspect").touch()


@pytest.mark.parametrize("damage", [overwrite_all, overwrite_a_page, cut, drop_a_table, doubt])
def test_a_damaged_index_is_moved_aside_and_rebuilt(
    everything: Everything, shelf: Shelf, damage: Callable[[Path], None]
) -> None:
    damage(shelf.data_dir / "index.sqlite")
    with shelf.open() as store:
        everything.check(store)
    (event, line) = shelf.events[0]
    assert event == "store_rebuild"
    assert "damaged" in line
    assert (shelf.data_dir / "index.damaged").exists()
    assert not (shelf.data_dir / "index.suspect").exists()


def test_a_rebuild_that_was_interrupted_starts_over(everything: Everything, shelf: Shelf) -> None:
    (shelf.data_dir / "index.sqlite").rename(shelf.data_dir / "index.rebuilding")
    with shelf.open() as store:
        everything.check(store)


def test_a_file_that_changed_while_the_index_was_away(everything: Everything, shelf: Shelf) -> None:
    everything.path.write_bytes(b"other")
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        with pytest.raises(ChangedError):
            store.read_file(everything.shared.root, 0, 1)
        shelf.share(store, shelf.user_file("film", DATA[:-1]))
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        everything.check_file(store, everything.shared, DATA[:-1])


def test_a_torn_pin_log_loses_at_most_its_last_line(everything: Everything, shelf: Shelf) -> None:
    log = shelf.data_dir / "pins.log"
    os.truncate(log, log.stat().st_size - 5)
    with shelf.open() as store:
        everything.check(store)
    os.truncate(log, log.stat().st_size - 5)
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        assert len(store.pins()) == len(everything.pins) - 1
        store.pin(REMOVED[0], "again")
        assert len(store.pins()) == len(everything.pins)
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        assert len(store.pins()) == len(everything.pins)


def test_another_format_is_refused(shelf: Shelf) -> None:
    shelf.open().close()
    (shelf.data_dir / "format").write_text("nearcast-store 99\n")
    with pytest.raises(StoreError, match="nearcast-store 99") as refused:
        shelf.open()
    assert refused.value.fix is not None


def test_a_folder_that_cannot_be_used_is_one_clear_line(shelf: Shelf) -> None:
    shelf.user_file("data", b"a file where the folder should be")
    with pytest.raises(StoreError) as refused:
        shelf.open()
    assert "\n" not in refused.value.message


def test_who_comes_while_another_makes_the_store_leaves_it_alone(shelf: Shelf) -> None:
    shelf.data_dir.mkdir(parents=True)
    lock = StoreLock(shelf.data_dir / "lock")
    with pytest.raises(StoreLockedError):
        shelf.open()
    assert [path.name for path in shelf.data_dir.iterdir()] == ["lock"]
    lock.release()
    shelf.open().close()


def test_a_disk_that_fails_at_the_end_does_not_keep_the_lock(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = shelf.open()
    monkeypatch.setattr("nearcast.content.store.core.Core.save_changed", full)
    monkeypatch.setattr("nearcast.content.store.lock.os.ftruncate", full)
    with pytest.raises(DiskFullError):
        store.close()
    monkeypatch.undo()
    shelf.open().close()


HOLDER = """
import sys, time
from pathlib import Path
from nearcast.clock import SystemClock
from nearcast.content.store import Store
from nearcast.content.store.lock import StoreLock
store = Store.open(Path(sys.argv[1]), quota_bytes=1, clock=SystemClock())
print("open", flush=True)
sys.stdin.read()
"""


def test_the_lock_names_its_holder_and_dies_with_it(shelf: Shelf) -> None:
    command = [sys.executable, "-c", HOLDER, str(shelf.data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreLockedError, match=f"process {holder.pid}") as refused:
            shelf.open()
        assert refused.value.fix is not None
        holder.send_signal(signal.SIGKILL)
    shelf.open().close()
