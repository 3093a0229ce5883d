"""The blocks that were sealed, found by number, hash, transaction and event."""

from collections.abc import Sequence

from nearcast.chain.devchain.blocks import Block, Receipt
from nearcast.chain.devchain.logs import LoggedEvent, LogIndex
from nearcast.errors import NotFoundError


class Archive:
    """All blocks from the first. `blocks` and `hashes` are by number; only this class changes them."""

    def __init__(self, genesis: Block) -> None:
        self.blocks: list[Block] = []
        self.hashes: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._receipts: dict[bytes, Receipt] = {}
        self._logs = LogIndex()
        self.append(genesis)

    @property
    def head(self) -> Block:
        """The newest block."""
        return self.blocks[-1]

    def append(self, block: Block) -> None:
        """The next block."""
        self.blocks.append(block)
        self.hashes.append(block.hash)
        self._numbers[block.hash] = block.number
        self._receipts.update({receipt.transaction.hash: receipt for receipt in block.receipts})
        self._logs.add(block)

    def drop_from(self, number: int) -> None:
        """Forget this block and all above."""
        for block in self.blocks[number:]:
            self._numbers.pop(block.hash, None)
            for receipt in block.receipts:
                self._receipts.pop(receipt.transaction.hash, None)
        del self.blocks[number:], self.hashes[number:]
        self._logs.drop_from(number)

    def block(self, which: int | bytes) -> Block:
        """The block of this number or hash; raises NotFoundError."""
        number = self._numbers.get(which, -1) if isinstance(which, bytes) else which
        if not 0 <= number < len(self.blocks):
            raise NotFoundError("no such block")
        return self.blocks[number]

    def receipt(self, transaction_hash: bytes) -> Receipt:
        """What became of a transaction; raises NotFoundError."""
        receipt = self._receipts.get(transaction_hash)
        if receipt is None:
            raise NotFoundError("no such transaction")
        return receipt

    def find_logs(
        self, first: int, last: int, addresses: Sequence[bytes], topics: Sequence[Sequence[bytes] | None]
    ) -> list[LoggedEvent]:
        """The events of blocks `first` to `last` that match, in order."""
        return self._logs.find(self.blocks, first, min(last, len(self.blocks) - 1), addresses, topics)
