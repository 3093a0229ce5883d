"""The background work: hashing again what was stored long ago, giving back the room of removed blocks."""

import os
import random
from pathlib import Path

import pytest
from tests.content.store.suite import Shelf, dag_of, linking_block, raw_block

from nearcast.content.blocks import MissingBlockError
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import ScrubReport, Store, compaction, guard_of, packs
from nearcast.errors import ChangedError

RNG = random.Random(5)
DATA = RNG.randbytes(3 * LEAF_BYTES + 5)
BLOCKS = [raw_block(RNG.randbytes(2000)) for _ in range(400)]
WHOLE = 1 << 30


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def the_pack(shelf: Shelf) -> Path:
    (pack,) = (shelf.data_dir / "packs").glob("*.car")
    return pack


def test_a_scrub_goes_round_in_steps(store: Store, shelf: Shelf) -> None:
    shelf.put(store, *BLOCKS[:10])
    shelf.put_flat(store, DATA)
    shelf.share(store, shelf.user_file("film", DATA[:-1]))
    reports: list[ScrubReport] = []
    while not reports or not reports[-1].finished_round:
        reports.append(store.scrub_some(LEAF_BYTES))
        assert reports[-1].bytes <= LEAF_BYTES + 2000 * 10
    assert sum(report.objects for report in reports) == 12
    assert sum(report.bytes for report in reports) == 2 * len(DATA) - 1 + 10 * 2000
    assert len(reports) > 6
    assert store.scrub_some(WHOLE).bytes == 2 * len(DATA) - 1 + 10 * 2000
    assert all(report.bad == () for report in reports)


def test_a_step_goes_on_after_a_restart(shelf: Shelf) -> None:
    with shelf.open() as store:
        shelf.put_flat(store, DATA)
        assert store.scrub_some(1).bytes == LEAF_BYTES
    with shelf.open() as store:
        assert store.scrub_some(WHOLE).bytes == len(DATA) - LEAF_BYTES


def test_a_bad_block_is_dropped_and_reported(shelf: Shelf) -> None:
    with shelf.open() as store:
        shelf.put(store, *BLOCKS[:3], pin=BLOCKS[1][0])
        flip(the_pack(shelf), the_pack(shelf).stat().st_size - 2500)
        assert store.scrub_some(WHOLE).bad == (BLOCKS[1][0],)
        assert [event for event, _ in shelf.events] == ["store_damaged"]
        with pytest.raises(MissingBlockError):
            store.get_block(BLOCKS[1][0])
        assert store.scrub_some(WHOLE).bad == ()
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        assert not store.has(BLOCKS[1][0]), "a rebuild does not bring it back"
        shelf.put(store, BLOCKS[1])
        assert store.get_block(BLOCKS[1][0]) == BLOCKS[1][1]
        stat = store.stat(BLOCKS[1][0])
        assert stat is not None
        assert stat.held


def test_a_bad_leaf_drops_its_file(store: Store, shelf: Shelf) -> None:
    dag = shelf.put_flat(store, DATA)
    (data,) = (shelf.data_dir / "objects").glob("*/*.data")
    flip(data, 2 * LEAF_BYTES + 7)
    reports = [store.scrub_some(1) for _ in range(3)]
    assert [report.bad for report in reports] == [(), (), (dag.root,)]
    assert not store.has(dag.root)
    assert not store.has(dag.leaves.cid(0))


def test_a_bad_outboard_drops_its_file(store: Store, shelf: Shelf) -> None:
    dag = shelf.put_flat(store, DATA)
    (outboard,) = (shelf.data_dir / "objects").glob("*/*.dag")
    flip(outboard, outboard.stat().st_size - 50)
    assert store.scrub_some(WHOLE).bad == (dag.root,)
    assert not store.has(dag.root)


def test_a_file_of_the_users_with_other_bytes_is_changed(store: Store, shelf: Shelf) -> None:
    """A disk that forgets: the same stat, other bytes."""
    path = shelf.user_file("film", DATA)
    dag = dag_of(DATA[:-1] + b"?")
    with store.batch() as batch:
        batch.put_reference(dag, path, guard_of(path.stat()))
    assert store.scrub_some(WHOLE).bad == (dag.root,)
    with pytest.raises(ChangedError):
        store.get_block(dag.leaves.cid(0))
    assert path.read_bytes() == DATA
    path.unlink()
    assert store.scrub_some(WHOLE).bad == ()


def test_a_vanished_file_is_found_by_the_scrub(store: Store, shelf: Shelf) -> None:
    path = shelf.user_file("film", DATA)
    dag = shelf.share(store, path)
    path.unlink()
    assert store.scrub_some(WHOLE).bad == (dag.root,)


def test_a_pack_with_nothing_live_is_unlinked(store: Store, shelf: Shelf) -> None:
    shelf.put(store, *BLOCKS)
    pack = the_pack(shelf)
    store.remove([cid for cid, _ in BLOCKS])
    assert list((shelf.data_dir / "packs").iterdir()) == []
    shelf.put(store, *BLOCKS)
    assert all(store.get_block(cid) == data for cid, data in BLOCKS)
    assert the_pack(shelf) != pack


def test_a_mostly_dead_pack_is_written_anew(shelf: Shelf) -> None:
    path = shelf.user_file("film", DATA)
    keep, gone = BLOCKS[::4], [cid for index, (cid, _) in enumerate(BLOCKS) if index % 4]
    with shelf.open() as store:
        dag = shelf.share(store, path)
        shelf.put(store, *BLOCKS, linking_block(*(cid for cid, _ in keep)))
        old = the_pack(shelf)
        assert store.compact_some(WHOLE) == 0
        store.remove(gone)
        with store.lease(keep[0][0]):
            assert store.compact_some(WHOLE) == 0, "someone may be reading from its path"
        before = store.usage()
        assert store.compact_some(WHOLE) > 500_000
        assert old.exists(), "for one more call"
        assert all(store.get_block(cid) == data for cid, data in keep)
        assert store.read_file(dag.root, 0, len(DATA)) == DATA
        assert store.compact_some(WHOLE) == 0
        assert not old.exists()
        assert store.usage() == before
        assert store.scrub_some(WHOLE).bad == ()
    for index_survives in (True, False):
        if not index_survives:
            (shelf.data_dir / "index.sqlite").unlink()
        with shelf.open() as store:
            assert all(store.get_block(cid) == data for cid, data in keep)
            assert store.read_file(dag.root, 0, len(DATA)) == DATA
            assert not any(store.has(cid) for cid in gone)
    assert the_pack(shelf).stat().st_size < 300_000


@pytest.mark.parametrize("marked", [True, False])
def test_the_copies_that_a_compaction_leaves_do_not_come_back(shelf: Shelf, marked: bool) -> None:
    """The old pack is still there when the index is lost, its blocks are in two packs; once removed they are gone from
    both. Also when the crash came before the old pack was marked."""
    path = shelf.user_file("film", DATA)
    with shelf.open() as store:
        dag = shelf.share(store, path, pin=False)
        shelf.put(store, *BLOCKS)
        store.remove([cid for cid, _ in BLOCKS[1:]])
        assert store.compact_some(WHOLE) > 0
    (retired,) = (shelf.data_dir / "packs").glob("*.retired")
    if not marked:
        retired.unlink()
    for _ in range(2):
        (shelf.data_dir / "index.sqlite").unlink()
        with shelf.open() as store:
            assert store.get_block(BLOCKS[0][0]) == BLOCKS[0][1]
            assert store.read_file(dag.root, 0, len(DATA)) == DATA
    with shelf.open() as store:
        assert store.remove([BLOCKS[0][0], dag.root]) == 2
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        assert store.usage().objects == 0


def test_a_retired_pack_revives_nothing(shelf: Shelf) -> None:
    with shelf.open() as store:
        shelf.put(store, *BLOCKS)
        store.remove([cid for cid, _ in BLOCKS[1:]])
        assert store.compact_some(WHOLE) > 0
        store.remove([BLOCKS[0][0]])
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        assert store.usage().objects == 0
        assert list((shelf.data_dir / "packs").iterdir()) == []


def test_compaction_is_bounded(store: Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pack at least, and no more than the budget asks for."""
    monkeypatch.setattr(packs, "PACK_BYTES_TARGET", 500_000)
    for number in range(3):
        shelf.put(store, *BLOCKS[number * 100 : number * 100 + 100], raw_block(bytes(500_000 + number)))
    assert len(list((shelf.data_dir / "packs").glob("*.car"))) == 3
    store.remove([raw_block(bytes(500_000 + number))[0] for number in range(3)])
    given_back = [store.compact_some(1) for _ in range(4)]
    assert [amount > 0 for amount in given_back] == [True, True, True, False]
    assert all(store.get_block(cid) == data for cid, data in BLOCKS[:300])


def test_the_leaf_index_forgets_what_is_gone(store: Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "LEAVES_AT_ONCE", 3)
    kept = shelf.put_flat(store, DATA)
    gone = shelf.put_flat(store, DATA[:-1])
    store.remove([gone.root])
    assert len(store._core.index.ask("select * from leaves")) == 8
    for _ in range(4):
        store.compact_some(0)
    assert len(store._core.index.ask("select * from leaves")) == 4
    assert store._core.facts["leaves"] == 4
    assert store._core.facts["dangling"] == 0
    assert store.get_block(kept.leaves.cid(3)) == DATA[3 * LEAF_BYTES :]


def test_a_moved_index_row_cannot_pass_off_one_block_as_another(store: Store, shelf: Shelf) -> None:
    """Whatever the index says, a block stands behind its own name."""
    shelf.put(store, *BLOCKS[:2])
    with store._core.change() as change:
        change.sql.run("update objects set offset = offset + 1 where cid = ?", (BLOCKS[0][0].to_bytes(),))
    with pytest.raises(MissingBlockError):
        store.get_block(BLOCKS[0][0])
    assert store.get_block(BLOCKS[1][0]) == BLOCKS[1][1]
    assert shelf.events[0][0] == "store_damaged"


def test_it_holds_few_descriptors(store: Store, shelf: Shelf) -> None:
    paths = [shelf.user_file(f"file{each}", bytes([each % 256, each // 256]) * 50) for each in range(300)]
    dags = [shelf.share(store, path) for path in paths]
    for dag, path in zip(dags, paths, strict=True):
        assert store.read_file(dag.root, 0, 100) == path.read_bytes()
    assert len(os.listdir("/proc/self/fd")) < 200
