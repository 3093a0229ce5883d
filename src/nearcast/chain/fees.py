"""What a transaction may cost: a ceiling per gas that no endpoint can talk up, raised in steps when it is stuck."""

from dataclasses import dataclass
from typing import Final

from nearcast.chain.transaction_signing import Fees
from nearcast.errors import ChainError

GWEI: Final = 10**9
REPLACE_NUMERATOR, REPLACE_DENOMINATOR = 9, 8  # nodes take a replacement from 10 % more on (geth's PriceBump); 12.5 %


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """The sender's own bounds. All of the tip is paid, so an endpoint could make us waste it."""

    fee_cap_wei: int = 200 * GWEI  # per gas; guess: Ethereum has been above for days only
    tip_cap_wei: int = 5 * GWEI  # per gas; guess: wallets propose 1 to 3
    gas_margin_percent: int = 20  # over the estimate, for state that changes in between
    reprice_after_s: float = 60.0  # five blocks on Ethereum, thirty on rollups

    def fees(self, base_fee_wei: int, told_tip_wei: int) -> Fees:
        """Twice the base fee, which five full blocks in a row do not reach, and the tip. ChainError at the cap."""
        if base_fee_wei >= self.fee_cap_wei:
            raise ChainError(
                f"a gas costs {base_fee_wei / GWEI:.1f} gwei now, and the most we pay is {self.fee_cap_wei / GWEI:.0f}",
                fix="try again when the chain is less busy",
            )
        tip_wei = min(told_tip_wei, self.tip_cap_wei, self.fee_cap_wei - base_fee_wei)
        return Fees(min(2 * base_fee_wei + tip_wei, self.fee_cap_wei), tip_wei)

    def raised(self, old: Fees, now: Fees) -> Fees | None:
        """Fees that replace `old` in every node's pool, at least today's; None when that is above the cap."""
        fee_wei = max(now.fee_max_wei, _raised(old.fee_max_wei))
        tip_wei = max(now.tip_max_wei, _raised(old.tip_max_wei))
        return None if fee_wei > self.fee_cap_wei else Fees(max(fee_wei, tip_wei), tip_wei)

    def gas(self, estimate: int, block_gas_limit: int) -> int:
        """The gas limit for an estimate; never more than a block holds. ChainError when that is not enough."""
        if estimate > block_gas_limit:
            raise ChainError(f"the transaction takes {estimate:,} gas, and a block holds {block_gas_limit:,}")
        return min(estimate * (100 + self.gas_margin_percent) // 100, block_gas_limit)


def _raised(wei: int) -> int:
    return wei * REPLACE_NUMERATOR // REPLACE_DENOMINATOR + 1
