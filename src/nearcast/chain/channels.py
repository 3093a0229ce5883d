"""The payer's own book of channels: what the chain cannot say, and what must not be forgotten.

A channel is found on the chain only by whoever knows its config, and how much was promised in vouchers stands nowhere
but with the two who exchanged them. The book keeps both, and every deposit from before its signature exists until it is
known to have happened: a deposit that is tried again uses the same EIP-3009 nonce, so it can never be paid twice.

One SQLite file per chain, synced at every change; the configs in it can be had again from `ChannelCreated` events.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearcast.chain.vouchers import ChannelConfig
from nearcast.errors import StoreError, UsageError

AMOUNT_UNITS_MAX = (1 << 63) - 1  # what SQLite holds in a number; all USDC there is are 2^56 units
CHANNELS_FILE = "channels.sqlite3"  # in the folder of its chain
BUSY_S = 10.0  # how long one process waits for another's change, which takes milliseconds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS channel (
    id BLOB PRIMARY KEY, payer BLOB NOT NULL, payer_authorizer BLOB NOT NULL, receiver BLOB NOT NULL,
    receiver_authorizer BLOB NOT NULL, token BLOB NOT NULL, withdraw_delay_s INTEGER NOT NULL, salt BLOB NOT NULL,
    signed_units INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deposit (
    salt BLOB PRIMARY KEY, channel BLOB NOT NULL REFERENCES channel (id), amount_units INTEGER NOT NULL,
    valid_before_s INTEGER NOT NULL, opens INTEGER NOT NULL, is_done INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""
_CHANNEL_COLUMNS = "id, payer, payer_authorizer, receiver, receiver_authorizer, token, withdraw_delay_s, salt"


@dataclass(frozen=True, slots=True)
class OwnChannel:
    """A channel of ours. `signed_units` is the highest cumulative amount that a voucher of ours ever promised."""

    channel_id: bytes
    config: ChannelConfig
    signed_units: int


@dataclass(frozen=True, slots=True)
class PlannedDeposit:
    """A deposit that was decided on. Until `valid_before_s` (unix) it may still happen, once; `salt` is 32 bytes.

    `opens`: it is the deposit that its channel was made for, not a later one.
    """

    channel_id: bytes
    amount_units: int
    salt: bytes
    valid_before_s: int
    opens: bool


class ChannelBook:
    """Open it with `ChannelBook.open`. Several processes may have it open, and any thread may call.

    Each change is one transaction.
    """

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["ChannelBook"]:
        """The book at `path`, mode 0600, made on first use. StoreError when it cannot be used."""
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode = WAL")  # one sync of the disk for a voucher, and not three
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(_SCHEMA)
                yield cls(database, path)
            finally:
                database.close()

    def add(self, channel_id: bytes, config: ChannelConfig) -> None:
        """Write a channel down; one that is there stays as it is."""
        row = (channel_id, *config.as_tuple())
        self._change(f"INSERT OR IGNORE INTO channel ({_CHANNEL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def of_payer(self, payer: bytes) -> list[OwnChannel]:
        """Every channel that this address pays from."""
        return self._select("payer = ?", (payer,))

    def of_authorizer(self, signer: bytes) -> list[OwnChannel]:
        """Every channel whose vouchers this address signs in the payer's place."""
        return self._select("payer_authorizer = ?", (signer,))

    def get(self, channel_id: bytes) -> OwnChannel | None:
        """The channel of that id, or None."""
        return next(iter(self._select("id = ?", (channel_id,))), None)

    def sign_up_to(self, channel_id: bytes, units: int) -> None:
        """Note, before a voucher leaves, that up to `units` are promised in all. A lower amount changes nothing.

        UsageError for a channel that is not in the book: what is promised there could not be remembered.
        """
        _check_amount(units)
        changed = self._change(
            "UPDATE channel SET signed_units = max(signed_units, ?) WHERE id = ?", (units, channel_id)
        )
        if changed != 1:
            raise UsageError(f"the channel 0x{channel_id.hex()} is not in the book")

    def plan_deposit(self, deposit: PlannedDeposit) -> None:
        """Write down a deposit before it is signed; its channel must be in the book."""
        _check_amount(deposit.amount_units)
        row = (deposit.salt, deposit.channel_id, deposit.amount_units, deposit.valid_before_s, deposit.opens)
        self._change(
            "INSERT INTO deposit (salt, channel, amount_units, valid_before_s, opens) VALUES (?, ?, ?, ?, ?)", row
        )

    def unfinished_deposits(self, payer: bytes) -> list[PlannedDeposit]:
        """Those whose end nobody has seen yet, the one that may happen longest first."""
        rows = self._rows(
            "SELECT deposit.channel, amount_units, deposit.salt, valid_before_s, opens FROM deposit"
            " JOIN channel ON channel.id = deposit.channel WHERE NOT is_done AND payer = ?"
            " ORDER BY valid_before_s DESC, deposit.salt",
            (payer,),
        )
        return [
            PlannedDeposit(channel, amount, salt, valid_before_s, opens=bool(opens))
            for channel, amount, salt, valid_before_s, opens in rows
        ]

    def finish_deposit(self, deposit: PlannedDeposit) -> None:
        """It happened and its maker was told, or it never can happen."""
        self._change("UPDATE deposit SET is_done = 1 WHERE salt = ?", (deposit.salt,))

    def _select(self, condition: str, values: tuple[Any, ...]) -> list[OwnChannel]:
        rows = self._rows(f"SELECT signed_units, {_CHANNEL_COLUMNS} FROM channel WHERE {condition} ORDER BY id", values)
        return [OwnChannel(channel_id, ChannelConfig(*fields), signed) for signed, channel_id, *fields in rows]

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock, _disk_errors(self._path):
            return self._database.execute(query, values).fetchall()

    def _change(self, statement: str, values: tuple[Any, ...]) -> int:
        """How many rows it changed."""
        with self._lock, _disk_errors(self._path):
            return self._database.execute(statement, values).rowcount


def _check_amount(units: int) -> None:
    if not 0 <= units <= AMOUNT_UNITS_MAX:
        raise UsageError(f"{units} units are no amount of USDC")


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the book of channels {path} cannot be used: {error}", fix=f"move it away: {path}") from error
    except OSError as error:
        raise StoreError(f"the book of channels {path} cannot be used: {error.strerror}") from error
