"""Transactions that were accepted and wait for a block, by sender and nonce. Bounded; the first come is the first."""

from collections.abc import Iterator
from typing import Final

from nearcast.chain.devchain.transactions import InvalidTransactionError, Transaction

WAITING_MAX: Final = 4_096  # what geth keeps of executable ones: GlobalSlots 5120, rounded down
AHEAD_MAX: Final = 64  # how far a nonce may be ahead of its sender's: geth's AccountQueue
RAISE_PERCENT: Final = 10  # what a replacement must offer more: geth's PriceBump


class Pool:
    """What waits. Knows nothing of balances: the engine checks that."""

    def __init__(self) -> None:
        self._rows: dict[tuple[bytes, int], Transaction] = {}
        self._by_hash: dict[bytes, Transaction] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """The one of this hash, if it waits."""
        return self._by_hash.get(transaction_hash)

    def add(self, transaction: Transaction, next_nonce: int) -> None:
        """Take it in, in place of one that pays less; raises InvalidTransactionError, in geth's words."""
        if transaction.hash in self._by_hash:
            raise InvalidTransactionError("already known")
        if transaction.nonce > next_nonce + AHEAD_MAX:
            raise InvalidTransactionError(f"nonce too high: next nonce {next_nonce}, tx nonce {transaction.nonce}")
        key = transaction.sender, transaction.nonce
        other = self._rows.get(key)
        if other is not None and not _pays_more(transaction, other):
            raise InvalidTransactionError("replacement transaction underpriced")
        if other is None and len(self._rows) >= WAITING_MAX:
            raise InvalidTransactionError("txpool is full")
        if other is not None:
            del self._by_hash[other.hash]
        self._rows[key] = self._by_hash[transaction.hash] = transaction

    def next_nonce(self, sender: bytes, mined: int) -> int:
        """The nonce after the sender's unbroken row of waiting ones."""
        while (sender, mined) in self._rows:
            mined += 1
        return mined

    def drop_mined(self, nonces: dict[bytes, int]) -> None:
        """Forget those whose nonce is below the sender's next."""
        for key in [key for key in self._rows if key[1] < nonces.get(key[0], 0)]:
            del self._by_hash[self._rows.pop(key).hash]

    def remove(self, transaction_hash: bytes) -> None:
        """Forget this one, if it waits."""
        transaction = self._by_hash.pop(transaction_hash, None)
        if transaction is not None:
            del self._rows[transaction.sender, transaction.nonce]

    def clear(self) -> None:
        """Forget all."""
        self._rows.clear()
        self._by_hash.clear()

    def senders(self) -> set[bytes]:
        """Whose transactions wait."""
        return {sender for sender, _ in self._rows}

    def in_turn(self) -> Iterator[Transaction]:
        """All, each sender's by nonce; a sender's turn comes when his first one was taken in."""
        order = {sender: place for place, (sender, _) in reversed(list(enumerate(self._rows)))}
        yield from (self._rows[key] for key in sorted(self._rows, key=lambda key: (order[key[0]], key[1])))


def _pays_more(new: Transaction, old: Transaction) -> bool:
    return all(
        now * 100 >= before * (100 + RAISE_PERCENT)
        for now, before in (
            (new.fee_max_wei, old.fee_max_wei),
            (new.priority_fee_max_wei, old.priority_fee_max_wei),
        )
    )
