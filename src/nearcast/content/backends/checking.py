"""What of a backend is not as it was when it was read: by its versions, or by reading everything again."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice

from nearcast.content.backends.base import Backend, BackendObject
from nearcast.content.backends.hashing import hash_object
from nearcast.content.backends.index import BackendIndex, KnownBackend, KnownFile
from nearcast.content.backends.tree import is_hidden
from nearcast.errors import ChangedError, NotFoundError

NAMED_MAX = 1000  # keys that a report names; it counts them all


@dataclass(slots=True)
class Difference:
    """Keys of one sort: how many, and the first of them."""

    count: int = 0
    keys: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.count += 1
        if len(self.keys) < NAMED_MAX:
            self.keys.append(key)


@dataclass(slots=True)
class Checked:
    """`new` is only found where the backend lists what it has."""

    files: int = 0
    changed: Difference = field(default_factory=Difference)
    missing: Difference = field(default_factory=Difference)
    new: Difference = field(default_factory=Difference)

    @property
    def is_same(self) -> bool:
        return not (self.changed.count or self.missing.count or self.new.count)


async def check_backend(
    index: BackendIndex,
    known: KnownBackend,
    backend: Backend,
    *,
    read_all: bool = False,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Checked:
    """Compares versions, or (`read_all`) the bytes themselves. Raises what the backend raises.

    What is missing, or was seen to be other bytes, is served no more until the backend is added again. What only has
    another version goes on being served: its hash tells on the way whether it is right.
    """
    checking = _Checking(index, backend, read_all, on_bytes)
    if known.is_listed and known.only is None:
        await checking.by_listing(known)
    else:
        await checking.one_by_one(known)
    return checking.found


class _Checking:
    def __init__(self, index: BackendIndex, backend: Backend, read_all: bool, on_bytes: Callable[[int], None]) -> None:
        self._index = index
        self._backend = backend
        self._read_all = read_all
        self._on_bytes = on_bytes
        self.found = Checked()

    async def by_listing(self, known: KnownBackend) -> None:
        met: set[int] = set()
        async with aclosing(self._backend.entries()) as entries:
            async for entry in entries:
                if not isinstance(entry, BackendObject) or (not known.hidden and is_hidden(entry.key)):
                    continue
                old = self._index.file_at(known.backend_id, entry.key)
                if old is None:
                    self.found.new.add(entry.key)
                    continue
                met.add(old.file_id)
                await self._compare(old, entry)
        for old in self._index.files(known.backend_id):
            if old.file_id not in met:
                self._lost(old)

    async def one_by_one(self, known: KnownBackend) -> None:
        files = self._index.files(known.backend_id)
        while some := list(islice(files, 1000)):
            for old in some:
                try:
                    await self._compare(old, await self._backend.find(old.object.key))
                except NotFoundError:
                    self._lost(old)

    async def _compare(self, old: KnownFile, now: BackendObject) -> None:
        self.found.files += 1
        if old.is_changed or not (await self._has_same_bytes(old, now) if self._read_all else old.object == now):
            self.found.changed.add(old.object.key)

    async def _has_same_bytes(self, old: KnownFile, now: BackendObject) -> bool:
        try:
            is_same = (await hash_object(self._backend, now, self._on_bytes)).root == old.cid
        except ChangedError:
            is_same = False
        if not is_same:
            self._mark(old)
        return is_same

    def _lost(self, old: KnownFile) -> None:
        self.found.missing.add(old.object.key)
        self._mark(old)

    def _mark(self, old: KnownFile) -> None:
        if not old.is_changed:
            self._index.mark_changed(old.file_id)
