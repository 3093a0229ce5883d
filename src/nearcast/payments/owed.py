"""Which objects a payment pays for: what was delivered first is paid first.

A voucher names an amount and no object. The payee keeps, for each channel, what it delivered and was not paid for yet,
in order, and takes every payment from the front. So the sum over objects is the sum of the vouchers, to the part.

What was forgiven is kept aside for a while: a payer that pays for it later, because its voucher was only late, pays for
these objects. What is paid beyond all that is booked under no object: the node has forgotten what it was (a crash).

Pure. Bounded: more than LOTS_MAX unpaid objects are booked as one that has no name.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOTS_MAX: Final = 1_024  # 100 kB in memory, 80 kB in the ledger; a window of 64 MiB is as many objects of 64 KiB
UNNAMED: Final = ""  # the root under which stands what is not known, or too many to keep apart
UNKNOWN_ROLE: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Lot:
    """So many parts for one object: `root` is its CID as text, `role` what this node is for it."""

    root: str
    role: str
    parts: int


class Owed:
    """What was delivered on one channel and is not paid for."""

    def __init__(self, lots: Iterable[Lot] = ()) -> None:
        self._lots = deque(lots)
        self._forgiven: deque[Lot] = deque(maxlen=LOTS_MAX)

    @property
    def parts(self) -> int:
        return sum(lot.parts for lot in self._lots)

    def lots(self) -> tuple[Lot, ...]:
        """What is unpaid, the oldest first."""
        return tuple(self._lots)

    def deliver(self, root: str, role: str, parts: int) -> None:
        """So many parts more are owed, for this object."""
        last = self._lots[-1] if self._lots else None
        if last is not None and (last.root, last.role) == (root, role):
            self._lots[-1] = Lot(root, role, last.parts + parts)
        elif last is not None and len(self._lots) >= LOTS_MAX:
            self._lots[-1] = Lot(UNNAMED, UNKNOWN_ROLE, last.parts + parts)
        else:
            self._lots.append(Lot(root, role, parts))

    def forgive(self) -> None:
        """Nobody owes anything any more."""
        self._forgiven.extend(self._lots)
        self._lots.clear()

    def pay(self, parts: int) -> tuple[list[Lot], int]:
        """What so many parts pay for, and how many of them are for more than is known to have been delivered."""
        paid: list[Lot] = []
        for lots in (self._lots, self._forgiven):
            parts = _take(lots, parts, paid)
        return paid, parts


def _take(lots: deque[Lot], parts: int, paid: list[Lot]) -> int:
    """Move up to `parts` from the front of `lots` to `paid`; how many are left."""
    while parts > 0 and lots:
        lot = lots.popleft()
        if lot.parts > parts:
            lots.appendleft(Lot(lot.root, lot.role, lot.parts - parts))
        taken = min(lot.parts, parts)
        paid.append(Lot(lot.root, lot.role, taken))
        parts -= taken
    return parts
