"""How much gas a call needs: not only what it used, because each call within keeps back a 64th of what is left."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from nearcast.chain.devchain.machine import Call, Outcome, minimum_gas

CALL_STIPEND: Final = 2_300  # yellow paper, G_callstipend
TOLERANCE: Final = 0.015  # geth's: close enough, and seven runs fewer


def least_gas(call: Call, outcome: Outcome, succeeds: Callable[[Call], bool]) -> int:
    """A gas limit with which `call` succeeds, at most 1.5 % above the least one.

    `outcome` is what came of it with the gas of `call`, the most there may be.
    """

    def is_enough(gas: int) -> bool:
        return gas >= minimum_gas(call) and succeeds(replace(call, gas=gas))

    if is_enough(outcome.gas_spent):
        return outcome.gas_spent
    low, high = max(outcome.gas_spent, minimum_gas(call) - 1), call.gas
    guess = min(high, (low + CALL_STIPEND) * 64 // 63)
    low, high = (low, guess) if is_enough(guess) else (guess, high)
    while high - low > 1 and (high - low) / high > TOLERANCE:
        middle = min((low + high) // 2, low * 2)
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
