"""What the chain says of many channels, in few requests: one `eth_call` of the contract's own multicall for each page.

A node asks this for all its channels at every poll, so it must not cost a request per channel.
"""

from collections.abc import Sequence
from typing import Final

from nearcast.chain.bindings.settlement import ChannelState, Settlement
from nearcast.errors import ChainError

# Three reads of 2,600 gas and their overhead each: under 2 million gas for a page, of the 50 million that the strictest
# endpoints let a call use; 60 kB of answer.
PAGE_CHANNELS: Final = 100
_READS: Final = ("channels", "pendingWithdrawals", "refundNonce")


async def read_channels(settlement: Settlement, channel_ids: Sequence[bytes]) -> dict[bytes, ChannelState]:
    """The newest state of each channel. ChainError for an answer that cannot be true, UnavailableError without one.

    A page is read at one block; two pages may be a block apart.
    """
    contract = settlement.contract
    pages = [channel_ids[start : start + PAGE_CHANNELS] for start in range(0, len(channel_ids), PAGE_CHANNELS)]
    calls = [
        ("multicall", [[contract.encode_call(name, [channel]) for channel in page for name in _READS]])
        for page in pages
    ]
    states: dict[bytes, ChannelState] = {}
    for page, told in zip(pages, await settlement.read_many(calls), strict=True):
        if len(told) != len(page) * len(_READS):
            raise ChainError(f"the endpoint answers {len(told)} of {len(page) * len(_READS)} questions")
        for index, channel in enumerate(page):
            answers = told[index * len(_READS) : (index + 1) * len(_READS)]
            (balance, claimed), (pending, begun_at), nonce = (
                contract.decode_result(name, data) for name, data in zip(_READS, answers, strict=True)
            )
            if claimed > balance:
                raise ChainError(f"the endpoint says that more was claimed of 0x{channel.hex()} than was in it")
            states[channel] = ChannelState(balance, claimed, pending, begun_at, nonce)
    return states
