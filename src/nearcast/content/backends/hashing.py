"""An object's leaves, found by reading it once from its beginning to its end; nothing of it is kept."""

import asyncio
import hashlib
from collections.abc import Callable

from nearcast.content.backends.base import Backend, BackendObject
from nearcast.content.dag import FileDag, build_file_dag
from nearcast.content.leaves import LEAF_BYTES, LEAVES_MAX
from nearcast.errors import LimitError

HASH_INLINE_BYTES_MAX = 32 << 10  # hashing so little takes 30 us, less than handing it to a thread


class LeafDigests:
    """Bytes in, in pieces of any size; digests of leaves of LEAF_BYTES out."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._leaf = hashlib.sha256()
        self._missing_bytes = LEAF_BYTES
        self.size_bytes = 0

    def feed(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        rest = memoryview(piece)
        while rest:
            if not self._missing_bytes:
                self._end_leaf()
            part, rest = rest[: self._missing_bytes], rest[self._missing_bytes :]
            self._leaf.update(part)
            self._missing_bytes -= len(part)

    def digests(self) -> bytes:
        """All of them, joined. An empty file has one leaf, of no bytes. Nothing may be fed after it."""
        return bytes(self._digests) + self._leaf.digest()

    def _end_leaf(self) -> None:
        self._digests += self._leaf.digest()
        self._leaf = hashlib.sha256()
        self._missing_bytes = LEAF_BYTES


async def hash_object(backend: Backend, wanted: BackendObject, on_bytes: Callable[[int], None]) -> FileDag:
    """The file that an import would have made of it. `on_bytes` is told how much was read.

    Raises what `Backend.stream` raises, LimitError for a file of over LEAVES_MAX leaves.
    """
    if wanted.size_bytes > LEAVES_MAX * LEAF_BYTES:
        raise LimitError(f"{wanted.key} has over {LEAVES_MAX} leaves")
    leaves = LeafDigests()
    async for piece in backend.stream(wanted):
        if len(piece) <= HASH_INLINE_BYTES_MAX:
            leaves.feed(piece)
        else:
            await asyncio.to_thread(leaves.feed, piece)
        on_bytes(len(piece))
    return build_file_dag(leaves.digests(), leaves.size_bytes)
