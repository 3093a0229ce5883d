"""The blacklist: what nodes must not offer, read whole and checked against the contract's own hash of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from nearcast.chain.bindings.bound import Bound
from nearcast.chain.eip712 import keccak, uint_word
from nearcast.chain.rpc import BlockTag
from nearcast.chain.transaction_signing import Call
from nearcast.errors import ChainError

EVERYWHERE = bytes(2)  # the scope that is no region
_LANES = 4  # MultisetHash.sol


class ListedBy(IntEnum):
    """IBlacklist.Source."""

    GOVERNANCE = 0
    GUARDIAN = 1
    REGION = 2


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """One live entry: content by the SHA-256 of its multihash, forbidden in `scope` from `effective_at` on.

    Times are unix seconds; `lapses_at` 0: never.
    """

    digest: bytes
    scope: bytes
    effective_at: int
    lapses_at: int
    reason: int
    source: ListedBy

    def counts_at(self, timestamp_s: int) -> bool:
        """Blacklist.countsAt: whether it forbids an offer on a block of this time, as the entry stands."""
        return self.effective_at <= timestamp_s and not 0 < self.lapses_at <= timestamp_s

    def hash(self) -> bytes:
        """Blacklist.listingHash."""
        numbers = (self.effective_at, self.lapses_at, self.reason, int(self.source))
        words = b"".join(uint_word(number, 256) for number in numbers)
        return keccak(self.digest + self.scope.ljust(32, b"\0") + words)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The list's state: a number that every change raises, the hash of all live entries, and how many there are."""

    version: int
    root: bytes
    count: int


def root_of(entries: Iterable[ListedEntry]) -> bytes:
    """The additive hash of a set of entries, as the contract keeps it (MultisetHash.sol says what that assumes)."""
    sums = [0] * _LANES
    for entry in entries:
        element = entry.hash()
        for lane in range(_LANES):
            sums[lane] += int.from_bytes(keccak(element + uint_word(lane, 256)))
    return keccak(b"".join((total % (1 << 256)).to_bytes(32) for total in sums))


class Blacklist(Bound):
    """Blacklist."""

    artifact_name = "Blacklist"

    async def snapshot(self, *, block: BlockTag = "latest") -> Snapshot:
        """The list's version, root and count."""
        return Snapshot(*await self.read("snapshot", block=block))

    async def sync(self, block: int, known: Snapshot | None = None) -> tuple[Snapshot, list[ListedEntry] | None]:
        """The whole list as of one block; None in its place when the version is still the `known` one's.

        Raises ChainError when the entries do not hash to the contract's root: some were left out or made up.
        """
        snapshot = await self.snapshot(block=block)
        if snapshot == known:
            return snapshot, None
        rows = await self.pages(snapshot.count, "entries", block=block)
        entries = [_entry(row) for row in rows]
        if len(entries) != snapshot.count or root_of(entries) != snapshot.root:
            raise ChainError("the endpoint's list does not meet the contract's root", fix="ask another one with --rpc")
        return snapshot, entries

    async def is_listed(self, digest: bytes, region: bytes, timestamp: int) -> bool:
        """Whether content counted as listed in a region (or EVERYWHERE) at a time."""
        return bool(await self.read("listedAt", digest, region, timestamp))

    async def guardian(self) -> bytes:
        """Who may list in an emergency."""
        return bytes(await self.read("guardian"))

    async def regional_body(self, region: bytes) -> bytes:
        """Who decides for a region; 20 zero bytes for nobody."""
        return bytes(await self.read("regionalBody", region))

    def add_emergency(self, digest: bytes, scope: bytes, reason: int, *, intent: str = "") -> Call:
        """The guardian lists content until it lapses or governance ratifies it."""
        return self.write("addEmergency", digest, scope, reason, intent=intent)

    def add_regional(self, digest: bytes, region: bytes, reason: int, *, intent: str = "") -> Call:
        """A regional body lists content in its region."""
        return self.write("addRegional", digest, region, reason, intent=intent)

    def remove_regional(self, digest: bytes, region: bytes, *, intent: str = "") -> Call:
        """A regional body removes an entry of its own."""
        return self.write("removeRegional", digest, region, intent=intent)

    def prune(self, digest: bytes, scope: bytes, *, intent: str = "") -> Call:
        """Anybody takes a lapsed entry out of the enumeration."""
        return self.write("prune", digest, scope, intent=intent)

    def add(self, digest: bytes, scope: bytes, reason: int) -> Call:
        """For a proposal of governance."""
        return self.write("add", digest, scope, reason)

    def remove(self, digest: bytes, scope: bytes) -> Call:
        """For a proposal of governance."""
        return self.write("remove", digest, scope)

    def ratify(self, digest: bytes, scope: bytes) -> Call:
        """For a proposal of governance: an emergency entry stays for good."""
        return self.write("ratify", digest, scope)


def _entry(row: tuple[bytes, bytes, int, int, int, int]) -> ListedEntry:
    digest, scope, effective_at, lapses_at, reason, source = row
    return ListedEntry(digest, scope, effective_at, lapses_at, reason, ListedBy(source))
