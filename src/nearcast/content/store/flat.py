"""Flat files on their way into the store: synced under a temporary name, then renamed, then committed.

Before the first rename an intent names the roots. If the crash comes before the commit, the next opening finds roots
that the index does not know and unlinks their files. Renames happen under the index's lock, as unlinks do, so a name
that was just given is never taken away by a removal that came before it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from nearcast.content.store.core import Core
from nearcast.content.store.disk import sync_folder, write_all, write_synced
from nearcast.content.store.rows import ABSENT

SYNCS_AT_ONCE = 8  # filesystems with a journal commit the syncs of several threads together
INTENT_SUFFIX = ".intent"


class FlatFiles:
    """The files of one batch."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._moves: list[tuple[Path, bytes, str]] = []
        self._done: list[tuple[bytes, str]] = []
        self._intent: Path | None = None

    def add(self, key: bytes, data: Path, outboard: list[bytes]) -> None:
        """A finished data file, and the outboard to write beside it, if any."""
        self._moves.append((data, key, ".data"))
        if outboard:
            self.add_outboard(key, outboard)

    def add_part(self, key: bytes, size_bytes: int) -> None:
        """An empty, sparse file of this size."""
        path = self._core.layout.temporary / f"{uuid4().hex}.part"
        self._moves.append((path, key, ".part"))
        path.touch()
        os.truncate(path, size_bytes)

    def add_outboard(self, key: bytes, parts: list[bytes]) -> None:
        path = self._core.layout.temporary / f"{uuid4().hex}.dag"
        self._moves.append((path, key, ".dag"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            for part in parts:
                write_all(descriptor, part)
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Makes the files' bytes durable. Readers and other writers go on meanwhile."""
        if self._moves:
            with ThreadPoolExecutor(min(SYNCS_AT_ONCE, len(self._moves))) as threads:
                list(threads.map(_sync, [path for path, _, _ in self._moves]))

    def rename(self) -> None:
        """Gives the files their names; call it under the index's lock."""
        if not self._moves:
            return
        self._intent = write_intent(self._core.layout.temporary, [key for _, key, _ in self._moves])
        folders = set()
        for path, key, suffix in self._moves:
            target = self._core.layout.object(key, suffix)
            if target.parent not in folders:
                make_folder(target.parent)
                folders.add(target.parent)
            self._core.trash.reclaim((key, suffix))
            path.rename(target)
            self._done.append((key, suffix))
        for folder in folders:
            sync_folder(folder)

    def settle(self) -> None:
        """The index knows them."""
        self._core.descriptors.forget(list(self._done))
        if self._intent is not None:
            self._intent.unlink(missing_ok=True)

    def undo(self) -> None:
        """Unlinks what was not committed, unless an older object of the same name owns it."""
        for path, _, _ in self._moves:
            path.unlink(missing_ok=True)
        with self._core.index.lock:
            for key, suffix in self._done:
                row = self._core.lookup.fresh_row(key)
                if row is None or row.place == ABSENT:
                    self._core.layout.object(key, suffix).unlink(missing_ok=True)
        if self._intent is not None:
            self._intent.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_intent(temporary: Path, keys: list[bytes]) -> Path:
    """A durable note of the roots whose files are about to get their names."""
    path = temporary / f"{uuid4().hex}{INTENT_SUFFIX}"
    write_synced(path, b"".join(key.hex().encode() + b"\n" for key in dict.fromkeys(keys)))
    sync_folder(temporary)
    return path


def make_folder(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir()
        sync_folder(folder.parent)
