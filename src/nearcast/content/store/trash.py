"""Files that lost their object and still have to be unlinked.

A removal is one commit: the rows go, the names of their files come into the table `trash`. The unlinks follow in
slices, some at once and the rest with the upkeep, for on a busy disk ten thousand of them take seconds. A crash loses
nothing: opening the store reads the table. A name that is given to a new file before its unlink is taken out of here
first.

Invariant: names in `objects` are given and taken only under the index's lock.
"""

from nearcast.content.store.index import Transaction
from nearcast.content.store.layout import Layout

Name = tuple[bytes, str]
"""An object's key and the suffix of its file."""


class Trash:
    """The names, in the order they came. Use it under the index's lock."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._waiting: dict[Name, None] = {}
        self._settled: set[Name] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def load(self, texts: list[str]) -> None:
        """What was still to be unlinked when the store was last used."""
        for text in texts:
            key, dot, suffix = text.partition(".")
            self._waiting[bytes.fromhex(key), dot + suffix] = None

    def save(self, sql: Transaction, names: list[Name]) -> set[Name]:
        """Notes new names, in the transaction that takes their objects away; what it no longer needs to note."""
        settled = set(self._settled)
        sql.run_many("delete from trash where path in (%s)", [_text(name) for name in settled])
        sql.insert("insert or ignore into trash values %s", 1, [(_text(name),) for name in names])
        return settled

    def saved(self, names: list[Name], settled: set[Name]) -> None:
        """That transaction is durable."""
        self._settled -= settled
        self._waiting.update(dict.fromkeys(names))

    def reclaim(self, name: Name) -> None:
        """The name is given to a new file; the next transaction says so."""
        if name in self._waiting:
            del self._waiting[name]
            self._settled.add(name)

    def unlink_some(self, count_max: int) -> list[Name]:
        """Unlinks the oldest; their names. Raises OSError, with the name still waiting."""
        gone: list[Name] = []
        while self._waiting and len(gone) < count_max:
            name = next(iter(self._waiting))
            self._layout.object(*name).unlink(missing_ok=True)
            del self._waiting[name]
            self._settled.add(name)
            gone.append(name)
        return gone


def _text(name: Name) -> str:
    key, suffix = name
    return key.hex() + suffix
