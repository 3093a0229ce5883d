"""The chain's blacklist as a payer reads it: whole, so that no endpoint learns what was asked about.

It decides nothing about what is fetched or paid; it only tells whether an offer that was made to us is one that the
Court punishes. So it may be a minute old, it is not written down, and a list that is long is not read for it.
"""

import asyncio
from pathlib import Path
from typing import Final

from nearcast.chain.bindings.blacklist import Blacklist, ListedEntry, Snapshot
from nearcast.clock import Clock
from nearcast.payments.list_file import KnownList, read_list
from nearcast.tasks import in_thread

LOOK_AGAIN_S: Final = 60  # guess; no entry counts sooner than an hour after it was made
# What is read beside a download: 20 requests of 100 kB (bindings.bound.PAGE_ENTRIES). A node on this machine keeps a
# longer one up to date, and its file is used.
ENTRIES_MAX: Final = 10_000


class ListReader:
    """`path`: the file of a node on this machine, if there is one; it is only read."""

    def __init__(self, blacklist: Blacklist, path: Path, clock: Clock) -> None:
        self._blacklist = blacklist
        self._path = path
        self._clock = clock
        self._reading = asyncio.Lock()
        self._snapshot: Snapshot | None = None
        self._entries: dict[bytes, list[ListedEntry]] = {}
        self._looked_at_s: float | None = None

    async def entries_of(self, digest: bytes) -> list[ListedEntry]:
        """The entries of content with this SHA-256 digest, whatever their scopes and times.

        Raises ChainError, UnavailableError, StoreError.
        """
        async with self._reading:
            now_s = self._clock.monotonic_s()
            if self._looked_at_s is None or now_s - self._looked_at_s >= LOOK_AGAIN_S:
                await self._look()
                self._looked_at_s = now_s
        return self._entries.get(digest, [])

    async def _look(self) -> None:
        if self._snapshot is None:
            known = await in_thread(read_list, self._path, self._blacklist.address)
            self._take(known or KnownList(Snapshot(0, bytes(32), 0), 0, []))
        head = await self._blacklist.rpc.head()
        newest = await self._blacklist.snapshot(block=head)
        if newest != self._snapshot and newest.count <= ENTRIES_MAX:
            snapshot, entries = await self._blacklist.sync(head, self._snapshot)
            if entries is not None:
                self._take(KnownList(snapshot, 0, entries))

    def _take(self, known: KnownList) -> None:
        entries: dict[bytes, list[ListedEntry]] = {}
        for entry in known.entries:
            entries.setdefault(entry.digest, []).append(entry)
        self._snapshot, self._entries = known.snapshot, entries
