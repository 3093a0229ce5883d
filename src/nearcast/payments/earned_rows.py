"""What stands in the ledger of what a node earns: rows, and nothing that acts.

Parts are 2^30 to a unit (payments/credit.py). Days are UTC, as text: 2026-11-21. Times are unix seconds.
"""

from dataclasses import dataclass, field

from nearcast.chain.vouchers import ChannelConfig
from nearcast.payments.messages import Promise
from nearcast.payments.owed import Lot


@dataclass(frozen=True, slots=True)
class EarnedChannel:
    """One channel that pays us: the newest voucher and what its credit stood at.

    `promise`: over 0 units where no voucher came yet. `capacity_units` is what the chain said at `checked_at_s`.
    `owed`: delivered and not paid for, the oldest first.
    """

    channel_id: bytes
    config: ChannelConfig
    promise: Promise
    promised_at_s: int
    capacity_units: int
    checked_at_s: int
    forgiven_parts: int = 0
    owed: tuple[Lot, ...] = ()


@dataclass(frozen=True, slots=True)
class SaleKey:
    """Whose books a sale goes into: `payer` is 20 bytes, `root` a CID as text, `role` origin, cache or own."""

    day: str
    payer: bytes
    root: str
    role: str


@dataclass(slots=True)
class Sale:
    """What was delivered and what was paid. What is paid today may have been delivered yesterday."""

    key: SaleKey
    delivered_bytes: int = 0
    delivered_parts: int = 0
    paid_parts: int = 0


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A voucher that is worth more than what was claimed with it so far. All amounts are cumulative."""

    channel_id: bytes
    config: ChannelConfig
    promise: Promise
    claimed_units: int

    @property
    def pending_units(self) -> int:
        return self.promise.units - self.claimed_units


@dataclass(frozen=True, slots=True)
class ClaimTransaction:
    """One transaction of ours, or of whoever claimed for us, that is final enough to be booked.

    `claims`: the channel and the total claimed of it so far, for each row that was not skipped. `settled_units`: what
    it paid out. `fee_wei`: what it cost us, 0 where another paid.
    """

    transaction: bytes
    at_s: int
    fee_wei: int
    settled_units: int = 0
    claims: tuple[tuple[bytes, int], ...] = field(default=())
