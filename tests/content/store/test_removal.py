"""Held, removed, evicted: what stays and what goes."""

import random
import threading

import pytest
from tests.content.store.suite import Shelf, dag_of, linking_block, raw_block

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import Cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store

ONE, TWO, THREE = (raw_block(text) for text in (b"one", b"two", b"three"))
DATA = random.Random(3).randbytes(LEAF_BYTES + 9)


def is_held(store: Store, cid: Cid) -> bool:
    stat = store.stat(cid)
    return stat is not None and stat.held


def test_a_pin_holds_everything_below(store: Store, shelf: Shelf) -> None:
    folder = linking_block(ONE[0], TWO[0])
    top = linking_block(folder[0], THREE[0])
    shelf.put(store, ONE, TWO, THREE, folder, top, pin=top[0])
    assert all(is_held(store, cid) for cid, _ in (ONE, TWO, THREE, folder, top))
    store.pin(folder[0], "again")
    store.pin(folder[0], "renamed")
    assert {pin.name for pin in store.pins()} == {"pinned", "renamed"}
    store.unpin(top[0])
    assert [is_held(store, cid) for cid, _ in (ONE, TWO, THREE, folder, top)] == [True, True, False, True, False]
    store.unpin(folder[0])
    store.unpin(folder[0])
    assert not any(is_held(store, cid) for cid, _ in (ONE, TWO, THREE, folder, top))
    assert store.usage().held_bytes == 0


@pytest.mark.parametrize("order", range(6))
def test_what_arrives_later_is_held_too(store: Store, shelf: Shelf, order: int) -> None:
    folder = linking_block(ONE[0], TWO[0], TWO[0])
    top = linking_block(folder[0], ONE[0])
    store.pin(top[0], "wanted")
    blocks = [ONE, TWO, folder, top]
    random.Random(order).shuffle(blocks)
    for block in blocks:
        shelf.put(store, block)
    assert all(is_held(store, cid) for cid, _ in blocks)
    assert store.remove([top[0]]) == 4
    assert not any(store.has(cid) for cid, _ in blocks)
    assert store.usage().objects == 0


def test_removal_spares_what_others_hold_or_link_to(store: Store, shelf: Shelf) -> None:
    first, second, cached = linking_block(ONE[0], TWO[0]), linking_block(TWO[0], THREE[0]), linking_block(THREE[0])
    shelf.put(store, ONE, TWO, THREE, first, second, cached)
    store.pin(first[0], "first")
    store.pin(second[0], "second")
    assert store.remove([second[0]]) == 1
    assert [store.has(cid) for cid, _ in (ONE, TWO, THREE, first, second, cached)] == [True] * 4 + [False, True]
    assert is_held(store, TWO[0])
    assert store.remove([first[0], TWO[0]]) == 3
    assert store.remove([cached[0]]) == 2
    assert store.remove([cached[0], ONE[0]]) == 0


def test_removing_takes_the_files_away(store: Store, shelf: Shelf) -> None:
    dag = shelf.put_flat(store, DATA, pin=True)
    path = shelf.user_file("mine", DATA[:-1])
    mine = shelf.share(store, path)
    assert store.remove([dag.root, mine.root]) == 2
    assert not store.has(dag.leaves.cid(0))
    assert path.exists()
    assert [each for each in (shelf.data_dir / "objects").rglob("*") if each.is_file()] == []
    shelf.put_flat(store, DATA)
    assert store.read_file(dag.root, 0, len(DATA)) == DATA


def test_a_name_that_waits_to_be_unlinked_can_be_used_again(shelf: Shelf) -> None:
    """Its unlink comes late; the new file of the same name must not be hit by it, not even after a restart."""
    with shelf.open() as store:
        dag = shelf.put_flat(store, DATA)
        store._core.empty_trash = lambda budget_s: None  # type: ignore[method-assign]  # a disk that never gets to it
        store.remove([dag.root])
        assert len(list((shelf.data_dir / "objects").rglob("*.data"))) == 1
        shelf.put_flat(store, DATA)
        assert store.read_file(dag.root, 0, len(DATA)) == DATA
    with shelf.open() as store:
        store.compact_some(0)
        assert store.read_file(dag.root, 0, len(DATA)) == DATA
        store.remove([dag.root])
    with shelf.open() as store:
        assert list((shelf.data_dir / "objects").rglob("*.data")) == []


def test_who_holds_a_leaf_holds_its_file(store: Store, shelf: Shelf) -> None:
    dag = dag_of(DATA)
    before, after = linking_block(dag.leaves.cid(0)), linking_block(dag.leaves.cid(1), ONE[0])
    shelf.put(store, before, pin=before[0])
    shelf.put_flat(store, DATA)
    shelf.put(store, after, pin=after[0])
    store.unpin(before[0])
    assert is_held(store, dag.root)
    assert store.remove([dag.root]) == 0
    assert store.get_block(dag.leaves.cid(0)) == DATA[:LEAF_BYTES]
    store.unpin(after[0])
    assert not is_held(store, dag.root)
    assert store.remove([dag.root]) == 1


def test_eviction_stops_at_the_quota_and_spares_what_is_held(shelf: Shelf) -> None:
    shelf.quota_bytes = 50_000
    cached = [raw_block(random.Random(each).randbytes(1000)) for each in range(200)]
    with shelf.open() as store:
        shelf.put(store, *cached[:20], linking_block(*(cid for cid, _ in cached[:20])))
        store.pin(linking_block(*(cid for cid, _ in cached[:20]))[0], "own")
        shelf.put(store, *cached)
        with store.eviction_paused():
            assert store.evict() == 0
        with store.lease(cached[50][0]):
            assert store.evict() == 130_000
            assert store.evict() == 0
            assert store.has(cached[50][0])
        assert store.usage().cached_bytes == 50_000
        assert all(store.has(cid) for cid, _ in cached[:20])
        assert sum(store.has(cid) for cid, _ in cached) == 70
    with shelf.open() as store:
        assert store.usage().cached_bytes == 50_000


def test_flat_and_arriving_files_are_evicted_too(shelf: Shelf) -> None:
    shelf.quota_bytes = 100
    with shelf.open() as store:
        shelf.put_flat(store, DATA)
        other = dag_of(DATA[:-1])
        with store.open_partial(other) as partial:
            partial.put_leaf(0, DATA[:LEAF_BYTES])
            assert store.evict() > LEAF_BYTES
            assert store.has(other.leaves.cid(0)), "it is being downloaded"
        store.evict()
        assert not store.has(other.leaves.cid(0))
        assert store.usage().cached_bytes == 0
        assert [each for each in (shelf.data_dir / "objects").rglob("*") if each.is_file()] == []


def test_what_was_leased_while_removed_goes_with_the_next_eviction(store: Store, shelf: Shelf) -> None:
    shelf.put(store, ONE, pin=ONE[0])
    with store.lease(ONE[0]), store.lease(ONE[0]):
        assert store.remove([ONE[0]]) == 0
        assert store.get_block(ONE[0]) == b"one"
    store.evict()
    assert not store.has(ONE[0])


def test_a_batch_keeps_what_it_builds_upon(store: Store, shelf: Shelf) -> None:
    shelf.put(store, ONE)
    folder = linking_block(ONE[0])
    with store.batch() as batch:
        batch.put_block(*ONE)
        for each in range(600):  # enough for it to look at what is there already
            batch.put_block(*raw_block(bytes([each % 256, each // 256])))
        assert store.remove([ONE[0]]) == 0
        batch.put_block(*folder)
        batch.pin(folder[0], "built")
    assert store.get_block(ONE[0]) == b"one"


def test_removing_ten_thousand_does_not_hold_up_readers(store: Store, shelf: Shelf) -> None:
    """A loose bound, for busy machines; the figures are measured by the benchmarks."""
    many = [raw_block(each.to_bytes(4, "big") * 100) for each in range(10_000)]
    keep = raw_block(b"read all the while")
    shelf.put(store, keep, *many)
    done = threading.Event()
    reads: list[bytes] = []

    def read() -> None:
        while not done.is_set():
            reads.append(store.get_block(keep[0]))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert store.remove([cid for cid, _ in many]) == 10_000
    finally:
        done.set()
        reader.join()
    assert len(reads) > 100
    with pytest.raises(MissingBlockError):
        store.get_block(many[0][0])
    assert store.usage().objects == 1
