"""When the payer signs its next voucher. Pure."""

from typing import Final

from nearcast.payments.credit import PayerAccount

# A pause between two blocks that is longer says that no more is on its way: then what is due is signed for, however
# little. A busy link's pauses are shorter; guess. It is also the most that a slow link's vouchers come late.
IDLE_S: Final = 0.020


def signing_delay_s(
    account: PayerAccount, price_units_per_gib: int, since_verified_s: float, *, is_last: bool
) -> float | None:
    """How long to wait before the next voucher; 0 for now, None while there is nothing to sign for.

    `price_units_per_gib`: of what was verified last. `is_last`: the download is over, and waits for the voucher.
    """
    if account.due_units == account.signed_units:
        return None
    if is_last or account.is_due(price_units_per_gib):
        return 0.0
    return max(0.0, IDLE_S - since_verified_s)
