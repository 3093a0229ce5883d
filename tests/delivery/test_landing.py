"""What a crash leaves behind between two checkpoints: leaves on disk that no bitmap tells of."""

import asyncio
import random
from hashlib import sha256
from pathlib import Path

import pytest

from nearcast.clock import SystemClock
from nearcast.content.cid import DIGEST_BYTES
from nearcast.content.dag import FileDag, build_file_dag
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store
from nearcast.delivery.landing import Landing

LEAVES = 8
DATA = random.Random(4).randbytes(LEAVES * LEAF_BYTES)


def leaf(index: int) -> bytes:
    return DATA[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]


def dag() -> FileDag:
    digests = b"".join(sha256(leaf(index)).digest() for index in range(LEAVES))
    assert len(digests) == LEAVES * DIGEST_BYTES
    return build_file_dag(digests, len(DATA))


def opened(folder: Path, quota_bytes: int = 1 << 30) -> Store:
    return Store.open(folder, quota_bytes=quota_bytes, clock=SystemClock())


def left_behind(folder: Path, file: FileDag, leaves: list[int]) -> None:
    """A partial whose leaves are on disk, and whose bitmap never got there."""
    with opened(folder) as store, store.open_partial(file) as partial:
        for index in leaves:
            partial.put_leaf(index, leaf(index))
    bitmaps = list(folder.rglob("*.bits"))
    for bitmap in bitmaps:
        bitmap.unlink()


@pytest.mark.parametrize("left", [[], [0, 1, 2], [5, 6, 7], list(range(LEAVES))])
@pytest.mark.parametrize("order", [list(range(LEAVES)), list(reversed(range(LEAVES)))])
def test_leaves_that_come_a_second_time_do_not_count_as_missing_ones(
    tmp_path: Path, left: list[int], order: list[int]
) -> None:
    file = dag()
    left_behind(tmp_path, file, left)

    async def land_all(store: Store) -> None:
        landing = Landing(store, SystemClock(), bulk=True)
        for index in order:
            await landing.put_leaf(file, index, leaf(index))
            await landing.landed(file)
        await landing.close()

    with opened(tmp_path) as store:
        asyncio.run(land_all(store))
        stat = store.stat(file.root)
        assert stat is not None
        assert stat.complete
        assert store.read_file(file.root, 0, len(DATA)) == DATA


def test_a_file_that_was_evicted_is_written_anew_when_its_leaves_come_again(tmp_path: Path) -> None:
    """What is told as landed can be read: nobody may be made to buy a leaf again that was thrown away."""
    file = dag()

    async def land_twice(store: Store) -> None:
        landing = Landing(store, SystemClock(), bulk=False)
        for index in [*range(LEAVES), 3]:
            await landing.put_leaf(file, index, leaf(index))
            await landing.landed(file)
            if index == LEAVES - 1:
                assert store.has(file.leaves.cid(3))
                store.evict()
                assert not store.has(file.leaves.cid(3))
        assert store.has(file.leaves.cid(3))
        await landing.close()

    with opened(tmp_path, quota_bytes=LEAF_BYTES) as store:
        asyncio.run(land_twice(store))


def test_the_files_that_a_relay_finished_last_are_not_evicted_before_its_end(tmp_path: Path) -> None:
    files = [dag(), build_file_dag(sha256(leaf(0)).digest() + sha256(leaf(1)).digest(), 2 * LEAF_BYTES)]

    async def land_all(store: Store) -> None:
        landing = Landing(store, SystemClock(), bulk=False, leased_files=1)
        for file in files:
            for index in range(len(file.leaves)):
                await landing.put_leaf(file, index, leaf(index))
                await landing.landed(file)
            store.evict()
            assert store.available_leaves(file.root) == [(0, len(file.leaves))]
        assert store.available_leaves(files[0].root) == [], "an older one has its turn"
        await landing.close()
        store.evict()
        assert store.available_leaves(files[1].root) == []

    with opened(tmp_path, quota_bytes=LEAF_BYTES) as store:
        asyncio.run(land_all(store))
