"""A development chain that lives: an engine, a clock, transactions that wait, and a journal that outlives the process.

Synchronous; one caller at a time. Whatever changes the chain is in the journal, on the disk, when the method returns.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from nearcast.chain.devchain import records
from nearcast.chain.devchain.blocks import Block
from nearcast.chain.devchain.engine import Engine
from nearcast.chain.devchain.journal import RESET, Journal
from nearcast.chain.devchain.pool import Pool
from nearcast.chain.devchain.records import ClockSet, Mined, Record, Reverted, Waiting
from nearcast.chain.devchain.transactions import InvalidTransactionError, Transaction
from nearcast.errors import ChainError, NotFoundError

TIMESTAMP_MAX_S: Final = 1 << 40  # 36,000 years: no contract of ours has more bits than that for a moment
MINE_MAX: Final = 10_000  # blocks in one request


class DevChain:
    """The chain behind the RPC. `unix_s` tells the machine's time in seconds."""

    def __init__(self, engine: Engine, unix_s: Callable[[], float], journal: Journal | None, *, automine: bool) -> None:
        self.on_block: Callable[[Block], None] = lambda block: None  # told of each block once it is on the disk
        self.engine = engine
        self.pool = Pool()
        self.automine = automine
        self._unix_s = unix_s
        self._journal = journal
        self._offset_s = 0
        self._exact_s: int | None = None  # the next block's moment, when someone chose it
        self._snapshots: dict[int, tuple[int, int, int | None]] = {}  # height, offset and exact moment of then
        self._snapshots_taken = 0
        if journal is not None:
            self._take_up(journal)

    # --- transactions --------------------------------------------------------------------------------------------

    def send(self, raw: bytes) -> bytes:
        """Accept a signed transaction, and mine it if blocks come by themselves; returns its hash.

        Raises InvalidTransactionError. What was accepted waits for earlier nonces of its sender if need be.
        """
        transaction = self.engine.decode(raw)
        if self._is_mined(transaction):
            raise InvalidTransactionError("already known")
        self.engine.check_waiting(transaction)
        next_nonce = self.engine.nonce(transaction.sender)
        self.pool.add(transaction, next_nonce)
        try:
            if self.automine and transaction.nonce == next_nonce:
                self._mine_waiting()
            else:
                self._keep(Waiting(raw))
        except BaseException:
            self.pool.remove(transaction.hash)  # it was not acknowledged, so it must not be mined later
            raise
        return transaction.hash

    def nonce_pending(self, address: bytes) -> int:
        """The nonce after all that wait."""
        return self.pool.next_nonce(address, self.engine.nonce(address))

    # --- blocks and time -----------------------------------------------------------------------------------------

    def now_s(self) -> int:
        """The moment a block would have if it came now: never before the newest one."""
        if self._exact_s is not None:
            return self._exact_s
        return max(self.engine.head.timestamp_s, int(self._unix_s()) + self._offset_s)

    def mine(self, count: int = 1) -> Block:
        """Mine blocks, the first with what waits."""
        for _ in range(count):
            self._seal(list(self.pool.in_turn()))
        return self.engine.head

    def increase_time(self, seconds: int) -> int:
        """Put the clock forward from now on; returns by how much it is ahead in all. Raises ChainError."""
        self._set_offset(self._offset_s + seconds)
        return self._offset_s

    def set_next_timestamp(self, timestamp_s: int) -> None:
        """The next block is at this moment, and time goes on from there. Raises ChainError if it is past."""
        if timestamp_s < self.engine.head.timestamp_s:
            newest_s = self.engine.head.timestamp_s
            raise ChainError(f"timestamp {timestamp_s} is before the newest block's, {newest_s}")
        self._set_offset(timestamp_s - int(self._unix_s()))
        self._exact_s = timestamp_s

    # --- going back ----------------------------------------------------------------------------------------------

    def snapshot(self) -> int:
        """Remember this height; the id is good for one `revert`, and not after a restart."""
        self._snapshots_taken += 1
        self._snapshots[self._snapshots_taken] = self.engine.head.number + 1, self._offset_s, self._exact_s
        return self._snapshots_taken

    def revert(self, snapshot_id: int) -> None:
        """Cut chain and clock back to a snapshot and forget what waits. Raises NotFoundError."""
        moment = self._snapshots.get(snapshot_id)
        if moment is None:
            raise NotFoundError(f"no snapshot {snapshot_id}")
        height, offset_s, exact_s = moment
        self._keep(Reverted(height), ClockSet(offset_s))
        self._cut(height)
        self._offset_s, self._exact_s = offset_s, exact_s
        self._snapshots = {number: at for number, at in self._snapshots.items() if number < snapshot_id}

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _mine_waiting(self) -> None:
        """One block for each transaction whose turn it is."""
        while ready := self._ready():
            self._seal([ready])

    def _ready(self) -> Transaction | None:
        """The first that a block can have now. One that cannot be paid any more waits on."""
        for transaction in self.pool.in_turn():
            try:
                self.engine.check(transaction)
            except InvalidTransactionError:
                continue
            return transaction
        return None

    def _seal(self, transactions: list[Transaction]) -> None:
        self.engine.set_time(self.now_s())
        height = self.engine.head.number + 1
        block = self.engine.mine_transactions(transactions)
        try:
            self._keep(Mined(block, self.engine.writes()))
        except BaseException:
            self.engine.drop_blocks(height)
            raise
        self._exact_s = None
        self._drop_mined()
        self.on_block(block)

    def _drop_mined(self) -> None:
        self.pool.drop_mined({sender: self.engine.nonce(sender) for sender in self.pool.senders()})

    def _cut(self, height: int) -> None:
        self.engine.drop_blocks(height)
        self.pool.clear()
        self._exact_s = None

    def _set_offset(self, offset_s: int) -> None:
        if int(self._unix_s()) + offset_s > TIMESTAMP_MAX_S:
            raise ChainError(f"timestamps end at {TIMESTAMP_MAX_S}")
        self._keep(ClockSet(offset_s))
        self._offset_s = offset_s
        self._exact_s = None

    def _is_mined(self, transaction: Transaction) -> bool:
        try:
            self.engine.receipt(transaction.hash)
        except NotFoundError:
            return False
        return True

    def _keep(self, *kept: Record) -> None:
        if self._journal is not None:
            self._journal.append(*(records.encode(record) for record in kept))

    def _take_up(self, journal: Journal) -> None:
        engine = self.engine
        for payload in journal.read(engine.chain_id, engine.block(0).hash):
            try:
                self._take_up_record(records.decode_record(payload, engine.chain_id))
            except (ValueError, IndexError, ChainError) as error:
                raise ChainError(f"{journal.path} makes no sense: {error}", fix=RESET) from error
        try:
            engine.finish_restoring()
        except ChainError as error:
            raise ChainError(f"{journal.path}: {error.message}", fix=RESET) from error

    def _take_up_record(self, record: Record) -> None:
        match record:
            case Mined(block, writes):
                self.engine.restore(block, writes)
                self._drop_mined()
            case Waiting(raw):
                transaction = self.engine.decode(raw)
                self.pool.add(transaction, self.engine.nonce(transaction.sender))
            case Reverted(height):
                self._cut(height)
            case ClockSet(offset_s):
                self._offset_s = offset_s


def open_chain(
    engine: Engine, folder: Path | None, unix_s: Callable[[], float], *, automine: bool = True, reset: bool = False
) -> DevChain:
    """The chain kept in `folder` (None: nowhere), taken up where it was.

    Raises StoreLockedError when another process has it, ChainError when it is damaged or of other contracts.
    """
    journal = None if folder is None else Journal(folder)
    try:
        if journal is not None and reset:
            journal.reset()
        return DevChain(engine, unix_s, journal, automine=automine)
    except BaseException:
        if journal is not None:
            journal.close()
        raise
