"""The chain's list of what must not be offered, as a node follows it.

An entry counts here from the moment it is seen, which is earlier than the moment the contract names: nothing is gained
by serving for another hour what will be forbidden then, and an honest node stays clear of the line. The list is checked
against the contract's own hash of it and kept on disk (list_file.py), so a node that starts without its chain still
refuses what it knew; but it makes no paid offers until it has read the list again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self

from nearcast.chain.bindings.blacklist import EVERYWHERE, Blacklist, ListedEntry, Snapshot
from nearcast.chain.head import ChainHead
from nearcast.chain.offers import LIST_AGE_MAX_S, Listing, may_offer
from nearcast.clock import Clock
from nearcast.content.cid import SHA2_256, Cid
from nearcast.errors import ChainError, NearcastError, RefusedError
from nearcast.payments.list_file import KnownList, read_list, write_list

_log = logging.getLogger("nearcast.payments")
# IBlacklist's words for `reason`; a number that is not here came later.
REASONS: Final = {
    1: "a court order",
    2: "copyright",
    3: "malware",
    4: "privacy",
    128: "sexual abuse of children",
    129: "terrorism",
}


def reason_text(entry: ListedEntry) -> str:
    """Why an entry was listed, in words."""
    return REASONS.get(entry.reason, f"reason {entry.reason}")


def import_refusal(cid: Cid, entry: ListedEntry) -> RefusedError:
    """What whoever wants to import it is told."""
    return RefusedError(
        f"{cid} is on the chain's blacklist ({reason_text(entry)}), so this node does not take it in",
        fix="leave it out; what is listed can only be taken off the list by a vote",
    )


class BlacklistFollower:
    """Made by `open`. `regions`: those that the node has declared or is about to; entries of others do not concern it.

    `confirmations` blocks hold what is read, so that it is not reorganised away.
    """

    def __init__(
        self, blacklist: Blacklist, head: ChainHead, path: Path, clock: Clock, confirmations: int, regions: set[bytes]
    ) -> None:
        self._blacklist = blacklist
        self._head = head
        self._path = path
        self._clock = clock
        self._confirmations = confirmations
        self._regions = regions
        self._read_s: float | None = None  # by our own clock, since the start
        self._fails = False
        self._is_saved = True
        self._watchers: list[Callable[[], None]] = []
        self._take(KnownList(Snapshot(0, bytes(32), 0), 0, []))

    @classmethod
    async def open(
        cls,
        blacklist: Blacklist,
        head: ChainHead,
        path: Path,
        *,
        clock: Clock,
        confirmations: int = 1,
        regions: Iterable[bytes] = (),
    ) -> Self:
        """With what the file at `path` holds; a damaged one counts as none. StoreError when it cannot be read."""
        follower = cls(blacklist, head, path, clock, confirmations, set(regions))
        known = await asyncio.to_thread(read_list, path, blacklist.address)
        if known is not None:
            follower._take(known)
        return follower

    # --- what is listed ------------------------------------------------------------------------------------------

    def listed(self, digest: bytes) -> ListedEntry | None:
        """The entry that forbids content with this SHA-256 digest, if there is one."""
        for entry in self._entries.get(digest, ()):
            is_lapsed = 0 < entry.lapses_at <= self._known.read_at_s  # one that lapses later may have been ratified
            if not is_lapsed and (entry.scope == EVERYWHERE or entry.scope in self._regions):
                return entry
        return None

    def is_listed(self, cid: Cid) -> ListedEntry | None:
        """The same for a name. Content that is its own name has no hash that could be listed."""
        return self.listed(cid.digest) if self._entries and cid.hash_code == SHA2_256 else None

    def refuse(self, cid: Cid) -> None:
        """For imports. RefusedError for what is listed; from any thread."""
        entry = self.is_listed(cid)
        if entry is not None:
            raise import_refusal(cid, entry)

    def is_fresh(self) -> bool:
        """Whether the list was read lately enough to make offers, by this machine's clock."""
        return self._read_s is not None and self._clock.monotonic_s() - self._read_s < LIST_AGE_MAX_S

    def may_offer(self, digest: bytes, block_timestamp_s: int) -> bool:
        """Whether content may be offered on a block of this time. Stricter than the contract: see the top."""
        if not self.is_fresh() or self.listed(digest) is not None:
            return False
        listings = [
            Listing(entry.effective_at, entry.lapses_at)
            for entry in self._entries.get(digest, ())
            if entry.scope == EVERYWHERE or entry.scope in self._regions
        ]
        return may_offer(listings, list_read_at_s=self._known.read_at_s, block_timestamp_s=block_timestamp_s)

    @property
    def count(self) -> int:
        """How many entries the list has, those of other regions counted."""
        return self._known.snapshot.count

    def add_region(self, region: bytes) -> None:
        """Heed a region's entries from now on: before the node declares it. Two capital letters."""
        self._regions.add(region)
        self._told()

    def watch(self, changed: Callable[[], None]) -> None:
        """`changed()` is called in the event loop after each change of the list; it must be quick and not raise."""
        self._watchers.append(changed)

    # --- following -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follows the list until it is cancelled: one question at every poll of the head."""
        await self._head.first()
        while True:
            try:
                await self.sync()
                self._fails = False
            except NearcastError as error:
                if not self._fails:
                    _log.warning("the blacklist cannot be followed: %s", error.message)
                self._fails = True
            await self._head.next()

    async def sync(self) -> None:
        """Read the list if it changed. Raises ChainError, UnavailableError, StoreError; then nothing has changed."""
        newest = await self._head.first()
        block = await self._head.at(max(0, newest.number - self._confirmations + 1))
        if block is None:
            raise ChainError("the endpoint lacks a block below its own head")
        snapshot, entries = await self._blacklist.sync(block.number, self._known.snapshot)
        if snapshot.version < self._known.snapshot.version:
            raise ChainError(
                f"the endpoint's list is older than the one known: version {snapshot.version},"
                f" not {self._known.snapshot.version}",
                fix=f"ask another endpoint; if the chain was begun anew: rm {self._path}",
            )
        if entries is None:
            self._known.read_at_s = max(self._known.read_at_s, block.timestamp_s)
        else:
            has_changed = set(entries) != set(self._known.entries)
            self._take(KnownList(snapshot, block.timestamp_s, entries))  # in force at once, also if the disk is full
            self._is_saved = False
            if has_changed:
                self._told()
        if not self._is_saved:
            await asyncio.to_thread(write_list, self._path, self._blacklist.address, self._known)
            self._is_saved = True
        self._read_s = self._clock.monotonic_s()

    def _take(self, known: KnownList) -> None:
        entries: dict[bytes, list[ListedEntry]] = {}
        for entry in known.entries:
            entries.setdefault(entry.digest, []).append(entry)
        self._known, self._entries = known, entries  # whole, since imports ask from threads

    def _told(self) -> None:
        for changed in self._watchers:
            changed()
