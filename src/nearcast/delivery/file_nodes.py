"""Inner nodes of files, held back until it is known what kind of file they make.

A file whose leaves are all raw is kept as one contiguous object with its few inner nodes beside it: those nodes must
not go into packs as loose blocks. A file with dag-pb leaves is kept block by block, and its nodes should be durable
soon, because they are most of its bytes. The difference shows with the first leaf, some blocks after the root; until
then nodes wait here (0.005 % of a file of raw leaves).
"""

from nearcast.content.cid import Cid
from nearcast.content.nodes import FileNode, Node
from nearcast.content.store import Store


class FileNodes:
    """The held nodes of one download, and reading through them into the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[Cid, bytes] = {}  # by CIDv1, however they were linked
        self._current: list[Cid] = []  # nodes of the file that is just being walked
        self._loose = False  # and whether it has turned out to be kept block by block

    def get_block(self, cid: Cid) -> bytes:
        """GetBlock over both. Raises MissingBlockError."""
        data = self._held.get(cid.v1)
        return self._store.get_block(cid) if data is None else data

    def holds_back(self, cid: Cid, data: bytes, node: Node, *, in_file: bool) -> bool:
        """Takes an inner node of a file that may have a leaf table. False: this block belongs into a pack."""
        if not in_file:
            self._current, self._loose = [], False
        if not isinstance(node, FileNode):
            return False
        self._loose = self._loose or bool(node.inline) or not node.children
        if self._loose:
            return False
        self._held[cid.v1] = data
        self._current.append(cid.v1)
        return True

    def loose(self) -> list[tuple[Cid, bytes]]:
        """Nodes of the file being walked that were held back in vain: it is kept block by block."""
        if not self._loose or not self._current:
            return []
        freed = [(cid, self._held[cid]) for cid in self._current]
        self._current = []
        return freed

    def held(self) -> list[tuple[Cid, bytes]]:
        """Everything held back so far, by CIDv1."""
        return list(self._held.items())
