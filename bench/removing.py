"""Removing 10,000 objects while somebody reads: how long it takes, and how long the reader ever waits."""

import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.row import Row
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, raw_cid
from nearcast.content.store import Store

OBJECTS = 10_000
OBJECT_BYTES = 700
KEPT = 100


def rows(only: str | None) -> Iterator[Row]:
    names = ("remove 10,000 objects", "longest wait of a reader meanwhile")
    if only is None or any(only in name for name in names):
        seconds, longest_s = remove_while_reading()
        yield Row(names[0], seconds, "s", 1.0, lower_is_better=True)
        yield Row(names[1], longest_s * 1000, "ms", 10.0, lower_is_better=True)


def remove_while_reading() -> tuple[float, float]:
    """(seconds for the removal, the longest single read during it in seconds)."""
    with (
        tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder,
        Store.open(Path(folder), quota_bytes=1 << 40, clock=SystemClock()) as store,
    ):
        doomed, kept = filled(store)
        waits: list[float] = []
        stop, started = threading.Event(), threading.Event()

        def read() -> None:
            while not stop.is_set():
                for cid in kept:
                    start = time.perf_counter()
                    store.get_block(cid)
                    waits.append(time.perf_counter() - start)
                    time.sleep(0.0005)  # a request each half millisecond: what a busy loop would measure is the GIL
                started.set()

        reader = threading.Thread(target=read)
        reader.start()
        started.wait()
        waits.clear()
        start = time.perf_counter()
        removed = store.remove(doomed)
        seconds = time.perf_counter() - start
        stop.set()
        reader.join()
        assert removed == OBJECTS
        return seconds, max(waits)


def filled(store: Store) -> tuple[list[Cid], list[Cid]]:
    rng = random.Random(3)
    cids = []
    with store.batch() as batch:
        for _ in range(OBJECTS + KEPT):
            data = rng.randbytes(OBJECT_BYTES)
            cid = raw_cid(hashlib.sha256(data).digest())
            batch.put_block(cid, data, verified=True)
            batch.pin(cid, "bench")
            cids.append(cid)
    return cids[:OBJECTS], cids[OBJECTS:]
