"""Finding events: walks only blocks that have some, and asks a block's bloom before its receipts."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nearcast.chain.devchain.blocks import Block, Receipt, bloom_of
from nearcast.chain.devchain.machine import Log


@dataclass(frozen=True)
class LoggedEvent:
    """One event and where it is. `index` counts within the block."""

    log: Log
    receipt: Receipt
    index: int


class LogIndex:
    """The numbers of the blocks that have events, ascending, and their blooms."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._blooms: list[int] = []

    def add(self, block: Block) -> None:
        """The next block."""
        bloom = int.from_bytes(block.header.bloom, "big")
        if bloom:
            self._numbers.append(block.number)
            self._blooms.append(bloom)

    def drop_from(self, number: int) -> None:
        """Forget this block and all above."""
        at = bisect_left(self._numbers, number)
        del self._numbers[at:], self._blooms[at:]

    def find(
        self,
        blocks: Sequence[Block],
        first: int,
        last: int,
        addresses: Sequence[bytes],
        topics: Sequence[Sequence[bytes] | None],
    ) -> list[LoggedEvent]:
        """The events of blocks `first` to `last` that match, in order."""
        wanted = [[_bits(word) for word in words] for words in (addresses, *topics) if words]
        found: list[LoggedEvent] = []
        for at in range(bisect_left(self._numbers, first), bisect_right(self._numbers, last)):
            bloom = self._blooms[at]
            if all(any(bloom & bits == bits for bits in row) for row in wanted):
                found.extend(event for event in events(blocks[self._numbers[at]]) if _is(event.log, addresses, topics))
        return found


def events(block: Block) -> Iterator[LoggedEvent]:
    """All events of a block, numbered."""
    index = 0
    for receipt in block.receipts:
        for log in receipt.logs:
            yield LoggedEvent(log, receipt, index)
            index += 1


def _bits(word: bytes) -> int:
    return int.from_bytes(bloom_of((Log(word, (), b""),)), "big")


def _is(log: Log, addresses: Sequence[bytes], topics: Sequence[Sequence[bytes] | None]) -> bool:
    if addresses and log.address not in addresses:
        return False
    if len(topics) > len(log.topics):
        return False
    return all(not words or topic in words for words, topic in zip(topics, log.topics, strict=False))
