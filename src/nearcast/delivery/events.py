"""What a download tells while it runs, what it is asked for, and what it says at the end."""

from dataclasses import dataclass, field
from typing import TypeAlias

from nearcast.content.cid import Cid


@dataclass(frozen=True, slots=True)
class Wanted:
    """A whole DAG, what a path in it leads to, or a byte range (start, end not included) of the file there.

    `nodes_only`: the dag-pb nodes of the target, no leaves. `shallow`: only what it takes to resolve the path and to
    list or describe its target: a file's root, a directory's own blocks.
    """

    root: Cid
    path: str = ""
    byte_range: tuple[int, int] | None = None
    nodes_only: bool = False
    shallow: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """How much there is to fetch, and how much of it is here. May come again when more is known: the latest counts."""

    total_bytes: int
    have_bytes: int


@dataclass(frozen=True, slots=True)
class LeafVerified:
    """Leaf `index` of the file `cid` has arrived and hashes to its name."""

    source: str
    size_bytes: int
    cid: Cid
    index: int


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A source takes part no more. A liar sent what does not verify, or more than was allowed."""

    source: str
    reason: str
    liar: bool


@dataclass(frozen=True, slots=True)
class SourceJoined:
    source: str


@dataclass(frozen=True, slots=True)
class Hiring:
    """A source is about to be paid, before a channel is opened or a voucher signed: what it asks, what all of the thing
    would come to (by the size it tells; None where it tells none), and what the payer allows."""

    source: str
    price_units_per_gib: int
    expected_units: int | None
    max_price_units_per_gib: int
    fetch_cap_units: int
    left_today_units: int


@dataclass(frozen=True, slots=True)
class Depositing:
    """So much is about to leave the wallet, into a channel to a source; `opens`: into a new one."""

    source: str
    units: int
    opens: bool


@dataclass(frozen=True, slots=True)
class Paying:
    """A source's first offer was accepted: from now on every verified block of it is paid."""

    source: str
    price_units_per_gib: int
    channel_id: bytes


FetchEvent: TypeAlias = Planned | LeafVerified | SourceFailed | SourceJoined | Hiring | Depositing | Paying


@dataclass(slots=True)
class FetchReport:
    """`bytes_verified` and `bytes_by_source` count blocks of all kinds, nodes too; `duplicate_bytes` what came twice;
    `reused_bytes` what was found in the store under another name or from an earlier try.

    `paid_bytes_by_source` and `paid_parts_by_source` (2^30 parts to a unit, payments/credit.py) have the paid sources
    only; what came twice from them was paid, too. Where one group of sources was tried after the other, all of it
    counts over all tries; `liars` and `failed` are those of the last one.
    """

    target: Cid
    bytes_verified: int = 0
    bytes_by_source: dict[str, int] = field(default_factory=dict)
    reused_bytes: int = 0
    duplicate_bytes: int = 0
    duration_s: float = 0.0
    liars: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    paid_bytes_by_source: dict[str, int] = field(default_factory=dict)
    paid_parts_by_source: dict[str, int] = field(default_factory=dict)

    def count(self, source: str, size_bytes: int) -> None:
        self.bytes_verified += size_bytes
        self.bytes_by_source[source] = self.bytes_by_source.get(source, 0) + size_bytes

    def count_paid(self, source: str, size_bytes: int, parts: int) -> None:
        """What was paid to a source, beside what is counted of it already."""
        self.paid_bytes_by_source[source] = self.paid_bytes_by_source.get(source, 0) + size_bytes
        self.paid_parts_by_source[source] = self.paid_parts_by_source.get(source, 0) + parts
