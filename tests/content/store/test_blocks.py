"""Small blocks: put, found again, durable together or not at all."""

import random

import pytest
from tests.content.store.suite import Shelf, linking_block, raw_block

from nearcast.content.blocks import BLOCK_BYTES_MAX, MissingBlockError
from nearcast.content.cid import DAG_PB, IDENTITY, Cid, raw_cid
from nearcast.content.store import Batch, Store
from nearcast.content.store.pack import HEADER, scan
from nearcast.errors import IntegrityError, LimitError, StoreLockedError, UsageError

HELLO = raw_block(b"hello")


def test_a_block_is_found_by_its_name(store: Store, shelf: Shelf) -> None:
    shelf.put(store, HELLO)
    assert store.has(HELLO[0])
    assert store.get_block(HELLO[0]) == b"hello"
    assert store.read_file(HELLO[0], 1, 100) == b"ello"


def fail_in(batch: Batch, blocks: list[tuple[Cid, bytes]]) -> None:
    with batch:
        for cid, data in blocks:
            batch.put_block(cid, data)
        batch.pin(blocks[0][0], "never")
        raise ZeroDivisionError


def test_what_is_not_here_is_missing(store: Store) -> None:
    assert not store.has(HELLO[0])
    assert store.locate(HELLO[0]) is None
    assert store.leaf_table(HELLO[0]) is None
    with pytest.raises(MissingBlockError):
        store.get_block(HELLO[0])


def test_both_versions_of_a_cid_name_the_same_block(store: Store, shelf: Shelf) -> None:
    node = linking_block(HELLO[0])
    old_name = Cid(0, DAG_PB, node[0].hash_code, node[0].digest)
    shelf.put(store, (old_name, node[1]))
    assert store.get_block(node[0]) == store.get_block(old_name) == node[1]


def test_an_identity_cid_is_always_here(store: Store, shelf: Shelf) -> None:
    cid = Cid(1, 0x55, IDENTITY, b"tiny")
    shelf.put(store, (cid, b"tiny"), pin=cid)
    assert store.has(cid)
    assert store.get_block(cid) == b"tiny"
    assert store.pins() == []


def test_blocks_are_checked_unless_they_were(store: Store) -> None:
    with pytest.raises(IntegrityError), store.batch() as batch:
        batch.put_block(HELLO[0], b"hallo")
    with pytest.raises(LimitError), store.batch() as batch:
        batch.put_block(HELLO[0], bytes(BLOCK_BYTES_MAX + 1), verified=True)
    assert not store.has(HELLO[0])


def test_an_exception_rolls_the_batch_back(store: Store, shelf: Shelf) -> None:
    shelf.put(store, HELLO)
    before = [path.stat().st_size for path in (shelf.data_dir / "packs").iterdir()]
    others = [raw_block(bytes([each]) * 600) for each in range(200)] + [raw_block(random.randbytes(2 << 20))] * 3
    batch = store.batch()
    with pytest.raises(ZeroDivisionError):
        fail_in(batch, others)
    assert not any(store.has(cid) for cid, _ in others)
    assert store.pins() == []
    assert [path.stat().st_size for path in (shelf.data_dir / "packs").iterdir()] == before
    with pytest.raises(UsageError):
        batch.put_block(*HELLO)


def test_the_same_block_is_written_once(store: Store, shelf: Shelf) -> None:
    for _ in range(3):
        shelf.put(store, HELLO, HELLO)
    (pack,) = (shelf.data_dir / "packs").glob("*.car")
    assert [frame.data for frame in scan(pack)] == [b"hello"]
    assert pack.stat().st_size == len(HEADER) + 1 + 36 + 5


def test_batches_side_by_side_use_packs_of_their_own(store: Store, shelf: Shelf) -> None:
    first, second = raw_block(b"first"), raw_block(b"second")
    with store.batch() as one:
        one.put_block(*first)
        with store.batch() as other:
            other.put_block(*second)
            other.put_block(*HELLO)
        assert store.has(second[0])
        one.put_block(*HELLO)
    assert store.get_block(first[0]) == b"first"
    assert store.get_block(HELLO[0]) == b"hello"


def test_everything_is_there_after_reopening(shelf: Shelf) -> None:
    blocks = [raw_block(random.randbytes(700)) for _ in range(1500)]
    with shelf.open() as store:
        shelf.put(store, *blocks, pin=blocks[0][0])
    with shelf.open() as store:
        assert all(store.get_block(cid) == data for cid, data in blocks)
        assert [(pin.root, pin.name) for pin in store.pins()] == [(blocks[0][0], "pinned")]


def test_a_second_opening_is_refused_by_name(store: Store, shelf: Shelf) -> None:
    with pytest.raises(StoreLockedError, match=r"in use by process \d+") as refused:
        shelf.open()
    assert "\n" not in refused.value.message
    assert refused.value.fix is not None


def test_an_empty_block(store: Store, shelf: Shelf) -> None:
    shelf.put(store, raw_block(b""))
    assert store.get_block(raw_block(b"")[0]) == b""
    assert store.leaf_table(raw_block(b"")[0]) is not None


def test_names_do_not_cross(store: Store, shelf: Shelf) -> None:
    """The same bytes under another codec are another name, which is not here."""
    node = linking_block(HELLO[0])
    shelf.put(store, node)
    assert not store.has(raw_cid(node[0].digest))
