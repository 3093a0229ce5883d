"""How many bytes messages are on the wire, without encoding each of ten thousand peers' messages.

Of each class of message one in `every` is encoded, and the others are taken to be as large as the last that was. Sums
over many messages come within a per cent of the exact ones; `every` = 1 is exact.
"""

from collections.abc import Callable
from typing import Any

PACKET_BYTES = (
    60  # around a message alone in its packet: IPv4 and UDP 28, QUIC's short header 10, its frame 6, its tag 16
)


class SampledSizes:
    """A `size_of` for a Simulation. `exact(message)` gives a message's bytes; PACKET_BYTES come on top."""

    __slots__ = ("_every", "_exact", "_known")

    def __init__(self, exact: Callable[[Any], int], every: int = 16) -> None:
        self._exact = exact
        self._every = every
        self._known: dict[type, list[int]] = {}  # how many more are taken to be as large as the last, and how large

    def __call__(self, message: Any) -> int:
        known = self._known.get(message.__class__)
        if known is None:
            known = self._known[message.__class__] = [0, 0]
        if known[0]:
            known[0] -= 1
            return known[1]
        known[0] = self._every - 1
        size_bytes = known[1] = self._exact(message) + PACKET_BYTES
        return size_bytes
