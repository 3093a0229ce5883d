"""A disk without room: one clear error, nothing acknowledged lost, and the store goes on."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.content.store.suite import Shelf, dag_of, linking_block, raw_block

from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.errors import DiskFullError, StoreError

BEFORE = [raw_block(bytes([each]) * 1000) for each in range(50)]
DATA = os.urandom(LEAF_BYTES + 5)


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to write beyond (RLIMIT_FSIZE, which Python reports as EFBIG)."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def put_large_blocks(store: Store, shelf: Shelf) -> None:
    shelf.put(store, *[raw_block(bytes([each]) * LEAF_BYTES) for each in range(20)])


def put_flat(store: Store, shelf: Shelf) -> None:
    path, file = store.temporary_file()
    with file:
        file.write(DATA[:70_000])
    with store.batch() as batch:
        batch.put_block(*raw_block(DATA))
        batch.put_file(dag_of(DATA[:70_000]), path)


def share(store: Store, shelf: Shelf) -> None:
    with store.batch() as batch:
        batch.put_block(*raw_block(DATA))
        batch.pin(BEFORE[0][0], "never")


def begin_download(store: Store, shelf: Shelf) -> None:
    store.open_partial(dag_of(DATA))


@pytest.mark.parametrize("act", [put_large_blocks, put_flat, share, begin_download])
def test_what_does_not_fit_is_refused_and_the_rest_stays(shelf: Shelf, act: Callable[[Store, Shelf], None]) -> None:
    with shelf.open() as store:
        shelf.put(store, *BEFORE, pin=BEFORE[1][0])
        usage, pins = store.usage(), store.pins()
        with files_no_larger_than(400_000), pytest.raises(DiskFullError) as full:
            act(store, shelf)
        assert "\n" not in full.value.message
        assert full.value.fix is not None
        assert (store.usage(), store.pins()) == (usage, pins)
        assert all(store.get_block(cid) == data for cid, data in BEFORE)
        act_and_check_again(store, shelf)
    with shelf.open() as store:
        assert all(store.get_block(cid) == data for cid, data in BEFORE)
        act_and_check_again(store, shelf)


def act_and_check_again(store: Store, shelf: Shelf) -> None:
    more = linking_block(*(cid for cid, _ in BEFORE))
    shelf.put(store, more)
    assert store.get_block(more[0]) == more[1]
    dag = shelf.put_flat(store, DATA)
    assert store.read_file(dag.root, 0, len(DATA)) == DATA


def test_an_index_without_room_says_so(store: Store, shelf: Shelf) -> None:
    """The blocks fit their pack, the index cannot grow."""
    shelf.put(store, *BEFORE)
    size_bytes = max((shelf.data_dir / f"index.sqlite{end}").stat().st_size for end in ("", "-wal"))
    many = [raw_block(each.to_bytes(4, "big")) for each in range(5000)]
    with files_no_larger_than(max(size_bytes, 300_000)), pytest.raises(StoreError) as full:
        shelf.put(store, *many)
    assert "\n" not in full.value.message
    assert all(store.get_block(cid) == data for cid, data in BEFORE)
    assert not any(store.has(cid) for cid, _ in many)
    shelf.put(store, *many)
    assert all(store.has(cid) for cid, _ in many)


def test_a_leaf_that_does_not_fit_is_not_counted(store: Store) -> None:
    dag = dag_of(DATA)
    with store.open_partial(dag) as partial:
        with files_no_larger_than(400_000), pytest.raises(DiskFullError):
            partial.put_leaf(0, DATA[:LEAF_BYTES])
        assert partial.missing() == [(0, 2)]
        partial.put_leaf(0, DATA[:LEAF_BYTES])
        partial.put_leaf(1, DATA[LEAF_BYTES:])
        partial.complete()
    assert store.read_file(dag.root, 0, len(DATA)) == DATA


def test_a_swallowed_error_does_not_leave_a_hole(store: Store, shelf: Shelf) -> None:
    large = [raw_block(bytes([each]) * LEAF_BYTES) for each in range(5)]
    with store.batch() as batch, files_no_larger_than(400_000):  # there is room again when the batch ends
        for cid, data in large[:3]:
            batch.put_block(cid, data)
        with pytest.raises(DiskFullError):
            batch.put_block(*large[3])
    assert all(store.get_block(cid) == data for cid, data in large[:4])
    store.rebuild()
    assert all(store.get_block(cid) == data for cid, data in large[:4])
