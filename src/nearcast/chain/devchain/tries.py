"""Merkle-Patricia roots: of the state, kept up block by block, and of a block's transactions and receipts."""

from collections.abc import Iterable, Sequence
from typing import Final

from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from nearcast.chain import rlp
from nearcast.chain.devchain.cells import BALANCE, CODE, NONCE, STORAGE, Cells, Change

EMPTY_ROOT: Final = keccak(rlp.encode(b""))
EMPTY_CODE_HASH: Final = keccak(b"")


class StateTrie:
    """The trie of accounts and one trie for each account's storage. Old nodes are kept, so going back is a new root."""

    def __init__(self) -> None:
        self._nodes: dict[bytes, bytes] = {}
        self._storage_roots: dict[bytes, bytes] = {}
        self._hashes: dict[bytes, bytes] = {}  # of addresses, slots and codes: hashing is most of the work
        self.root: bytes = EMPTY_ROOT

    def follow(self, cells: Cells, changes: Iterable[Change]) -> bytes:
        """Bring in the present values of everything that changed; returns the new root."""
        accounts: dict[bytes, list[int]] = {}
        for table, key, _ in changes:
            if table == STORAGE:
                assert isinstance(key, tuple)
                accounts.setdefault(key[0], []).append(key[1])
            else:
                assert isinstance(key, bytes)
                accounts.setdefault(key, [])
        trie = HexaryTrie(self._nodes, self.root)
        with trie.squash_changes() as batch:
            for address, slots in accounts.items():
                if slots:
                    self._follow_storage(cells, address, slots)
                row = self._account(cells, address)
                batch[self._hash(address)] = row
        self.root = trie.root_hash
        return self.root

    def _follow_storage(self, cells: Cells, address: bytes, slots: list[int]) -> None:
        trie = HexaryTrie(self._nodes, self._storage_roots.get(address, EMPTY_ROOT))
        with trie.squash_changes() as batch:
            for slot in slots:
                value = cells.tables[STORAGE].get((address, slot), 0)
                key = self._hash(slot.to_bytes(32, "big"))
                batch[key] = rlp.encode(value) if value else b""
        self._storage_roots[address] = trie.root_hash

    def _account(self, cells: Cells, address: bytes) -> bytes:
        nonce = cells.tables[NONCE].get(address, 0)
        balance = cells.tables[BALANCE].get(address, 0)
        code = cells.tables[CODE].get(address, b"")
        if not (nonce or balance or code):
            return b""  # which the trie takes as a removal
        code_hash = self._hash(code) if code else EMPTY_CODE_HASH
        return rlp.encode([nonce, balance, self._storage_roots.get(address, EMPTY_ROOT), code_hash])

    def _hash(self, data: bytes) -> bytes:
        known = self._hashes.get(data)
        if known is None:
            known = self._hashes[data] = keccak(data)
        return known


def list_root(items: Sequence[bytes]) -> bytes:
    """The root of a block's transactions or receipts, each already encoded."""
    if not items:
        return EMPTY_ROOT
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return bytes(trie.root_hash)
