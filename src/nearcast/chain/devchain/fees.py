"""What a transaction should offer here, and what others paid."""

from typing import Any, Final

from nearcast.chain.devchain import quantities as q
from nearcast.chain.devchain.blocks import Block
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.queries import number_at

TIP_WEI: Final = 1_000_000_000  # nobody competes for room here; anvil suggests the same
HISTORY_BLOCKS_MAX: Final = 1_024  # geth's
PERCENTILES_MAX: Final = 100  # geth's


def price_wei(chain: DevChain) -> int:
    """A gas price with which the next block takes a legacy transaction."""
    return chain.engine.head.header.next_base_fee_wei() + TIP_WEI


def history(chain: DevChain, count: Any, newest: Any, percentiles: Any) -> dict[str, Any]:
    """eth_feeHistory: base fees, how full blocks were, and the tips at these percentiles of their gas."""
    wanted = min(q.quantity_or_number(count, "blockCount"), HISTORY_BLOCKS_MAX)
    last = number_at(chain, newest)
    first = max(0, last - wanted + 1) if wanted else last + 1
    rows = [chain.engine.block(number) for number in range(first, last + 1)]
    places = _percentiles(percentiles)
    fees_wei = [block.header.base_fee_wei for block in rows]
    if rows:
        fees_wei.append(rows[-1].header.next_base_fee_wei())
    found: dict[str, Any] = {
        "oldestBlock": q.hex_quantity(first),
        "baseFeePerGas": [q.hex_quantity(fee) for fee in fees_wei],
        "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in rows],
    }
    if percentiles is not None:
        found["reward"] = [_rewards(block, places) for block in rows]
    return found


def _percentiles(value: Any) -> list[float]:
    if value is None:
        return []
    numbers = isinstance(value, list) and all(type(one) in (int, float) and 0 <= one <= 100 for one in value)
    if not numbers or len(value) > PERCENTILES_MAX or list(value) != sorted(value):
        raise q.bad("rewardPercentiles is an ascending list of numbers from 0 to 100")
    return [float(one) for one in value]


def _rewards(block: Block, places: list[float]) -> list[str]:
    tips = sorted((receipt.price_wei - block.header.base_fee_wei, receipt.gas_used) for receipt in block.receipts)
    rewards: list[str] = []
    for place in places:
        left = block.header.gas_used * place / 100
        paid = 0
        for tip_wei, gas in tips:
            paid, left = tip_wei, left - gas
            if left <= 0:
                break
        rewards.append(q.hex_quantity(paid))
    return rewards
