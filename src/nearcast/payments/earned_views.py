"""What a node earned, added up by peer, by object or by day. Pure: the ledger's rows in, a table out.

Invariants: a column's rows add up to its total, to the unit; over all time, what vouchers promised is what is pending
and what was claimed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from nearcast.payments.earned_rows import ClaimTransaction, EarnedChannel, Sale
from nearcast.payments.rounding import rounded_units


class By(StrEnum):
    """What a table's rows are."""

    PEER = "peer"
    OBJECT = "object"
    DAY = "day"


@dataclass(slots=True)
class EarnedLine:
    """One row. `name`: a payer's address in hexadecimal, a CID ("" for what is not known), or a day.

    What cannot be told apart that way is None: a claim is for a channel and not for an object, and a settlement for
    all channels at once.
    """

    name: str
    delivered_bytes: int = 0
    delivered_parts: int = 0
    paid_parts: int = 0
    earned_units: int = 0  # the paid parts in whole units
    pending_units: int | None = None
    claimed_units: int | None = None
    settled_units: int | None = None
    fee_wei: int | None = None


@dataclass(frozen=True, slots=True)
class Earnings:
    """A table and its totals. `pending_units` is of now; everything else since `since_day` ("": ever)."""

    by: By
    since_day: str
    lines: Sequence[EarnedLine]
    total: EarnedLine
    channels_pending: int
    roles: dict[str, list[str]] = field(default_factory=dict)  # of each object: origin, cache, own


def earnings(
    by: By,
    sales: Iterable[Sale],
    channels: Sequence[EarnedChannel],
    claims: Sequence[ClaimTransaction],
    *,
    since_day: str = "",
) -> Earnings:
    """The table of what was delivered and paid since that day (UTC). `channels` and `claims` are all that there are."""
    lines: dict[str, EarnedLine] = {}
    roles: dict[str, list[str]] = {}
    for sale in sales:
        if sale.key.day >= since_day:
            _add_sale(lines, roles, by, sale)
    total = EarnedLine("total", pending_units=0, claimed_units=0, settled_units=0, fee_wei=0)
    _add_claims(lines, by, channels, claims, since_day, total)
    pending = _pending(channels, claims)
    for channel in channels:
        units = pending[channel.channel_id]
        total.pending_units = (total.pending_units or 0) + units
        if by is By.PEER and units:
            line = _line(lines, channel.config.payer.hex())
            line.pending_units = (line.pending_units or 0) + units
    rows = sorted(lines.values(), key=lambda line: (line.name if by is By.DAY else "", -line.paid_parts, line.name))
    for line, units in zip(rows, rounded_units([line.paid_parts for line in rows]), strict=True):
        line.earned_units = units
        total.delivered_bytes += line.delivered_bytes
        total.delivered_parts += line.delivered_parts
        total.paid_parts += line.paid_parts
        total.earned_units += units
    return Earnings(by, since_day, rows, total, sum(units > 0 for units in pending.values()), roles)


def _add_sale(lines: dict[str, EarnedLine], roles: dict[str, list[str]], by: By, sale: Sale) -> None:
    names = {By.PEER: sale.key.payer.hex(), By.OBJECT: sale.key.root, By.DAY: sale.key.day}
    line = _line(lines, names[by])
    line.delivered_bytes += sale.delivered_bytes
    line.delivered_parts += sale.delivered_parts
    line.paid_parts += sale.paid_parts
    if sale.key.role not in roles.setdefault(sale.key.root, []):
        roles[sale.key.root].append(sale.key.role)


def _add_claims(
    lines: dict[str, EarnedLine],
    by: By,
    channels: Sequence[EarnedChannel],
    claims: Sequence[ClaimTransaction],
    since_day: str,
    total: EarnedLine,
) -> None:
    """What each transaction claimed more than the ones before it."""
    payers = {channel.channel_id: channel.config.payer.hex() for channel in channels}
    before: dict[bytes, int] = {}
    for done in claims:
        day = f"{datetime.fromtimestamp(done.at_s, UTC):%Y-%m-%d}"
        is_counted = day >= since_day
        for channel_id, units in done.claims:
            more_units = max(0, units - before.get(channel_id, 0))
            before[channel_id] = max(units, before.get(channel_id, 0))
            if is_counted:
                total.claimed_units = (total.claimed_units or 0) + more_units
                if by is not By.OBJECT:
                    line = _line(lines, day if by is By.DAY else payers.get(channel_id, ""))
                    line.claimed_units = (line.claimed_units or 0) + more_units
        if is_counted:
            total.settled_units = (total.settled_units or 0) + done.settled_units
            total.fee_wei = (total.fee_wei or 0) + done.fee_wei
            if by is By.DAY:
                line = _line(lines, day)
                line.settled_units = (line.settled_units or 0) + done.settled_units
                line.fee_wei = (line.fee_wei or 0) + done.fee_wei


def _pending(channels: Sequence[EarnedChannel], claims: Sequence[ClaimTransaction]) -> dict[bytes, int]:
    claimed: dict[bytes, int] = {}
    for done in claims:
        for channel_id, units in done.claims:
            claimed[channel_id] = max(units, claimed.get(channel_id, 0))
    return {
        channel.channel_id: max(0, channel.promise.units - claimed.get(channel.channel_id, 0)) for channel in channels
    }


def _line(lines: dict[str, EarnedLine], name: str) -> EarnedLine:
    return lines.setdefault(name, EarnedLine(name))
