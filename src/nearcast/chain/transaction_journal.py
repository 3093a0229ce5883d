"""Every transaction that was ever signed here, written down before anybody else sees it.

Between signing and the chain's word that it is done lies all that can go wrong: the process is killed, the endpoint
loses the transaction, a reorganisation throws it out. What was signed may happen whatever became of us, so it is synced
to disk first, with the intent it serves; a restart sends it again rather than signing another.

One SQLite file per chain, mode 0600. Several processes may use it: choosing a nonce and writing the transaction down is
one exclusive transaction of the database.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from nearcast.chain.transaction_signing import Call, Fees, SignedTransaction
from nearcast.errors import StoreError

JOURNAL_FILE = "transactions.sqlite3"  # in the folder of its chain
BUSY_S = 10.0  # how long one process waits for another's change, which takes milliseconds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempt (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, sender BLOB NOT NULL, nonce INTEGER NOT NULL,
    intent TEXT NOT NULL, recipient BLOB NOT NULL, value TEXT NOT NULL, data BLOB NOT NULL, raw BLOB NOT NULL,
    fee_max_wei TEXT NOT NULL, tip_max_wei TEXT NOT NULL, gas INTEGER NOT NULL,
    state TEXT NOT NULL, block_number INTEGER, block_hash BLOB, is_told INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS attempt_by_intent ON attempt (sender, intent);
CREATE INDEX IF NOT EXISTS attempt_by_state ON attempt (sender, state, nonce);
"""
_COLUMNS = (
    "hash, sender, nonce, intent, recipient, value, data, raw, fee_max_wei, tip_max_wei, gas,"
    " state, block_number, block_hash, is_told"
)


class State(StrEnum):
    """Where a signed transaction is."""

    PENDING = "pending"  # in no block that we know of
    MINED = "mined"  # in a block that is not deep enough yet
    CONFIRMED = "confirmed"
    REVERTED = "reverted"  # confirmed too, and the contract refused it
    REPLACED = "replaced"  # another transaction has its nonce for good
    REFUSED = "refused"  # the endpoint would not take it


LIVE = (State.PENDING, State.MINED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction. Several with the same nonce are one payment at rising fees."""

    transaction: SignedTransaction
    sender: bytes
    call: Call
    state: State
    block_number: int | None
    block_hash: bytes | None
    is_told: bool

    @property
    def hash(self) -> bytes:
        return self.transaction.hash

    @property
    def nonce(self) -> int:
        return self.transaction.nonce


class TransactionJournal:
    """Open it with `TransactionJournal.open`. Every change is on disk when its method returns."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["TransactionJournal"]:
        """The journal at `path`, made on first use. Raises StoreError when it cannot be used."""
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.chmod(0o600)
            database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            try:
                database.execute("PRAGMA synchronous = EXTRA")  # the folder too is synced when a change is complete
                database.executescript(_SCHEMA)
                yield cls(database)
            finally:
                database.close()

    def begin(
        self, sender: bytes, call: Call, nonce_min: int, sign: Callable[[int], SignedTransaction]
    ) -> tuple[Attempt, bool]:
        """Choose the first free nonce from `nonce_min` on, have it signed, and write it down; True: it is new.

        When an unfinished attempt for the same intent is there (another process was faster), that is returned instead.
        """
        with self._exclusively():
            for attempt in self.of_intent(sender, call.intent) if call.intent else ():
                if attempt.state in LIVE:
                    return attempt, False
            used = {attempt.nonce for attempt in self.live(sender)}
            nonce = nonce_min
            while nonce in used:
                nonce += 1
            attempt = Attempt(sign(nonce), sender, call, State.PENDING, None, None, is_told=False)
            self._insert(attempt)
        return attempt, True

    def add_replacement(self, old: Attempt, transaction: SignedTransaction) -> Attempt:
        """Write down another transaction for the same nonce and call."""
        attempt = Attempt(transaction, old.sender, old.call, State.PENDING, None, None, is_told=False)
        with self._exclusively():
            self._insert(attempt)
        return attempt

    def set_state(
        self, transaction_hash: bytes, state: State, block_number: int | None = None, block_hash: bytes | None = None
    ) -> None:
        """Note where a transaction is now."""
        self._database.execute(
            "UPDATE attempt SET state = ?, block_number = ?, block_hash = ? WHERE hash = ?",
            (state, block_number, block_hash, transaction_hash),
        )

    def finish(self, winner: Attempt, state: State, block_number: int, block_hash: bytes) -> None:
        """Note that `winner` has its nonce for good; everything else with that nonce was replaced."""
        with self._exclusively():
            self._database.execute(
                "UPDATE attempt SET state = ? WHERE sender = ? AND nonce = ? AND hash != ?",
                (State.REPLACED, winner.sender, winner.nonce, winner.hash),
            )
            self.set_state(winner.hash, state, block_number, block_hash)

    def tell(self, transaction_hash: bytes) -> None:
        """Note that whoever wanted it has been told how it ended."""
        self._database.execute("UPDATE attempt SET is_told = 1 WHERE hash = ?", (transaction_hash,))

    def live(self, sender: bytes) -> list[Attempt]:
        """What is not finished, the lowest nonce first, the newest of one nonce last."""
        return self._select("sender = ? AND state IN (?, ?) ORDER BY nonce, number", (sender, *LIVE))

    def of_intent(self, sender: bytes, intent: str) -> list[Attempt]:
        """Every attempt that was made for an intent, the newest first."""
        return self._select("sender = ? AND intent = ? ORDER BY number DESC", (sender, intent))

    def of_nonce(self, sender: bytes, nonce: int) -> list[Attempt]:
        """Every attempt with a nonce, the newest first."""
        return self._select("sender = ? AND nonce = ? ORDER BY number DESC", (sender, nonce))

    def _select(self, condition: str, values: Sequence[bytes | int | str]) -> list[Attempt]:
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM attempt WHERE {condition}", values)
        return [_attempt(row) for row in rows.fetchall()]

    def _insert(self, attempt: Attempt) -> None:
        signed, call = attempt.transaction, attempt.call
        row = (
            signed.hash, attempt.sender, signed.nonce, call.intent, call.to, str(call.value), call.data, signed.raw,
            str(signed.fees.fee_max_wei), str(signed.fees.tip_max_wei), signed.gas, attempt.state, None, None, 0,
        )  # fmt: skip
        # The same call with the same nonce and fees is the same transaction, bit by bit: one that was refused, or that
        # a development chain forgot when it began anew, is given another chance under the new intent.
        self._database.execute(
            f"INSERT INTO attempt ({_COLUMNS}) VALUES ({', '.join('?' * len(row))}) ON CONFLICT (hash) DO UPDATE SET"
            " intent = excluded.intent, state = excluded.state, block_number = NULL, block_hash = NULL, is_told = 0",
            row,
        )

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _attempt(row: Sequence[object]) -> Attempt:
    match row:
        case (
            bytes(hash_), bytes(sender), int(nonce), str(intent), bytes(to), str(value), bytes(data), bytes(raw),
            str(fee), str(tip), int(gas), str(state), number, block_hash, int(told),
        ):  # fmt: skip
            return Attempt(
                SignedTransaction(hash_, raw, nonce, Fees(int(fee), int(tip)), gas),
                sender,
                Call(to, data, int(value), intent),
                State(state),
                number if isinstance(number, int) else None,
                block_hash if isinstance(block_hash, bytes) else None,
                bool(told),
            )
    raise StoreError("the journal of transactions is damaged")


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StoreError(
            f"the journal of transactions {path} cannot be used: {why}",
            fix="free the disk or repair the file; it knows which payments may still happen, so do not delete it",
        ) from error
