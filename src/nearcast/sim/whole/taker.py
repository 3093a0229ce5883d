"""A payer that takes and does not pay: after so many units on a channel its vouchers stop. All else of it is honest.

To itself it is a payer whose ledger will not have any more today, so that nothing of it is promised and never told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Final

from nearcast.payments.promising import Promising
from nearcast.payments.spent import Signed, Signing
from nearcast.sim.whole.watching import WHO

ROLE: Final = "taker"
PAID_UNITS: Final = 6_000  # by every other taker: 12 MiB at an origin's price, so that its window has grown before


def paid_units_max(name: str) -> int:
    """What this node signs for on one channel; the first taker and every other one sign for nothing."""
    return PAID_UNITS if name.endswith(("1", "3", "5", "7", "9")) else 0


@contextmanager
def taking() -> Iterator[None]:
    """While the block runs, nodes whose name says so are takers."""
    write = Promising.write

    @wraps(write)
    def write_less(self: Promising, signing: Signing) -> Signed:
        name = WHO.get()
        if name.startswith(ROLE):
            signing = replace(signing, units=min(signing.units, paid_units_max(name)))
        return write(self, signing)

    Promising.write = write_less  # type: ignore[method-assign] # put back below
    try:
        yield
    finally:
        Promising.write = write  # type: ignore[method-assign]
