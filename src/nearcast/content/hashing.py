"""Hashing a file's leaves in two threads, and copying it on the way if it is to be kept.

hashlib frees the GIL, so two threads on two cores hash nearly twice as fast; each reads 1 MiB at a time into a buffer
of its own that is used again and again. Leaves are claimed one by one, so neither thread waits for the other.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from hashlib import sha256
from itertools import count

from nearcast.content.cid import DIGEST_BYTES
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.store.disk import store_error, write_all_at

HASH_THREADS = 2  # measured on two cores: 1.9 x one thread; more threads than cores only switch


class LeafHasher:
    """Two threads that hash."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="hash")
        self._buffers = threading.local()

    def close(self) -> None:
        """Waits for the threads to end; what has not begun never will."""
        self._pool.shutdown(cancel_futures=True)

    def start(self, source: int, size_bytes: int, target: int | None = None) -> "HashJob":
        """Begins to hash the open file `source` of this size, and to copy it to the open file `target` if given."""
        job = HashJob(source, size_bytes, target)
        workers = min(HASH_THREADS, job.leaves)
        job.futures = [self._pool.submit(job.work, self._buffer) for _ in range(workers)]
        return job

    def _buffer(self) -> memoryview:
        """This thread's buffer."""
        buffer: memoryview | None = getattr(self._buffers, "view", None)
        if buffer is None:
            buffer = self._buffers.view = memoryview(bytearray(LEAF_BYTES))
        return buffer


class HashJob:
    """One file being hashed. The descriptors must stay open until `digests` or `stop` has returned."""

    def __init__(self, source: int, size_bytes: int, target: int | None) -> None:
        self.size_bytes = size_bytes
        self.leaves = max(1, -(-size_bytes // LEAF_BYTES))
        self.futures: list[Future[None]] = []
        self._source = source
        self._target = target
        self._digests = bytearray(self.leaves * DIGEST_BYTES)
        self._claims = count()
        self._done = count()
        self._leaves_done = 0
        self._stopped = False

    @property
    def bytes_done(self) -> int:
        """About how far it is; exact once it has ended."""
        return min(self.size_bytes, self._leaves_done * LEAF_BYTES)

    def digests(self, tick: Callable[[], None], interval_s: float) -> bytes:
        """Waits for the digests of all leaves, joined; calls `tick` every `interval_s` meanwhile.

        Raises EOFError when the file has become shorter, OSError from reading, StoreError from copying.
        """
        while wait(self.futures, timeout=interval_s).not_done:
            tick()
        for future in self.futures:
            future.result()
        return bytes(self._digests)

    def stop(self) -> None:
        """Ends the work after the leaves at hand, and waits for that."""
        self._stopped = True
        for future in self.futures:
            future.cancel()
        wait(self.futures)

    def work(self, buffer_of_thread: Callable[[], memoryview]) -> None:
        """What each thread does: claim a leaf, read, hash, copy, again."""
        buffer = buffer_of_thread()
        try:
            while (index := next(self._claims)) < self.leaves and not self._stopped:
                offset = index * LEAF_BYTES
                leaf = buffer[: min(LEAF_BYTES, self.size_bytes - offset)]
                _read_exactly(self._source, leaf, offset)
                self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES] = sha256(leaf).digest()
                if self._target is not None:
                    _copy(self._target, leaf, offset)
                self._leaves_done = next(self._done) + 1
        except BaseException:
            self._stopped = True
            raise


def _read_exactly(descriptor: int, buffer: memoryview, offset: int) -> None:
    while buffer:
        size_bytes = os.preadv(descriptor, [buffer], offset)
        if not size_bytes:
            raise EOFError
        buffer, offset = buffer[size_bytes:], offset + size_bytes


def _copy(descriptor: int, buffer: memoryview, offset: int) -> None:
    try:
        write_all_at(descriptor, buffer, offset)
    except OSError as error:
        raise store_error(error) from error
