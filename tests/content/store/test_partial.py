"""Files on their way: every leaf checked, served at once, durable by checkpoints."""

import os
import random
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.store.suite import Shelf, dag_of

from nearcast.content.blocks import MissingBlockError
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.content.store.bitmap import Bitmap, load_bitmap, save_bitmap
from nearcast.errors import IntegrityError, UsageError

DATA = random.Random(2).randbytes(4 * LEAF_BYTES + 99)
DAG = dag_of(DATA)
ALL = range(5)


def leaf(index: int) -> bytes:
    return DATA[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]


def test_leaves_are_served_as_they_arrive(store: Store) -> None:
    with store.open_partial(DAG) as partial:
        assert partial.missing() == [(0, 5)]
        partial.put_leaf(1, leaf(1))
        partial.put_leaf(4, leaf(4))
        partial.put_leaf(4, leaf(4))
        assert partial.missing() == [(0, 1), (2, 2)]
        assert store.available_leaves(DAG.root) == [(1, 1), (4, 1)]
        assert store.get_block(DAG.leaves.cid(1)) == leaf(1)
        assert store.get_block(DAG.root) == DAG.nodes[0][1]
        assert store.read_file(DAG.root, 4 * LEAF_BYTES, len(DATA)) == leaf(4)
        assert not store.has(DAG.leaves.cid(0))
        with pytest.raises(MissingBlockError) as missing:
            store.read_file(DAG.root, LEAF_BYTES - 1, LEAF_BYTES + 1)
        assert missing.value.cid == DAG.leaves.cid(0)
        assert store.locate(DAG.root) is None
        stat = store.stat(DAG.root)
        assert stat is not None
        assert (stat.kind, stat.complete) == ("partial", False)


def test_a_wrong_leaf_is_refused(store: Store) -> None:
    with store.open_partial(DAG) as partial:
        for index, data in ((0, leaf(1)), (0, leaf(0)[:-1]), (4, leaf(0))):
            with pytest.raises(IntegrityError):
                partial.put_leaf(index, data)
        with pytest.raises(UsageError):
            partial.put_leaf(5, leaf(0))
        with pytest.raises(UsageError, match="5 leaves are missing"):
            partial.complete()
        assert partial.missing() == [(0, 5)]


def test_it_goes_on_after_reopening(shelf: Shelf) -> None:
    with shelf.open() as store, store.open_partial(DAG) as partial:
        partial.put_leaf(2, leaf(2))
    with shelf.open() as store:
        assert store.get_block(DAG.leaves.cid(2)) == leaf(2)
        with store.open_partial(DAG) as partial:
            assert partial.missing() == [(0, 2), (3, 2)]
            for index in ALL:
                partial.put_leaf(index, leaf(index))
            partial.complete()
            partial.complete()
        extent = store.locate(DAG.root)
        assert extent is not None
        assert extent.path.read_bytes() == DATA
    with shelf.open() as store:
        assert store.read_file(DAG.root, 0, len(DATA)) == DATA
        assert {path.suffix for path in (shelf.data_dir / "objects").rglob("*.*")} == {".data", ".dag"}


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped"])
def test_without_a_map_the_leaves_are_found_by_hashing(shelf: Shelf, damage: str) -> None:
    with shelf.open() as store, store.open_partial(DAG) as partial:
        partial.put_leaf(3, leaf(3))
    (bits,) = (shelf.data_dir / "objects").glob("*/*.bits")
    if damage == "cut":
        os.truncate(bits, 17)
    elif damage == "gone":
        bits.unlink()
    else:
        bits.write_bytes(bits.read_bytes().replace(b"\x08", b"\x09"))
    with shelf.open() as store:
        assert store.available_leaves(DAG.root) == []
        with store.open_partial(DAG) as partial:
            assert partial.missing() == [(0, 3), (4, 1)]
            assert store.get_block(DAG.leaves.cid(3)) == leaf(3)


def test_two_openings_share_one(store: Store) -> None:
    with store.open_partial(DAG) as one:
        with store.open_partial(DAG) as other:
            other.put_leaf(0, leaf(0))
        one.put_leaf(1, leaf(1))
        assert one.missing() == [(2, 3)]
        with store.open_partial(DAG) as other:
            assert other.has(0)
            assert other.has(1)


def test_many_threads_bring_leaves(store: Store) -> None:
    with store.open_partial(DAG) as partial:
        threads = [threading.Thread(target=partial.put_leaf, args=(index, leaf(index))) for index in ALL]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        partial.complete()
    assert store.read_file(DAG.root, 0, len(DATA)) == DATA


def test_what_is_here_misses_nothing(store: Store, shelf: Shelf) -> None:
    shelf.put_flat(store, DATA)
    with store.open_partial(DAG) as partial:
        assert partial.missing() == []
        assert partial.has(4)
        assert not partial.has(5)
        partial.put_leaf(0, leaf(0))
        partial.complete()


def test_a_lost_file_in_place_is_fetched_anew(store: Store, shelf: Shelf) -> None:
    path = shelf.user_file("film", DATA)
    shelf.share(store, path)
    path.unlink()
    with store.open_partial(DAG) as partial:
        assert partial.missing() == [(0, 5)]
        for index in ALL:
            partial.put_leaf(index, leaf(index))
        partial.complete()
    assert store.read_file(DAG.root, 0, len(DATA)) == DATA
    stat = store.stat(DAG.root)
    assert stat is not None
    assert stat.held


def test_a_file_that_came_another_way(store: Store, shelf: Shelf) -> None:
    with store.open_partial(DAG) as partial:
        partial.put_leaf(0, leaf(0))
        shelf.put_flat(store, DATA)
        for index in ALL:
            partial.put_leaf(index, leaf(index))
        partial.complete()
    assert store.read_file(DAG.root, 0, len(DATA)) == DATA


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=12))
def test_runs_of_a_bitmap_are_found(runs: list[tuple[bool, int]]) -> None:
    bits = [present for present, count in runs for _ in range(count)]
    bitmap = Bitmap(len(bits))
    for index, present in enumerate(bits):
        if present:
            bitmap.add(index)
    for wanted in (True, False):
        spans = bitmap.spans(present=wanted)
        assert [i for first, size in spans for i in range(first, first + size)] == [
            i for i, present in enumerate(bits) if present is wanted
        ]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_a_bitmap_says_what_is_in_it(shelf: Shelf, count: int) -> None:
    path = shelf.folder / "map.bits"
    bitmap = Bitmap(count)
    chosen = set(random.Random(count).sample(range(count), count // 2))
    for index in chosen:
        bitmap.add(index)
    save_bitmap(path, bitmap.encode(), shelf.folder)
    loaded = load_bitmap(path, count)
    assert loaded is not None
    assert {index for index in range(-1, count + 9) if index in loaded} == chosen
    assert loaded.present == len(chosen)
    for present in (True, False):
        spans = loaded.spans(present=present)
        inside = [index for first, size in spans for index in range(first, first + size)]
        assert inside == [index for index in range(count) if (index in chosen) is present]
        assert all(one[0] + one[1] < other[0] for one, other in pairwise(spans)), "runs are whole"
    assert load_bitmap(path, count + 8) is None
