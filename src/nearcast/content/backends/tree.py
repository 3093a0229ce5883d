"""Keys become folders: the same tree that an import of the same files in folders would find."""

from collections.abc import Iterator
from typing import TypeAlias, Union

from nearcast.content.backends.base import KEY_DEPTH_MAX
from nearcast.content.cid import Cid
from nearcast.content.directory import build_directory
from nearcast.content.nodes import Entry
from nearcast.errors import LimitError, UsageError

KEYS_MAX = 4_000_000  # of one backend; some 2 GB of memory while it is added (measured: 400 bytes each)

_Leaf: TypeAlias = tuple[Cid, int]
_Folder: TypeAlias = dict[str, Union["_Folder", _Leaf]]


def is_hidden(key: str) -> bool:
    """Whether any part of it begins with a dot: an import leaves those out."""
    return any(part.startswith(".") for part in key.split("/"))


class Tree:
    """Put everything in, then `build`."""

    def __init__(self) -> None:
        self._root: _Folder = {}
        self._keys = 0
        self.folders = 0

    def put(self, key: str, cid: Cid, tsize: int) -> None:
        """A file or a symlink. Raises UsageError for a key that no folder can hold, LimitError over KEYS_MAX."""
        *above, name = _parts(key)
        self._count()
        folder = self._folder(above, key)
        if name in folder:
            raise _both(key)
        folder[name] = cid, tsize

    def put_folder(self, key: str) -> None:
        """A folder that is there even if nothing is in it."""
        self._count()
        self._folder(_parts(key) if key else [], key)

    def build(self) -> tuple[Cid, Iterator[tuple[Cid, bytes]]]:
        """The root, and the nodes of all folders. Empties the tree."""
        nodes: list[tuple[Cid, bytes]] = []
        root, _ = self._build(self._root, nodes)
        return root, iter(nodes)

    def _build(self, folder: _Folder, nodes: list[tuple[Cid, bytes]]) -> _Leaf:
        entries: list[Entry] = []
        for name in sorted(folder):
            item = folder.pop(name)
            cid, tsize = self._build(item, nodes) if isinstance(item, dict) else item
            entries.append(Entry(name, cid, tsize))
        dag = build_directory(entries)
        nodes += dag.nodes
        self.folders += 1
        return dag.root, dag.tsize

    def _folder(self, parts: list[str], key: str) -> _Folder:
        folder = self._root
        for part in parts:
            below = folder.setdefault(part, {})
            if not isinstance(below, dict):
                raise _both(key)
            folder = below
        return folder

    def _count(self) -> None:
        self._keys += 1
        if self._keys > KEYS_MAX:
            raise LimitError(f"a backend of over {KEYS_MAX} files", fix="add its folders one by one")


def _parts(key: str) -> list[str]:
    parts = key.split("/")
    if len(parts) > KEY_DEPTH_MAX + 1:
        raise UsageError(f"{key[:80]}… lies over {KEY_DEPTH_MAX} folders deep", fix="add a folder further down")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UsageError(f"no folder can hold the key {key!r}", fix="rename the object")
    return parts


def _both(key: str) -> UsageError:
    return UsageError(f"on the way of {key!r} a name is both a file and a folder", fix="rename one of them")
