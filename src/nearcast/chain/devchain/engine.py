"""The chain itself: takes transactions, mines blocks, answers calls, goes back in time. Synchronous, in memory.

One transaction is one block ("automine"), unless `mine_transactions` is given several. Time does not pass by itself:
a block is one second after its parent unless told otherwise. Not thread-safe: one caller at a time.
"""

from collections.abc import Mapping, Sequence
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

from nearcast.chain.devchain import blocks, machine
from nearcast.chain.devchain.blocks import Block, Header, Receipt
from nearcast.chain.devchain.cells import BALANCE, CODE, NONCE, STORAGE, Account, Cells, Change
from nearcast.chain.devchain.logs import LoggedEvent, LogIndex
from nearcast.chain.devchain.machine import Call, Outcome, State, Surroundings
from nearcast.chain.devchain.transactions import InvalidTransactionError, Transaction, decode
from nearcast.chain.devchain.tries import EMPTY_ROOT, StateTrie
from nearcast.errors import ChainError, NotFoundError, RevertedError

__all__ = ["Account", "Block", "Engine", "EvmHalt", "EvmRevert", "InvalidTransactionError", "Receipt"]

CHAIN_ID: Final = 31337  # the custom of development chains: hardhat's and anvil's
GENESIS_TIMESTAMP_S: Final = 1_750_000_000  # June 2025, when Prague was new; any fixed moment would do
CALL_STIPEND: Final = 2_300  # yellow paper, G_callstipend
ESTIMATE_TOLERANCE: Final = 0.015  # geth's: close enough, and seven runs fewer
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
        self._blocks: list[Block] = [Block(_genesis_header(root, timestamp_s), ())]
        self._hashes: list[bytes] = [self._blocks[0].hash]
        self._numbers: dict[bytes, int] = {self._blocks[0].hash: 0}
        self._changes: list[list[Change]] = [[]]
        self._receipts: dict[bytes, Receipt] = {}
        self._logs = LogIndex()
        self._snapshots: dict[int, tuple[int, int | None]] = {}  # how many blocks there were, the time set for the next
        self._snapshots_taken = 0
        self._past: tuple[int, Cells] | None = None
        self._next_timestamp_s: int | None = None

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._blocks[-1]

    def block(self, which: int | bytes) -> Block:
        """The block of this number or hash; raises NotFoundError."""
        number = self._numbers.get(which, -1) if isinstance(which, bytes) else which
        if not 0 <= number < len(self._blocks):
            raise NotFoundError("no such block")
        return self._blocks[number]

    def receipt(self, transaction_hash: bytes) -> Receipt:
        """What became of a transaction; raises NotFoundError."""
        receipt = self._receipts.get(transaction_hash)
        if receipt is None:
            raise NotFoundError("no such transaction")
        return receipt

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
        last = len(self._blocks) - 1 if to_block is None else min(to_block, len(self._blocks) - 1)
        return self._logs.find(self._blocks, from_block, last, addresses, topics)

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
        if outcome.revert_data is not None:
            raise EvmRevert(outcome.revert_data)
        if outcome.error is not None:
            raise EvmHalt(outcome.error)
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
        if outcome.revert_data is not None:
            raise EvmRevert(outcome.revert_data)
        if outcome.error is not None:
            raise EvmHalt(f"{outcome.error} (with {gas_max} gas)")

        def is_enough(gas: int) -> bool:
            return gas >= machine.minimum_gas(call) and self._try(replace(call, gas=gas), number).error is None

        low, high = outcome.gas_used - 1, gas_max  # the frames below keep back a 64th each: more may be needed
        guess = min(gas_max, max((outcome.gas_spent + CALL_STIPEND) * 64 // 63, machine.minimum_gas(call)))
        if is_enough(outcome.gas_spent):
            return outcome.gas_spent
        low, high = (max(low, outcome.gas_spent), guess) if is_enough(guess) else (guess, high)
        while high - low > 1 and (high - low) / high > ESTIMATE_TOLERANCE:
            middle = min((low + high) // 2, low * 2)
            low, high = (low, middle) if is_enough(middle) else (middle, high)
        return high

    # --- writing -------------------------------------------------------------------------------------------------

    def decode(self, raw: bytes) -> Transaction:
        """A signed transaction for this chain; raises InvalidTransactionError."""
        return decode(raw, self.chain_id)

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
        self._snapshots[self._snapshots_taken] = len(self._blocks), self._next_timestamp_s
        return self._snapshots_taken

    def revert(self, snapshot_id: int) -> None:
        """Go back to a snapshot; it stays, later ones are gone. Raises NotFoundError."""
        moment = self._snapshots.get(snapshot_id)
        if moment is None:
            raise NotFoundError(f"no snapshot {snapshot_id}")
        height, self._next_timestamp_s = moment
        self._snapshots = {number: at for number, at in self._snapshots.items() if number <= snapshot_id}
        self._drop_blocks(height)

    # --- inside --------------------------------------------------------------------------------------------------

    def check(self, transaction: Transaction, base_fee_wei: int | None = None) -> None:
        """Whether the next block could contain it; raises InvalidTransactionError, in geth's words."""
        base_fee_wei = self.head.header.next_base_fee_wei() if base_fee_wei is None else base_fee_wei
        sender, nonce = transaction.sender, self.nonce(transaction.sender)
        if transaction.nonce != nonce:
            word = "low" if transaction.nonce < nonce else "high"
            raise InvalidTransactionError(f"nonce too {word}: next nonce {nonce}, tx nonce {transaction.nonce}")
        least = machine.minimum_gas(transaction.call(base_fee_wei))
        if transaction.gas < least:
            raise InvalidTransactionError(f"intrinsic gas too low: have {transaction.gas}, want {least}")
        if transaction.gas > blocks.GAS_LIMIT:
            raise InvalidTransactionError(f"exceeds block gas limit: {transaction.gas} over {blocks.GAS_LIMIT}")
        if transaction.fee_max_wei < base_fee_wei:
            raise InvalidTransactionError(
                f"max fee per gas less than block base fee: {transaction.fee_max_wei}, base fee: {base_fee_wei}"
            )
        need, have = transaction.gas * transaction.fee_max_wei + transaction.value, self.balance(sender)
        if have < need:
            raise InvalidTransactionError(f"insufficient funds for gas * price + value: have {have} want {need}")
        if self.code(sender):
            raise InvalidTransactionError("sender not an eoa")
        if transaction.to is None and len(transaction.data) > machine.INITCODE_SIZE_MAX:
            raise InvalidTransactionError(f"max initcode size exceeded: {len(transaction.data)}")

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
                self.check(transaction, header.base_fee_wei)
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
        header = self.block(len(self._blocks) - 1 if number is None else number).header
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
        self._blocks.append(block)
        self._hashes.append(block.hash)
        self._numbers[block.hash] = block.number
        self._changes.append(changes)
        self._receipts.update({receipt.transaction.hash: receipt for receipt in block.receipts})
        self._logs.add(block)
        self._next_timestamp_s = None

    def _drop_blocks(self, height: int) -> None:
        for block, changes in zip(reversed(self._blocks[height:]), reversed(self._changes[height:]), strict=True):
            self._cells.undo(changes)
            self._trie.follow(self._cells, changes)
            self._numbers.pop(block.hash, None)
            for receipt in block.receipts:
                self._receipts.pop(receipt.transaction.hash, None)
        del self._blocks[height:], self._hashes[height:], self._changes[height:]
        self._logs.drop_from(height)
        self._past = None

    def _cells_at(self, number: int | None) -> Cells:
        """The state at the end of a block. An older one is made by undoing what came after, and the last is kept."""
        if number is None or number == len(self._blocks) - 1:
            return self._cells
        self.block(number)
        if self._past is None or self._past[0] != number:
            self._past = number, self._cells.copy_undone(reversed(self._changes[number + 1 :]))
        return self._past[1]


def _genesis_header(root: bytes, timestamp_s: int) -> Header:
    return Header(
        parent_hash=blocks.ZERO_HASH,
        state_root=root,
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        bloom=bytes(blocks.BLOOM_BITS // 8),
        number=0,
        gas_limit=blocks.GAS_LIMIT,
        gas_used=0,
        timestamp_s=timestamp_s,
        randomness=blocks.ZERO_HASH,
        base_fee_wei=blocks.BASE_FEE_FIRST_WEI,
    )
