"""A node that lies: it says that it has a thing, and sends other bytes, or none. Everything else of it is honest."""

from collections.abc import Callable
from typing import Any

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import RAW, Cid
from nearcast.content.store import Store


class LyingStore:
    """A store to serve from. `withholds`: leaves are missing after all; else each leaf has one wrong bit."""

    def __init__(self, store: Store, *, withholds: bool) -> None:
        self._store = store
        self._withholds = withholds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get_block(self, cid: Cid) -> bytes:
        """As Store.get_block, of leaves not quite."""
        data = self._store.get_block(cid)
        return self._lie(cid, lambda: data) if cid.codec == RAW else data

    def read_file(self, cid: Cid, start: int, end: int) -> bytes:
        """As Store.read_file, not quite."""
        return self._lie(cid, lambda: self._store.read_file(cid, start, end))

    def _lie(self, cid: Cid, read: Callable[[], bytes]) -> bytes:
        if self._withholds:
            raise MissingBlockError(cid)
        data = read()
        return bytes([data[0] ^ 1]) + data[1:] if data else data
