"""The state of all accounts as four tables, with a log of what every write replaced.

py-evm keeps state in tries behind journals; here a read is one lookup, and going back (a revert inside of a
transaction, a snapshot, the state of an older block) is writing the replaced values again. The tries are only made for
the state root (tries.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

BALANCE: Final = 0
NONCE: Final = 1
CODE: Final = 2
STORAGE: Final = 3
WARM: Final = 4  # EIP-2929: what this transaction has touched
TRANSIENT: Final = 5  # EIP-1153
LASTING: Final = 4  # tables below this number outlive the transaction

Key = bytes | tuple[bytes, int]  # an address (20 bytes), or one storage slot of it
Change = tuple[int, Key, Any]  # table, key, what was there before: None for nothing


@dataclass
class Account:
    """One account. `balance` in wei; `storage` from slot to value, both 256-bit integers; no zero values needed."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: dict[int, int] = field(default_factory=dict)


class Cells:
    """The tables. A missing key is 0, or no code."""

    def __init__(self) -> None:
        self.tables: tuple[dict[Any, Any], ...] = ({}, {}, {}, {}, {}, {})
        self.changes: list[Change] = []
        self.originals: dict[tuple[bytes, int], int] = {}  # slots as they were when this transaction began

    def put(self, table: int, key: Key, value: Any) -> None:
        """Write `value`; 0, b"" and None mean nothing and are not kept."""
        rows = self.tables[table]
        before = rows.get(key)
        if value == before or (not value and before is None):
            return
        self.changes.append((table, key, before))
        if value:
            rows[key] = value
        else:
            del rows[key]

    def mark(self) -> int:
        """A point to `roll_back` to, within this block."""
        return len(self.changes)

    def roll_back(self, mark: int) -> None:
        """Undo every write since `mark`."""
        undone = self.changes[mark:]
        del self.changes[mark:]
        self.undo(undone)

    def undo(self, changes: list[Change]) -> None:
        """Write the replaced values again, the newest first."""
        for table, key, before in reversed(changes):
            if before is None:
                self.tables[table].pop(key, None)
            else:
                self.tables[table][key] = before

    def end_transaction(self) -> None:
        """Forget what only lasts for one transaction."""
        self.tables[WARM].clear()
        self.tables[TRANSIENT].clear()
        self.originals.clear()

    def take_changes(self) -> list[Change]:
        """The first replaced value of every lasting cell since the last call, and start over."""
        first: dict[tuple[int, Key], Any] = {}
        for table, key, before in self.changes:
            if table < LASTING:
                first.setdefault((table, key), before)
        self.changes = []
        return [(table, key, before) for (table, key), before in first.items()]

    def storage_of(self, address: bytes) -> dict[int, int]:
        """All slots of one account: a walk over every slot there is."""
        return {key[1]: value for key, value in self.tables[STORAGE].items() if key[0] == address}

    def account(self, address: bytes) -> Account:
        """A copy of one account with all its storage."""
        tables = self.tables
        return Account(
            tables[BALANCE].get(address, 0),
            tables[NONCE].get(address, 0),
            tables[CODE].get(address, b""),
            self.storage_of(address),
        )

    def accounts(self) -> dict[bytes, Account]:
        """A copy of everything."""
        addresses: set[bytes] = set().union(*(self.tables[table] for table in (BALANCE, NONCE, CODE)))
        found = {
            address: Account(*(self.tables[table].get(address, 0) for table in (BALANCE, NONCE)))
            for address in addresses
        }
        for address, account in found.items():
            account.code = self.tables[CODE].get(address, b"")
        for (address, slot), value in self.tables[STORAGE].items():
            found[address].storage[slot] = value
        return found

    def all_as_changes(self) -> list[Change]:
        """Every lasting cell, as if it had just been written."""
        return [(table, key, None) for table in range(LASTING) for key in self.tables[table]]

    def write_account(self, address: bytes, account: Account) -> None:
        """Put a whole account there."""
        self.put(BALANCE, address, account.balance)
        self.put(NONCE, address, account.nonce)
        self.put(CODE, address, account.code)
        for slot, value in account.storage.items():
            self.put(STORAGE, (address, slot), value)

    def copy_undone(self, blocks: Iterable[list[Change]]) -> "Cells":
        """A copy with the changes of `blocks` undone, the newest block first: the state some blocks ago."""
        past = Cells()
        past.tables = tuple(dict(table) for table in self.tables)
        for changes in blocks:
            past.undo(changes)
        return past
