"""The root of a blacklist, computed from its entries: an endpoint that leaves one out or makes one up does not meet it.

Four sums modulo 2^256, so the order does not matter. Source: contracts/court/MultisetHash.sol.
"""

from collections.abc import Sequence
from typing import Any

_LANES = 4
_END = 1 << 256


def root_of(listings: Sequence[Sequence[Any]]) -> bytes:
    """32 bytes; each listing is IBlacklist.Listing: digest, scope, two moments, reason and source."""
    from nearcast.chain.eip712 import keccak

    sums = [0] * _LANES
    for digest, scope, *numbers in listings:
        words = digest + scope.ljust(32, b"\0") + b"".join(number.to_bytes(32) for number in numbers)
        element = keccak(words)
        for lane in range(_LANES):
            sums[lane] += int.from_bytes(keccak(element + lane.to_bytes(32)))
    return keccak(b"".join((each % _END).to_bytes(32) for each in sums))
