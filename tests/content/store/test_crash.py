"""kill -9 at random points of imports, downloads, removals and evictions; and files torn at random offsets.

What was acknowledged is there and hashes to its name; what was removed stays removed; what was neither is either whole
or not there at all; and the store opens by itself.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from tests.content.store.suite import Shelf, dag_of, linking_block, raw_block

from nearcast.content.blocks import MissingBlockError, check_block
from nearcast.content.cid import decode_cid, parse_cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.content.store.rows import FLAT, IN_PLACE, PARTIAL

KILLS = 200
KILLS_PER_FOLDER = 5
ACTS_MAX = 8  # a session dies some moment after so many acknowledgements; with 0 mostly while it opens the store
DELAY_S_MAX = 0.02  # two or three acts
CHILD = Path(__file__).with_name("crash_child.py")


@dataclass
class Promises:
    """What one store has acknowledged."""

    held: dict[str, list[str]] = field(default_factory=dict)
    arrived: dict[str, list[str]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)

    def hear(self, fields: dict[str, object]) -> None:
        root, blocks, roots = fields.get("root"), fields.get("blocks", []), fields.get("roots", [])
        assert isinstance(blocks, list)
        assert isinstance(roots, list)
        self.seen.update(blocks)
        if isinstance(root, str):
            self.removed.discard(root)
            self.doubtful.discard(root)
            (self.held if fields["op"] == "held" else self.arrived)[root] = blocks
        for each in roots:
            self.held.pop(each, None)
            self.arrived.pop(each, None)
            self.doubtful.add(each)
            if fields["op"] == "removed":
                self.removed.add(each)

    def check(self, store: Store) -> None:
        pins = {str(pin.root) for pin in store.pins()}
        for root, blocks in [*self.held.items(), *self.arrived.items()]:
            assert root in pins
            for text in blocks:
                cid = parse_cid(text)
                check_block(cid, store.get_block(cid))
        for root in self.removed:
            assert root not in pins
            assert not store.has(parse_cid(root))
        for text in self.seen:
            cid = parse_cid(text)
            try:
                check_block(cid, store.get_block(cid))
            except MissingBlockError:
                continue


@contextmanager
def sessions() -> Iterator[tuple[IO[str], IO[str]]]:
    """The process that forks sessions: its input and output."""
    with subprocess.Popen(
        [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdin, process.stdout
        process.stdin.close()


def begin(pipes: tuple[IO[str], IO[str]], folder: Path, seed: int, step: int | None) -> int:
    """A session's process id; with a `step` it ends before its so-manyeth change on disk, else when it is killed."""
    requests, answers = pipes
    requests.write(json.dumps([str(folder), seed, step]) + "\n")
    requests.flush()
    return int(json.loads(answers.readline())["pid"])


def live_and_die(pipes: tuple[IO[str], IO[str]], folder: Path, rng: random.Random, promises: Promises) -> int:
    """One session, killed; the number of its acknowledgements."""
    _, answers = pipes
    pid = begin(pipes, folder, rng.randrange(1 << 40), None)
    patience = rng.randrange(ACTS_MAX)
    timer = threading.Timer(rng.uniform(0, DELAY_S_MAX), os.kill, (pid, signal.SIGKILL))
    if patience == 0:
        timer.start()
    heard = 0
    for line in answers:
        fields = json.loads(line)
        if "gone" in fields:
            assert fields["gone"] == -signal.SIGKILL, "the session failed by itself"
            break
        promises.hear(fields)
        heard += 1
        if heard == patience:
            timer.start()
    timer.join()
    return heard


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"CRASH_SEED={seed}")  # shown when the test fails
    rng = random.Random(seed)
    heard = 0
    with sessions() as pipes:
        for life in range(KILLS // KILLS_PER_FOLDER):
            folder = tmp_path / str(life)
            folder.mkdir()
            promises, shelf = Promises(), Shelf(folder, quota_bytes=60_000)
            for _ in range(KILLS_PER_FOLDER):
                heard += live_and_die(pipes, folder, rng, promises)
                with shelf.open() as store:
                    promises.check(store)
            (shelf.data_dir / "index.sqlite").unlink()
            with shelf.open() as store:
                promises.removed.clear()  # a marker of a removed block may be lost with its process: packs.py
                promises.check(store)
            assert {event for event, _ in shelf.events} <= {"store_rebuild"}
    print(f"{heard} acknowledgements")
    assert heard > KILLS


@pytest.mark.slow
def test_it_may_end_before_any_single_step(tmp_path: Path) -> None:
    """The same, not by chance: one session after the other ends one call to the operating system later."""
    ended = -signal.SIGKILL
    step = 0
    with sessions() as pipes:
        while ended == -signal.SIGKILL:
            folder = tmp_path / str(step)
            folder.mkdir()
            promises, shelf = Promises(), Shelf(folder, quota_bytes=60_000)
            begin(pipes, folder, 1, step)
            for line in pipes[1]:
                fields = json.loads(line)
                if "gone" in fields:
                    ended = fields["gone"]
                    break
                promises.hear(fields)
            with shelf.open() as store:
                promises.check(store)
                assert store.scrub_some(1 << 30).bad == ()
            with shelf.open() as store:  # the second time nothing is left to put right
                promises.check(store)
                assert orphans(store, shelf) == [], f"left behind before step {step}"
            assert shelf.events == []
            step += 1
    assert ended == 0
    assert step > 100, "there are that many"


def orphans(store: Store, shelf: Shelf) -> list[Path]:
    """Files that no object of the index needs."""
    rows = store._core.index.ask(f"select cid from objects where place in ({FLAT}, {IN_PLACE}, {PARTIAL})")
    needed = {str(decode_cid(key)) for (key,) in rows}
    return [
        path
        for path in (shelf.data_dir / "objects").rglob("*.*")
        if path.stem not in needed or path.suffix not in (".data", ".dag", ".part", ".bits")
    ]


@pytest.mark.parametrize("seed", range(12))
def test_torn_files_lose_only_what_was_in_them(shelf: Shelf, seed: int) -> None:
    """Cuts one file at a random offset: what is served afterwards is right, and the rest is still there."""
    rng = random.Random(seed)
    blocks = [raw_block(rng.randbytes(rng.randrange(1, 3000))) for _ in range(300)]
    data = rng.randbytes(2 * LEAF_BYTES + 7)
    dag, other = dag_of(data), dag_of(data[:-1])
    with shelf.open() as store:
        shelf.put(store, *blocks, pin=blocks[0][0])
        shelf.put_flat(store, data, pin=True)
        with store.open_partial(other) as partial:
            partial.put_leaf(0, data[:LEAF_BYTES])
            partial.put_leaf(2, data[2 * LEAF_BYTES : -1])
    files = [path for path in shelf.data_dir.rglob("*") if path.suffix in (".car", ".dag", ".data", ".bits", ".part")]
    torn = rng.choice(sorted(files))
    os.truncate(torn, rng.randrange(torn.stat().st_size))
    if seed % 2:
        (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        there = 0
        for cid, block in [*blocks, *dag.nodes, *other.nodes]:
            if store.has(cid):
                try:
                    assert store.get_block(cid) == block
                    there += 1
                except MissingBlockError:
                    pass  # it was found out just now
        for each in (dag, other):
            for first, count in store.available_leaves(each.root):
                for index in range(first, first + count):
                    start, size = each.leaves.span(index)
                    try:
                        assert store.read_file(each.root, start, start + size) == data[start : start + size]
                    except MissingBlockError:
                        assert torn.suffix in (".data", ".part", ".dag")
        assert there >= len(blocks) or torn.suffix == ".car"
        shelf.put(store, *blocks)
        assert all(store.get_block(cid) == block for cid, block in blocks)
        assert store.scrub_some(1 << 30).bad == ()


def test_an_unacknowledged_tail_is_cut(shelf: Shelf) -> None:
    blocks = [raw_block(bytes([each]) * 100) for each in range(10)]
    with shelf.open() as store:
        shelf.put(store, *blocks)
    (pack,) = (shelf.data_dir / "packs").glob("*.car")
    size = pack.stat().st_size
    with pack.open("ab") as file:
        file.write(b"\x90\x01half a frame")
    stranger = pack.with_name("00000077.car")
    stranger.write_bytes(b"a batch that never ended")
    (shelf.data_dir / "temporary" / "left.data").write_bytes(b"over")
    with shelf.open() as store:
        assert pack.stat().st_size == size
        assert not stranger.exists()
        assert list((shelf.data_dir / "temporary").iterdir()) == []
        shelf.put(store, linking_block(blocks[0][0]))
        assert all(store.get_block(cid) == data for cid, data in blocks)
