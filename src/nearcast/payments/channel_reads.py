"""What the chain says of many channels, in few requests: one `eth_call` of the contract's own multicall for each page.

A node asks this for all its channels at every poll, so it must not cost a request per channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nearcast.chain.bindings.settlement import Settlement
from nearcast.errors import ChainError

# Two reads of some 5,000 gas each: a million for a page, of the 50 million that the strictest endpoints let a call use;
# 45 kB of answer. The development chain takes 2 ms a channel.
PAGE_CHANNELS: Final = 100
_READS: Final = ("channels", "pendingWithdrawals")


@dataclass(frozen=True, slots=True)
class Escrow:
    """A channel's money on the chain: all zero for one that was never opened.

    `balance_units`: deposits less refunds and withdrawals, claims not taken off. `withdraw_begun_at`: unix time; 0
    when no withdrawal of `withdrawing_units` is under way.
    """

    balance_units: int
    claimed_units: int
    withdrawing_units: int = 0
    withdraw_begun_at: int = 0

    @property
    def available_units(self) -> int:
        """What no claim has taken yet."""
        return self.balance_units - self.claimed_units


async def read_channels(settlement: Settlement, channel_ids: Sequence[bytes]) -> dict[bytes, Escrow]:
    """The newest state of each channel. ChainError for an answer that cannot be true, UnavailableError without one.

    A page is read at one block; two pages may be a block apart.
    """
    contract = settlement.contract
    pages = [channel_ids[start : start + PAGE_CHANNELS] for start in range(0, len(channel_ids), PAGE_CHANNELS)]
    calls = [
        ("multicall", [[contract.encode_call(name, [channel]) for channel in page for name in _READS]])
        for page in pages
    ]
    states: dict[bytes, Escrow] = {}
    for page, told in zip(pages, await settlement.read_many(calls), strict=True):
        if len(told) != len(page) * len(_READS):
            raise ChainError(f"the endpoint answers {len(told)} of {len(page) * len(_READS)} questions")
        for index, channel in enumerate(page):
            answers = told[index * len(_READS) : (index + 1) * len(_READS)]
            (balance, claimed), (withdrawing, begun_at) = (
                contract.decode_result(name, data) for name, data in zip(_READS, answers, strict=True)
            )
            if claimed > balance:
                raise ChainError(f"the endpoint says that more was claimed of 0x{channel.hex()} than was in it")
            states[channel] = Escrow(balance, claimed, withdrawing, begun_at)
    return states
