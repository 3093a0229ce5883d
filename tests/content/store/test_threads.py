"""Many readers and several writers at once: what is held is always there and always right."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tests.content.store.suite import Shelf, dag_of, linking_block, raw_block

from nearcast.content.blocks import MissingBlockError
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store import Store

LASTS_S = 2.0
RNG = random.Random(6)
KEPT = [raw_block(RNG.randbytes(1500)) for _ in range(100)]
CACHED = [raw_block(RNG.randbytes(1500)) for _ in range(400)]
DATA = RNG.randbytes(LEAF_BYTES + 1000)
COMING = RNG.randbytes(LEAF_BYTES + 2000)


class Crowd:
    """Threads that repeat what they do until the time is over."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.end_s = time.monotonic() + LASTS_S

    def run(self, *acts: Callable[[random.Random], None]) -> None:
        with ThreadPoolExecutor(len(acts)) as threads:
            turns = [threads.submit(self.repeat, act, seed) for seed, act in enumerate(acts)]
        assert all(each.result() > 0 for each in turns)

    def repeat(self, act: Callable[[random.Random], None], seed: int) -> int:
        rng = random.Random(seed)
        turns = 0
        while time.monotonic() < self.end_s:
            act(rng)
            turns += 1
        return turns

    def read_kept(self, rng: random.Random) -> None:
        cid, data = rng.choice(KEPT)
        assert self.store.get_block(cid) == data

    def read_cached(self, rng: random.Random) -> None:
        cid, data = rng.choice(CACHED)
        with suppress(MissingBlockError):
            assert self.store.get_block(cid) == data

    def read_flat(self, rng: random.Random) -> None:
        dag = dag_of_data
        start = rng.randrange(len(DATA) - 100)
        assert self.store.read_file(dag.root, start, start + 100) == DATA[start : start + 100]
        assert self.store.get_block(dag.leaves.cid(1)) == DATA[LEAF_BYTES:]

    def read_coming(self, rng: random.Random) -> None:
        """Pinned, and downloaded again and again: a leaf is right or missing."""
        leaf = dag_of_coming.leaves.cid(1)
        with suppress(MissingBlockError):
            assert self.store.get_block(leaf) == COMING[LEAF_BYTES:]

    def put_cached(self, rng: random.Random) -> None:
        with self.store.batch() as batch:
            for cid, data in rng.sample(CACHED, 100):
                batch.put_block(cid, data, verified=True)

    def drop_cached(self, rng: random.Random) -> None:
        self.store.remove([cid for cid, _ in rng.sample(CACHED, 100)])
        self.store.evict()
        self.store.compact_some(1 << 20)

    def download(self, rng: random.Random) -> None:
        with self.store.open_partial(dag_of_coming) as partial:
            partial.put_leaf(1, COMING[LEAF_BYTES:])
            partial.checkpoint()
            partial.put_leaf(0, COMING[:LEAF_BYTES])
            partial.complete()
        assert self.store.read_file(dag_of_coming.root, 0, len(COMING)) == COMING
        self.store.remove([dag_of_coming.root])

    def pin_and_unpin(self, rng: random.Random) -> None:
        cid, _ = rng.choice(KEPT)
        self.store.pin(cid, "more")
        self.store.scrub_some(1 << 16)
        self.store.unpin(cid)


dag_of_data = dag_of(DATA)
dag_of_coming = dag_of(COMING)


def test_readers_and_writers_at_once(shelf: Shelf) -> None:
    shelf.quota_bytes = 300_000
    top = linking_block(*(cid for cid, _ in KEPT))
    with shelf.open() as store:
        shelf.put(store, *KEPT, top, pin=top[0])
        shelf.put_flat(store, DATA, pin=True)
        crowd = Crowd(store)
        readers = [crowd.read_kept, crowd.read_cached, crowd.read_flat, crowd.read_coming]
        crowd.run(*readers, crowd.put_cached, crowd.drop_cached, crowd.download, crowd.pin_and_unpin)
        assert all(store.get_block(cid) == data for cid, data in [*KEPT, top])
        assert store.scrub_some(1 << 30).bad == ()
        usage = store.usage()
    assert {event for event, _ in shelf.events} == set()
    (shelf.data_dir / "index.sqlite").unlink()
    with shelf.open() as store:
        assert store.usage() == usage
