"""Files in one piece: copied into the store, or left where the user keeps them."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.content.store.suite import Shelf, dag_of, raw_block

from nearcast.content.blocks import MissingBlockError
from nearcast.content.dag import FileDag, file_dag_of
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Batch, Extent, Store, guard_of
from nearcast.errors import ChangedError, NearcastError

DATA = random.Random(1).randbytes(2 * LEAF_BYTES + 5000)


def read_extent(extent: Extent | None) -> bytes:
    assert extent is not None
    with extent.path.open("rb") as file:
        file.seek(extent.offset)
        return file.read(extent.size_bytes)


def spans(dag: FileDag) -> list[tuple[bytes, tuple[int, int]]]:
    return [(dag.leaves.digest(index), dag.leaves.span(index)) for index in range(len(dag.leaves))]


def assert_all_there(store: Store, dag: FileDag, data: bytes) -> None:
    """Every way to the bytes gives the bytes."""
    assert store.read_file(dag.root, 0, len(data) + 10) == data
    assert store.read_file(dag.root, LEAF_BYTES - 3, LEAF_BYTES + 3) == data[LEAF_BYTES - 3 : LEAF_BYTES + 3]
    assert read_extent(store.locate(dag.root)) == data
    table = store.leaf_table(dag.root)
    assert table is not None
    assert [(table.digest(i), table.span(i)) for i in range(len(table))] == spans(dag)
    assert store.available_leaves(dag.root) == [(0, len(dag.leaves))]
    for index in range(len(dag.leaves)):
        cid, (start, size) = dag.leaves.cid(index), dag.leaves.span(index)
        assert store.has(cid)
        assert store.get_block(cid) == data[start : start + size]
        assert read_extent(store.locate(cid)) == data[start : start + size]
        assert store.read_file(cid, 1, 5) == data[start + 1 : start + 5]
        assert store.available_leaves(cid) == [(0, 1)]
    for cid, block in dag.nodes:
        assert store.has(cid)
        assert store.get_block(cid) == block
    read_back = file_dag_of(store.get_block, dag.root)
    assert read_back is not None
    assert (spans(read_back), read_back.nodes) == (spans(dag), dag.nodes)


@pytest.mark.parametrize("size", [0, 1, LEAF_BYTES, LEAF_BYTES + 1, len(DATA)])
def test_a_copied_file_is_all_there(shelf: Shelf, size: int) -> None:
    with shelf.open() as store:
        dag = shelf.put_flat(store, DATA[:size])
        assert_all_there(store, dag, DATA[:size])
        stat = store.stat(dag.root)
        assert stat is not None
        assert (stat.kind, stat.size_bytes, stat.complete, stat.held, stat.in_place) == (
            "flat",
            size,
            True,
            False,
            None,
        )
    with shelf.open() as store:
        assert_all_there(store, dag, DATA[:size])


@pytest.mark.parametrize("size", [0, 1, LEAF_BYTES, len(DATA)])
def test_a_file_in_place_is_all_there(shelf: Shelf, size: int) -> None:
    path = shelf.user_file("film", DATA[:size])
    with shelf.open() as store:
        dag = shelf.share(store, path)
        assert_all_there(store, dag, DATA[:size])
        stat = store.stat(dag.root)
        assert stat is not None
        assert (stat.kind, stat.held, stat.in_place) == ("in place", True, path)
        assert store.usage().held_bytes == 0
    with shelf.open() as store:
        assert_all_there(store, dag, DATA[:size])


def test_a_large_outboard_has_a_file_of_its_own(shelf: Shelf) -> None:
    data = b"".join(bytes([each % 251]) * LEAF_BYTES for each in range(3))
    path = shelf.user_file("film", data)
    dag = dag_of(data)
    padded = FileDag(dag.root, dag.leaves, (*dag.nodes, (raw_block(bytes(70_000))[0], bytes(70_000))))
    with shelf.open() as store:
        with store.batch() as batch:
            batch.put_reference(padded, path, guard_of(path.stat()))
        assert list((shelf.data_dir / "objects").glob("*/*.dag"))
        assert_all_there(store, dag, data)


def change_by_writing(path: Path) -> None:
    path.write_bytes(DATA[:-1] + b"x")


def change_by_touching(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def change_by_replacing(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(DATA)
    other.replace(path)


def change_by_unlinking(path: Path) -> None:
    path.unlink()


CHANGES = [change_by_writing, change_by_touching, change_by_replacing, change_by_unlinking]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("warm", [False, True])
def test_a_changed_file_is_never_served(shelf: Shelf, change: Callable[[Path], None], warm: bool) -> None:
    path = shelf.user_file("film", DATA)
    with shelf.open() as store:
        dag = shelf.share(store, path)
        if warm:
            assert store.get_block(dag.leaves.cid(0))
        change(path)
        for read in (
            lambda: store.locate(dag.root),
            lambda: store.read_file(dag.root, 0, 10),
            lambda: store.get_block(dag.leaves.cid(1)),
            lambda: store.get_block(dag.root),
        ):
            with pytest.raises(ChangedError) as failed:
                read()
            assert str(path) in failed.value.message
            assert "\n" not in failed.value.message
            assert failed.value.fix == f"nearcast share {path}"
        assert not store.has(dag.root)
        assert store.available_leaves(dag.root) == []
        stat = store.stat(dag.root)
        assert stat is not None
        assert (stat.kind, stat.complete) == ("changed", False)
        assert [event for event, _ in shelf.events] == ["store_changed"]
    with shelf.open() as store, pytest.raises(ChangedError, match="film"):
        store.read_file(dag.root, 0, 1)


def test_sharing_again_mends_it(shelf: Shelf) -> None:
    path = shelf.user_file("film", DATA)
    with shelf.open() as store:
        dag = shelf.share(store, path)
        change_by_touching(path)
        with pytest.raises(ChangedError):
            store.get_block(dag.leaves.cid(0))
        shelf.share(store, path)
        assert_all_there(store, dag, DATA)
        moved = path.rename(path.with_name("moved"))
        shelf.share(store, moved)
        assert_all_there(store, dag, DATA)
    with shelf.open() as store:
        assert_all_there(store, dag, DATA)


def test_a_copy_takes_over_from_a_file_in_place(shelf: Shelf) -> None:
    path = shelf.user_file("film", DATA)
    with shelf.open() as store:
        dag = shelf.share(store, path)
        shelf.put_flat(store, DATA)
        path.unlink()
        assert_all_there(store, dag, DATA)
        shelf.share(store, shelf.user_file("again", DATA))
        stat = store.stat(dag.root)
        assert stat is not None
        assert (stat.kind, stat.held) == ("flat", True)


def test_a_file_that_changes_while_it_is_added_is_refused(store: Store, shelf: Shelf) -> None:
    path = shelf.user_file("film", DATA)
    guard = guard_of(path.stat())
    change_by_touching(path)
    with pytest.raises(ChangedError, match="film changed while"), store.batch() as batch:
        batch.put_reference(dag_of(DATA), path, guard)


def test_a_failed_batch_leaves_no_file(store: Store, shelf: Shelf) -> None:
    dag = dag_of(DATA)
    path, file = store.temporary_file()
    with file:
        file.write(DATA)
    batch = store.batch()
    with pytest.raises(NearcastError, match="size"):
        fail_in(batch, dag, path)
    assert not store.has(dag.root)
    assert [each for each in (shelf.data_dir / "objects").rglob("*") if each.is_file()] == []
    assert list((shelf.data_dir / "temporary").iterdir()) == [path.with_name("short")]


def fail_in(batch: Batch, dag: FileDag, path: Path) -> None:
    short = path.with_name("short")
    short.write_bytes(b"x")
    with batch:
        batch.put_file(dag, path)
        batch.put_file(dag_of(DATA[:5]), short)


def test_the_same_file_twice_is_kept_once(store: Store, shelf: Shelf) -> None:
    shelf.put_flat(store, DATA)
    dag = shelf.put_flat(store, DATA, pin=True)
    assert_all_there(store, dag, DATA)
    assert list((shelf.data_dir / "temporary").iterdir()) == []
    assert store.usage().objects == 1


def test_a_cut_file_is_dropped_not_served(shelf: Shelf) -> None:
    with shelf.open() as store:
        dag = shelf.put_flat(store, DATA, pin=True)
        (data,) = (shelf.data_dir / "objects").glob("*/*.data")
        os.truncate(data, LEAF_BYTES + 100)
        assert store.get_block(dag.leaves.cid(0)) == DATA[:LEAF_BYTES]
        with pytest.raises(MissingBlockError):
            store.read_file(dag.root, 0, len(DATA))
        assert not store.has(dag.root)
        assert shelf.events[0][0] == "store_damaged"
        shelf.put_flat(store, DATA)
        assert_all_there(store, dag, DATA)
        stat = store.stat(dag.root)
        assert stat is not None
        assert stat.held, "its pin still counts"


def test_a_hidden_leaf_of_another_file(store: Store, shelf: Shelf) -> None:
    """Two files with a leaf in common: it is found while either is good."""
    first = DATA[:LEAF_BYTES] + b"one"
    second = DATA[:LEAF_BYTES] + b"two"
    path = shelf.user_file("first", first)
    common = shelf.share(store, path).leaves.cid(0)
    shelf.put_flat(store, second)
    path.unlink()
    assert store.get_block(common) == DATA[:LEAF_BYTES]
