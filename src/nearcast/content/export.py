"""Content becomes files again: a file, or a whole tree, at a place where nothing was before.

Everything is written under a temporary name beside the destination and renamed when it is complete, so the destination
is either not there or whole. Names come from strangers: what is not a plain file name is refused, nothing is opened
that exists already, and symlinks are made last of all, so that no byte can be written through one.
"""

import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.content.cid import Cid
from nearcast.content.filecopy import copy_extent, write_pieces, writing
from nearcast.content.nodes import DirectoryNode, FileNode, RawLeaf, ShardNode, SymlinkNode
from nearcast.content.progress import Progress, ProgressCallback
from nearcast.content.reader import entries, read_range, resolve
from nearcast.content.store import Store
from nearcast.errors import DiskFullError, IntegrityError, LimitError, NotFoundError, UsageError

ENTRIES_MAX = 1 << 22  # guess: a tree of 4 M files; a few blocks that share children could ask for any number
DEPTH_MAX = 256  # as far as a path may go, see reader.PATH_SEGMENTS_MAX


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    files: int
    folders: int
    symlinks: int
    size_bytes: int


def materialise(
    store: Store, root: Cid, destination: Path, *, progress: ProgressCallback | None = None, overwrite: bool = False
) -> Exported:
    """Writes the file or folder `root` to `destination`; `progress(bytes, files)` is called a few times a second.

    Raises UsageError when the destination exists and `overwrite` is not set, MissingBlockError at a gap, IntegrityError
    for names that no file may have, LimitError, ChangedError, DiskFullError, StoreError. Nothing is left behind then.
    """
    destination = Path(os.path.abspath(destination))
    if not destination.parent.is_dir():
        raise NotFoundError(f"there is no folder {destination.parent}", fix="make it first")
    _check_free(destination, overwrite=overwrite)
    temporary = destination.parent / f".{destination.name[:100]}.{secrets.token_hex(6)}.part"
    task = _Export(store, Progress(progress))
    try:
        with store.lease(root):
            task.write(root, temporary)
        with writing(destination):
            _check_free(destination, overwrite=overwrite)
            _move(temporary, destination)
    except BaseException:
        _remove(temporary)
        raise
    task.progress.report()
    return Exported(destination, task.progress.files, task.folders, task.symlinks_made, task.progress.bytes)


class _Export:
    """One tree being written."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self.progress = progress
        self.folders = 0
        self.symlinks_made = 0
        self._store = store
        self._entries = 0
        self._folders_waiting: list[tuple[Cid, Path, int]] = []
        self._symlinks: list[tuple[Path, str]] = []

    def write(self, root: Cid, path: Path) -> None:
        self._item(root, path, 0)
        while self._folders_waiting:
            cid, folder, depth = self._folders_waiting.pop()
            for entry in entries(self._store.get_block, cid):
                self._item(entry.cid, folder / _plain(entry.name), depth + 1)
        for path, target in self._symlinks:
            with writing(path):
                os.symlink(target, path)
            self.symlinks_made += 1

    def _item(self, cid: Cid, path: Path, depth: int) -> None:
        self._entries += 1
        if self._entries > ENTRIES_MAX or depth > DEPTH_MAX:
            raise LimitError(f"a tree of over {ENTRIES_MAX} entries, or {DEPTH_MAX} levels deep")
        match resolve(self._store.get_block, cid, "").node:
            case RawLeaf() as leaf:
                self._file(path, cid, len(leaf.data), leaf.data)
            case FileNode() as node:
                self._file(path, cid, node.size_bytes, None)
            case SymlinkNode() as link:
                self._symlinks.append((path, link.target))
            case DirectoryNode() | ShardNode():
                with writing(path):
                    path.mkdir()
                self.folders += 1
                self._folders_waiting.append((cid, path, depth))

    def _file(self, path: Path, cid: Cid, size_bytes: int, data: bytes | None) -> None:
        """A small file's bytes come in its block; of a large one they lie in one piece or are gathered."""
        with writing(path):
            if size_bytes > BLOCK_BYTES_MAX and size_bytes > shutil.disk_usage(path.parent).free:
                raise DiskFullError(f"{path} would have {size_bytes} bytes, the disk has not so many left")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if data is not None:
                write_pieces(path, descriptor, [data], self.progress)
            elif not copy_extent(self._store, cid, path, descriptor, self.progress):
                pieces = read_range(self._store.get_block, cid, 0, size_bytes)
                write_pieces(path, descriptor, pieces, self.progress)
        finally:
            os.close(descriptor)
        self.progress.add(0, files=1)


def _plain(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise IntegrityError(f"the folder holds an entry named {name!r}, which no file may be called")
    return name


def _check_free(destination: Path, *, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(destination):
        raise UsageError(f"{destination} exists already", fix="choose another place, or allow it to be overwritten")


def _move(temporary: Path, destination: Path) -> None:
    """Gives the tree its name. What stood there is moved aside first and removed after; of a symlink only itself."""
    if not os.path.lexists(destination) or not (destination.is_dir() or temporary.is_dir()):
        os.replace(temporary, destination)
        return
    aside = temporary.with_suffix(".old")
    os.rename(destination, aside)
    try:
        os.rename(temporary, destination)
    except OSError:
        os.rename(aside, destination)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
