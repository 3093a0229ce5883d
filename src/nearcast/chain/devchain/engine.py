"""The chain itself: takes transactions, mines blocks, answers calls, goes back in time. Synchronous, in memory.

One transaction is one block ("automine"), unless `mine_transactions` is given several. Time does not pass by itself:
a block is one second after its parent unless told otherwise. Not thread-safe: one caller at a time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from eth.vm.forks.cancun.constants import (
    BEACON_ROOTS_ADDRESS,
    BEACON_ROOTS_CONTRACT_CODE,
    HISTORY_BUFFER_LENGTH,
)
from eth.vm.forks.prague.constants import (
    HISTORY_SERVE_WINDOW,
    HISTORY_STORAGE_ADDRESS,
    HISTORY_STORAGE_CONTRACT_CODE,
)
from eth_hash.auto import keccak

from nearcast.chain.devchain import admission, blocks, estimating, machine
from nearcast.chain.devchain.archive import Archive
from nearcast.chain.devchain.blocks import Block, Header, Receipt
from nearcast.chain.devchain.cells import BALANCE, CODE, NONCE, STORAGE, Account, Cells, Change
from nearcast.chain.devchain.logs import LoggedEvent
from nearcast.chain.devchain.machine import Call, Outcome, State, Surroundings
from nearcast.chain.devchain.transactions import InvalidTransactionError, Transaction, decode
from nearcast.chain.devchain.tries import EMPTY_ROOT, StateTrie
from nearcast.errors import ChainError, NotFoundError, RevertedError

__all__ = ["Account", "Block", "Engine", "EvmHalt", "EvmRevert", "InvalidTransactionError", "Receipt"]

CHAIN_ID: Final = 31337  # the custom of development chains: hardhat's and anvil's
GENESIS_TIMESTAMP_S: Final = 1_750_000_000  # June 2025, when Prague was new; any fixed moment would do
SYSTEM_CONTRACTS: Final = {
    bytes(HISTORY_STORAGE_ADDRESS): Account(nonce=1, code=HISTORY_STORAGE_CONTRACT_CODE),  # EIP-2935
    bytes(BEACON_ROOTS_ADDRESS): Account(nonce=1, code=BEACON_ROOTS_CONTRACT_CODE),  # EIP-4788
}


class EvmRevert(RevertedError):  # noqa: N818 - what the machine calls it
    """A call ended in REVERT. `data` is what the contract said, ABI-encoded."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"execution reverted: 0x{data.hex()}" if data else "execution reverted")
        self.data = data


class EvmHalt(RevertedError):  # noqa: N818
    """A call ended without a word: out of gas, an invalid opcode, a transfer without the money."""


class Engine:
    """A chain of blocks over `alloc` (address of 20 bytes to account)."""

    def __init__(
        self, alloc: Mapping[bytes, Account], chain_id: int = CHAIN_ID, timestamp_s: int = GENESIS_TIMESTAMP_S
    ) -> None:
        self.chain_id = chain_id
        self._cells = Cells()
        self._trie = StateTrie()
        for address, account in (SYSTEM_CONTRACTS | dict(alloc)).items():
            self._cells.write_account(address, account)
        root = self._trie.follow(self._cells, self._cells.take_changes())
        self._archive = Archive(Block(blocks.genesis_header(root, timestamp_s), ()))
        self._hashes = self._archive.hashes
        self._changes: list[list[Change]] = [[]]
        self._snapshots: dict[int, tuple[int, int | None]] = {}  # how many blocks there were, the time set for the next
        self._snapshots_taken = 0
        self._past: tuple[int, Cells] | None = None
        self._next_timestamp_s: int | None = None

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._archive.head

    def block(self, which: int | bytes) -> Block:
        """The block of this number or hash; raises NotFoundError."""
        return self._archive.block(which)

    def receipt(self, transaction_hash: bytes) -> Receipt:
        """What became of a transaction; raises NotFoundError."""
        return self._archive.receipt(transaction_hash)

    def balance(self, address: bytes, number: int | None = None) -> int:
        """In wei."""
        return int(self._cells_at(number).tables[BALANCE].get(address, 0))

    def nonce(self, address: bytes, number: int | None = None) -> int:
        """How many transactions (or, of a contract, creations) it has made."""
        return int(self._cells_at(number).tables[NONCE].get(address, 0))

    def code(self, address: bytes, number: int | None = None) -> bytes:
        """A contract's code, or b""."""
        return bytes(self._cells_at(number).tables[CODE].get(address, b""))

    def storage(self, address: bytes, slot: int, number: int | None = None) -> int:
        """One slot."""
        return int(self._cells_at(number).tables[STORAGE].get((address, slot), 0))

    def account(self, address: bytes) -> Account:
        """A copy of an account as it is now, with all its storage."""
        return self._cells.account(address)

    def get_logs(
        self,
        from_block: int = 0,
        to_block: int | None = None,
        addresses: Sequence[bytes] = (),
        topics: Sequence[Sequence[bytes] | None] = (),
    ) -> list[LoggedEvent]:
        """Events in order. No addresses: of all. `topics[i]`: the topic at i is one of these; None or empty: any."""
        last = self.head.number if to_block is None else to_block
        return self._archive.find_logs(from_block, last, addresses, topics)

    def call(
        self,
        to: bytes | None,
        data: bytes,
        *,
        sender: bytes = blocks.ZERO_ADDRESS,
        value: int = 0,
        gas: int | None = None,
        number: int | None = None,
    ) -> bytes:
        """What a call would return at the end of block `number` (default: the newest). Nothing changes, no fee.

        Raises EvmRevert with what the contract said, EvmHalt for other failures.
        """
        outcome = self._try(Call(sender, to, data, value, gas or blocks.GAS_LIMIT), number)
        if outcome.error is not None:
            raise _failure(outcome)
        return outcome.output

    def estimate_gas(
        self,
        to: bytes | None,
        data: bytes = b"",
        *,
        sender: bytes = blocks.ZERO_ADDRESS,
        value: int = 0,
        gas_max: int = blocks.GAS_LIMIT,
        number: int | None = None,
        access_list: machine.AccessList = (),
    ) -> int:
        """A gas limit with which the call succeeds, at most 1.5 % above the least one. Raises as `call` does."""
        call = Call(sender, to, data, value, gas_max, 0, access_list)
        outcome = self._try(call, number)
        if outcome.error is not None:
            raise _failure(outcome)
        return estimating.least_gas(call, outcome, lambda one: self._try(one, number).error is None)

    # --- writing -------------------------------------------------------------------------------------------------

    def decode(self, raw: bytes) -> Transaction:
        """A signed transaction for this chain; raises InvalidTransactionError."""
        return decode(raw, self.chain_id)

    def check(self, transaction: Transaction, base_fee_wei: int | None = None) -> None:
        """Whether the next block could contain it; raises InvalidTransactionError, in geth's words."""
        if transaction.nonce != self.nonce(transaction.sender):
            raise admission.wrong_nonce(transaction, self.nonce(transaction.sender))
        self.check_waiting(transaction, base_fee_wei)

    def check_waiting(self, transaction: Transaction, base_fee_wei: int | None = None) -> None:
        """The same for one that may wait for others of its sender: its nonce is the next or a later one."""
        if transaction.nonce < self.nonce(transaction.sender):
            raise admission.wrong_nonce(transaction, self.nonce(transaction.sender))
        fee_wei = self.head.header.next_base_fee_wei() if base_fee_wei is None else base_fee_wei
        admission.check(transaction, fee_wei, self.balance(transaction.sender), self.code(transaction.sender))

    def send_raw(self, raw: bytes) -> bytes:
        """Mine a block of this transaction; returns its hash. Raises InvalidTransactionError, and mines nothing.

        A transaction whose contract reverts is mined like any other: its receipt has status 0.
        """
        transaction = self.decode(raw)
        self.check(transaction)
        self._seal([transaction], self.next_timestamp_s())
        return transaction.hash

    def mine_transactions(self, transactions: Sequence[Transaction]) -> Block:
        """Mine one block of these, leaving out those that are not valid (any more) or do not fit."""
        return self._seal(transactions, self.next_timestamp_s())

    def mine(self, count: int = 1) -> Block:
        """Mine empty blocks; returns the last."""
        for _ in range(count):
            self._seal([], self.next_timestamp_s())
        return self.head

    def next_timestamp_s(self) -> int:
        """When the next block would be."""
        if self._next_timestamp_s is not None:
            return self._next_timestamp_s
        return self.head.timestamp_s + 1

    def set_time(self, timestamp_s: int) -> None:
        """The next block is at this moment; raises ChainError if that is before the newest."""
        if timestamp_s < self.head.timestamp_s:
            raise ChainError(f"timestamp {timestamp_s} is before the newest block's, {self.head.timestamp_s}")
        self._next_timestamp_s = timestamp_s

    def increase_time(self, seconds: int) -> None:
        """The next block is so much later than it would be."""
        self.set_time(self.next_timestamp_s() + seconds)

    def snapshot(self) -> int:
        """Remember this moment; returns an id for `revert`."""
        self._snapshots_taken += 1
        self._snapshots[self._snapshots_taken] = len(self._changes), self._next_timestamp_s
        return self._snapshots_taken

    def revert(self, snapshot_id: int) -> None:
        """Go back to a snapshot; it stays, later ones are gone. Raises NotFoundError."""
        moment = self._snapshots.get(snapshot_id)
        if moment is None:
            raise NotFoundError(f"no snapshot {snapshot_id}")
        height, self._next_timestamp_s = moment
        self._snapshots = {number: at for number, at in self._snapshots.items() if number <= snapshot_id}
        self.drop_blocks(height)

    def drop_blocks(self, height: int) -> None:
        """Go back to the first `height` blocks: their numbers are 0 to height - 1."""
        for changes in reversed(self._changes[height:]):
            self._cells.undo(changes)
            self._trie.follow(self._cells, changes)
        del self._changes[height:]
        self._archive.drop_from(height)
        self._past = None

    # --- keeping -------------------------------------------------------------------------------------------------

    def writes(self) -> list[Change]:
        """What the newest block wrote: table, key, and the new value (None: removed)."""
        tables = self._cells.tables
        return [(table, key, tables[table].get(key)) for table, key, _ in self._changes[-1]]

    def restore(self, block: Block, writes: Iterable[Change]) -> None:
        """Append a block of an earlier run without running it. Raises ChainError if it is not the next one.

        State roots are not kept up meanwhile: call `finish_restoring` after the last.
        """
        if block.header.parent_hash != self.head.hash or block.number != len(self._changes):
            raise ChainError(f"block {block.number} does not follow block {self.head.number}")
        for table, key, value in writes:
            self._cells.put(table, key, value)
        self._append(block, self._cells.take_changes())

    def finish_restoring(self) -> None:
        """Make the state trie of what was restored; raises ChainError when the newest header has another root."""
        self._trie = StateTrie()
        if self._trie.follow(self._cells, self._cells.all_as_changes()) != self.head.header.state_root:
            raise ChainError(f"the restored state is not that of block {self.head.number}")

    # --- inside --------------------------------------------------------------------------------------------------

    def _seal(self, transactions: Sequence[Transaction], timestamp_s: int) -> Block:
        header = self._next_header(timestamp_s)
        try:
            self._system_calls(header)
            receipts = self._run_all(transactions, header)
        except BaseException:
            self._cells.roll_back(0)
            self._cells.end_transaction()
            raise
        changes = self._cells.take_changes()
        root = self._trie.follow(self._cells, changes)
        block = blocks.seal(replace(header, state_root=root), receipts)
        self._append(block, changes)
        return block

    def _run_all(self, transactions: Sequence[Transaction], header: Header) -> tuple[Receipt, ...]:
        state = State(self._cells, self._surroundings(header, self._hashes))
        receipts: list[Receipt] = []
        used = 0
        for transaction in transactions:
            try:
                self.check(transaction)
            except InvalidTransactionError:
                continue
            if used + transaction.gas <= header.gas_limit:
                receipts.append(self._apply(state, transaction, header, len(receipts), used))
                used = receipts[-1].cumulative_gas_used
        return tuple(receipts)

    def _apply(self, state: State, transaction: Transaction, header: Header, index: int, used: int) -> Receipt:
        price_wei = transaction.price_wei(header.base_fee_wei)
        sender = transaction.sender
        self._cells.put(BALANCE, sender, self.balance(sender) - transaction.gas * price_wei)
        self._cells.put(NONCE, sender, transaction.nonce + 1)
        outcome = machine.run(state, transaction.call(header.base_fee_wei))
        self._cells.put(BALANCE, sender, self.balance(sender) + (transaction.gas - outcome.gas_used) * price_wei)
        tip_wei = outcome.gas_used * (price_wei - header.base_fee_wei)
        self._cells.put(BALANCE, header.coinbase, self.balance(header.coinbase) + tip_wei)
        self._cells.end_transaction()
        return Receipt(
            transaction=transaction,
            status=0 if outcome.error is not None else 1,
            gas_used=outcome.gas_used,
            logs=outcome.logs,
            block_number=header.number,
            block_hash=blocks.ZERO_HASH,
            index=index,
            price_wei=price_wei,
            created=outcome.created,
            revert_data=outcome.revert_data,
            error=outcome.error,
            cumulative_gas_used=used + outcome.gas_used,
        )

    def _try(self, call: Call, number: int | None) -> Outcome:
        least = machine.minimum_gas(call)
        if call.gas < least:
            raise EvmHalt(f"intrinsic gas too low: have {call.gas}, want {least}")
        header = (self.head if number is None else self.block(number)).header
        cells = self._cells_at(number)
        mark = cells.mark()
        try:
            return machine.run(State(cells, self._surroundings(header, self._hashes[: header.number])), call)
        finally:
            cells.roll_back(mark)
            cells.end_transaction()

    def _surroundings(self, header: Header, ancestors: Sequence[bytes]) -> Surroundings:
        return Surroundings(
            number=header.number,
            timestamp_s=header.timestamp_s,
            base_fee_wei=header.base_fee_wei,
            gas_limit=header.gas_limit,
            coinbase=header.coinbase,
            randomness=header.randomness,
            chain_id=self.chain_id,
            ancestors=ancestors,
        )

    def _next_header(self, timestamp_s: int) -> Header:
        parent = self.head.header
        return Header(
            parent_hash=parent.hash,
            state_root=EMPTY_ROOT,
            transactions_root=EMPTY_ROOT,
            receipts_root=EMPTY_ROOT,
            bloom=bytes(blocks.BLOOM_BITS // 8),
            number=parent.number + 1,
            gas_limit=parent.gas_limit,
            gas_used=0,
            timestamp_s=timestamp_s,
            randomness=keccak(b"randomness" + parent.hash),  # the same again when the journal is replayed
            base_fee_wei=parent.next_base_fee_wei(),
        )

    def _system_calls(self, header: Header) -> None:
        """What the protocol writes at the start of each block, as its two system contracts would."""
        history = bytes(HISTORY_STORAGE_ADDRESS), (header.number - 1) % HISTORY_SERVE_WINDOW
        self._cells.put(STORAGE, history, int.from_bytes(header.parent_hash, "big"))
        beacon = bytes(BEACON_ROOTS_ADDRESS), header.timestamp_s % HISTORY_BUFFER_LENGTH
        self._cells.put(STORAGE, beacon, header.timestamp_s)  # the root itself is zero: there is no beacon chain

    def _append(self, block: Block, changes: list[Change]) -> None:
        self._archive.append(block)
        self._changes.append(changes)
        self._next_timestamp_s = None

    def _cells_at(self, number: int | None) -> Cells:
        """The state at the end of a block. An older one is made by undoing what came after, and the last is kept."""
        if number is None or number == self.head.number:
            return self._cells
        self.block(number)
        if self._past is None or self._past[0] != number:
            self._past = number, self._cells.copy_undone(reversed(self._changes[number + 1 :]))
        return self._past[1]


def _failure(outcome: Outcome) -> EvmRevert | EvmHalt:
    return EvmHalt(outcome.error or "") if outcome.revert_data is None else EvmRevert(outcome.revert_data)
