"""What may be spent: on a GiB, on one fetch, on one day. Pure.

A cap is not only held against what was spent but against what was asked for as well: whoever asks a node for bytes that
it could not pay for has cheated it. So whatever is asked for is set aside until it is here, in every pot that it would
be paid out of: the fetch's, the day's, the channel's.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from nearcast.payments.credit import PART_BITS, parts_of


@dataclass(frozen=True, slots=True)
class Budget:
    """The payer's own bounds, in units (1e-6 USDC). `deposit_units`: what a new channel gets when nothing asks more."""

    max_price_units_per_gib: int
    fetch_cap_units: int
    day_cap_units: int
    deposit_units: int


def day_text(unix_s: float) -> str:
    """The day (UTC) that a moment belongs to, like 2026-11-21."""
    return datetime.fromtimestamp(unix_s, UTC).date().isoformat()


@dataclass(slots=True)
class Pot:
    """Money with an end. `left_parts` says how many parts are not spent; some of them may be set aside by holders."""

    left_parts: Callable[[], int]
    _aside: dict[Hashable, int] = field(default_factory=dict)

    def free_parts(self, holder: Hashable) -> int:
        """What `holder` may set aside in all, what it has set aside already counted. Never below 0."""
        others = sum(self._aside.values()) - self._aside.get(holder, 0)
        return max(0, self.left_parts() - others)

    def set_aside(self, holder: Hashable, parts: int) -> None:
        """From now on `holder` has so many parts set aside here, in place of what it had; with 0 it is forgotten."""
        if parts > 0:
            self._aside[holder] = parts
        else:
            self._aside.pop(holder, None)

    def spend(self, holder: Hashable, parts: int) -> None:
        """So many of the holder's parts are spent now: they are aside no more. `left_parts` knows of them by itself."""
        self.set_aside(holder, self._aside.get(holder, 0) - parts)


def set_aside(pots: Sequence[Pot], holder: Hashable, parts: int) -> bool:
    """Set so much aside in every pot, or change nothing and say False where one of them has too little."""
    if any(parts > pot.free_parts(holder) for pot in pots):
        return False
    for pot in pots:
        pot.set_aside(holder, parts)
    return True


class Allowance:
    """What one fetch may cost, over all nodes that it pays. One object, handed to every `Paying` of the fetch."""

    def __init__(self, cap_units: int) -> None:
        self.cap_units = cap_units
        self.spent_parts = 0
        self.pot = Pot(lambda: (self.cap_units << PART_BITS) - self.spent_parts)

    def spend(self, holder: Hashable, size_bytes: int, price_units_per_gib: int) -> None:
        """So many bytes were verified."""
        parts = parts_of(size_bytes, price_units_per_gib)
        self.spent_parts += parts
        self.pot.spend(holder, parts)


class Backer(Protocol):
    """Somebody who is expected to pay for what is bought (payments/tab.py)."""

    @property
    def aside_parts(self) -> int:
        """What was set aside for what is being bought, and not spent yet."""

    def has_backing(self) -> bool:
        """Whether any more may be spent for it."""

    def bring(self, parts: int) -> None:
        """So much was spent for it."""


class BackedAllowance(Allowance):
    """What one fetch may cost that is made for others: nothing, unless one of those who wait for it now is good for it.

    `backers`: who waits; None among them: somebody for whom it may cost as much as anything.
    """

    def __init__(self, cap_units: int, backers: Callable[[], Sequence[Backer | None]]) -> None:
        super().__init__(cap_units)
        self._backers = backers
        self._last: Backer | None = None  # what comes after it has gone was asked for while it was here
        self.pot = Pot(lambda: (self.cap_units << PART_BITS) - self.spent_parts if self._backing() else 0)

    def spend(self, holder: Hashable, size_bytes: int, price_units_per_gib: int) -> None:
        """Charged to who waits for most: two who ask at a time each bear about their own half."""
        backers = [backer for backer in self._backing() if backer is not None]
        super().spend(holder, size_bytes, price_units_per_gib)
        if backers:
            charged = max(backers, key=lambda backer: backer.aside_parts)
            charged.bring(parts_of(size_bytes, price_units_per_gib))

    def _backing(self) -> Sequence[Backer | None]:
        """Those who are good for more."""
        present = self._backers() or [self._last]
        self._last = present[-1]
        return [backer for backer in present if backer is None or backer.has_backing()]


@dataclass(slots=True)
class Day:
    """The day's cap as one process sees it: what the ledger said last, and what is verified and not signed for yet.

    What other processes spend meanwhile shows at the next voucher; the ledger itself never lets the cap be passed.
    """

    cap_units: int
    day: str = ""
    signed_units: int = 0
    unsigned_parts: int = 0

    def left_parts(self, today: str) -> int:
        """What is left on `today`; may be negative."""
        signed_units = self.signed_units if today == self.day else 0
        return (self.cap_units - signed_units << PART_BITS) - self.unsigned_parts

    def note(self, day: str, signed_units: int) -> None:
        """The ledger's newest word; an older one may come late."""
        self.signed_units = max(signed_units, self.signed_units) if day == self.day else signed_units
        self.day = day
