"""Content on the chain's blacklist: status 451 (RFC 7725), with the reason, whoever asks and in whatever form.

The listed hash may be that of the root, of any block on the way to what was asked for, of that itself, or of one of a
file's leaves: none of these bytes leave. (The chain's room takes a while to import, so that is left to who follows it.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from nearcast.content.cid import Cid
from nearcast.content.nodes import FileNode, RawLeaf, children
from nearcast.content.reader import Resolved
from nearcast.content.store import Store
from nearcast.errors import RefusedError

if TYPE_CHECKING:
    from nearcast.chain.bindings.blacklist import ListedEntry

STATUS = 451
HEADLINE = "Not available here"
# RFC 7725 section 4: who blocks it. That is this node, whose start page is at /.
BLOCKED_BY = ("link", '</>; rel="blocked-by"')
_LISTED_BY = {
    "governance": "by a vote of the network",
    "guardian": "by the network's guardian, in an emergency",
    "region": "by the body of its region",
}


class Blacklist(Protocol):
    """What the gateway asks: payments.listing.BlacklistFollower."""

    @property
    def count(self) -> int: ...

    def listed(self, digest: bytes) -> "ListedEntry | None": ...

    def is_listed(self, cid: Cid) -> "ListedEntry | None": ...


class ListedError(RefusedError):
    """What was asked for is, or holds, something that is on the chain's blacklist."""

    def __init__(self, about: Cid, entry: "ListedEntry") -> None:
        region = _region(entry)
        where = "everywhere" if region is None else f"in the region {region}"
        super().__init__(
            f"{about} is on the blacklist of the chain that this node follows, because of {_reason(entry)}: listed"
            f" {_LISTED_BY[entry.source.name.lower()]}, {where}, with effect from {_moment(entry.effective_at)}",
            fix="an entry can only be changed by a vote; to see it: nearcast blacklist check CID",
        )
        self.entry = entry

    def fields(self) -> dict[str, Any]:
        """For programs; times are unix seconds, null for one that does not lapse."""
        entry = self.entry
        return {
            "digest": entry.digest.hex(),
            "reason": entry.reason,
            "reason_text": _reason(entry),
            "region": _region(entry),
            "listed_by": entry.source.name.lower(),
            "effective_at": entry.effective_at,
            "lapses_at": entry.lapses_at or None,
        }


@dataclass(frozen=True, slots=True)
class ListCheck:
    """What Contents calls; each method raises ListedError. Without a list, or with an empty one, it costs nothing."""

    blacklist: Blacklist | None
    store: Store

    def name(self, cid: Cid) -> None:
        """One name."""
        if self.blacklist is not None:
            entry = self.blacklist.is_listed(cid)
            if entry is not None:
                raise ListedError(cid, entry)

    def resolved(self, found: Resolved) -> None:
        """What a path led to, and the way there."""
        if self.blacklist is not None and self.blacklist.count:
            for cid, _ in found.way:
                self.name(cid)
            self.name(found.cid)

    def file(self, cid: Cid, node: FileNode | RawLeaf) -> None:
        """A file's leaves, as far as they are known here."""
        if self.blacklist is None or not self.blacklist.count or isinstance(node, RawLeaf):
            return
        for digest in self._digests(cid, node):
            entry = self.blacklist.listed(digest)
            if entry is not None:
                raise ListedError(cid, entry)

    def _digests(self, cid: Cid, node: FileNode) -> Iterator[bytes]:
        table = self.store.leaf_table(cid)
        if table is None:
            return (child.digest for child in children(node))
        return (table.digest(index) for index in range(len(table)))


def _region(entry: "ListedEntry") -> str | None:
    """None: everywhere."""
    return entry.scope.decode("ascii", "replace") if any(entry.scope) else None


def _reason(entry: "ListedEntry") -> str:
    from nearcast.payments.listing import reason_text

    return reason_text(entry)


def _moment(unix_s: int) -> str:
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):  # the contract's 40 bits reach further than the calendar
        return "a time far away"
