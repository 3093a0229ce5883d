"""Importing: a large file in place, against merely hashing it; and very many small files."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.row import Row
from bench.samples import MIB, random_file, small_files
from nearcast.clock import SystemClock
from nearcast.content.importer import import_path
from nearcast.content.store import Store

LARGE_BYTES = 1 << 30
SMALL_FILES = 100_000
SMALL_BYTES = 700
ROUNDS = 3  # the two take turns, so that a slow moment of the machine hits both; the best of each counts


def rows(only: str | None) -> Iterator[Row]:
    if only is None or only in "import 1 GiB in place":
        yield large_in_place()
    if only is None or only in "import 100,000 files of 700 bytes":
        yield many_small()


def large_in_place() -> Row:
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        path = random_file(Path(folder) / "large.bin", LARGE_BYTES)
        importing, hashing = [], []
        for turn in range(ROUNDS):
            hashing.append(timed_hash(path))
            importing.append(timed_import(path, Path(folder) / f"store-{turn}", in_place=True))
        value, rival = (LARGE_BYTES / min(times) / MIB for times in (importing, hashing))
    return Row("import 1 GiB in place", value, "MiB/s", 0.8, "hashed by two threads", rival)


def many_small() -> Row:
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        tree = small_files(Path(folder) / "tree", SMALL_FILES, SMALL_BYTES)
        seconds = timed_import(tree, Path(folder) / "store", in_place=True)
    return Row("import 100,000 files of 700 bytes", SMALL_FILES / seconds, "files/s", 5000)


def timed_import(path: Path, store_dir: Path, *, in_place: bool) -> float:
    """Seconds from an open store to a durable, pinned root."""
    with Store.open(store_dir, quota_bytes=1 << 40, clock=SystemClock()) as store:
        start = time.perf_counter()
        import_path(store, path, in_place=in_place, hidden=False, wrap=False, progress=None)
        return time.perf_counter() - start


def timed_hash(path: Path) -> float:
    """Seconds for two threads to hash the file's 1 MiB leaves."""
    size = path.stat().st_size
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda half: _hash_leaves(path, half * size // 2, (half + 1) * size // 2), range(2)))
    return time.perf_counter() - start


def _hash_leaves(path: Path, start: int, end: int) -> list[bytes]:
    buffer = bytearray(MIB)
    view = memoryview(buffer)
    digests = []
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for offset in range(start, end, MIB):
            count = os.preadv(descriptor, [view[: min(MIB, end - offset)]], offset)
            digests.append(hashlib.sha256(view[:count]).digest())
    finally:
        os.close(descriptor)
    return digests
