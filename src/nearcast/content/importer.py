"""Files and folders become content: read once, hashed in two threads, named by the profile `unixfs-v1-2025`.

A file over 64 KiB is referenced where it lies (or copied, if asked); smaller ones, directories and symlinks go into the
store's packs. Hidden files are left out, symlinks kept and never followed, names sorted: the same tree gives the same
root on every machine.

Nothing is pinned before everything is there. A failure or crash half-way leaves blocks that nobody refers to, which the
store may drop like any cached block.
"""

import os
import stat
from collections import deque
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from nearcast.content.batches import Batches, Refuse
from nearcast.content.cid import Cid, raw_cid
from nearcast.content.directory import build_directory, build_symlink
from nearcast.content.largefile import LargeFile, LargeFiles, changed, unreadable
from nearcast.content.nodes import Entry
from nearcast.content.progress import Progress, ProgressCallback
from nearcast.content.store import Store
from nearcast.content.store.types import guard_of
from nearcast.errors import NotFoundError, UsageError

SMALL_FILE_BYTES_MAX = 64 << 10  # up to here files live in packs: the store keeps no larger blocks of ours there
DEPTH_MAX = 200  # folders within folders; readers give up at paths of 256 segments
LARGE_FILES_AHEAD = 4  # large files being hashed at once: so that two threads stay busy over files of a leaf or two

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe put in a file's place must not block

Kind = Literal["file", "folder", "symlink"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import found. `size_bytes` counts the files' bytes; `name` is what the root was pinned as."""

    root: Cid
    name: str
    files: int
    folders: int
    symlinks: int
    size_bytes: int


class _Link(NamedTuple):
    """What a directory needs to know of something that was stored."""

    cid: Cid
    tsize: int


def import_path(
    store: Store,
    path: Path,
    *,
    in_place: bool,
    hidden: bool = False,
    wrap: bool = False,
    progress: ProgressCallback | None = None,
    name: str | None = None,
    refuse: Refuse | None = None,
) -> Imported:
    """Imports a file or folder and pins its root as `name` (default: the path's last part); durable on return.

    `wrap` puts a single file into a folder, so that its name is part of the content. `progress(bytes, files)` is
    called a few times a second. Raises NotFoundError, StoreError or UsageError naming the file that is missing,
    unreadable or of no kind that can be shared, ChangedError when one changed meanwhile, DiskFullError; whatever
    `refuse` raises, which is asked of every block. Then nothing is pinned.
    """
    top = os.path.realpath(path)
    if not os.path.lexists(top):
        raise NotFoundError(f"there is no file or folder {path}")
    pinned_as = name or os.path.basename(top) or top
    counted = Progress(progress)
    with (
        store.eviction_paused(),
        Batches(store, refuse) as batches,
        LargeFiles(store, batches, counted, in_place=in_place) as large,
    ):
        task = _Import(batches, large, counted, hidden=hidden)
        root = task.top(top, wrap=wrap)
        batches.pin(root, pinned_as)
    counted.report()
    return Imported(root, pinned_as, counted.files, task.folders, task.symlinks, counted.bytes)


class _Import:
    """One walk over the user's files."""

    def __init__(self, batches: Batches, large: LargeFiles, progress: Progress, *, hidden: bool) -> None:
        self._batches = batches
        self._large = large
        self._progress = progress
        self._hidden = hidden
        self.folders = 0
        self.symlinks = 0

    def top(self, path: str, *, wrap: bool) -> Cid:
        """Stores everything at `path`; its root."""
        if stat.S_ISDIR(_status(path).st_mode):
            return self._folder(path, 0).cid
        file = self._file(path)
        link = _Link(*self._large.finish(file)) if isinstance(file, LargeFile) else file
        return self._put_folder([Entry(os.path.basename(path), link.cid, link.tsize)]).cid if wrap else link.cid

    def _folder(self, path: str, depth: int) -> _Link:
        if depth > DEPTH_MAX:
            raise UsageError(f"{path} lies over {DEPTH_MAX} folders deep", fix="share a folder further down")
        entries: list[Entry] = []
        waiting: deque[tuple[str, LargeFile]] = deque()
        prefix = path if path.endswith("/") else path + "/"
        for name, kind in self._listing(path):
            below = prefix + name
            if kind == "file":
                file = self._file(below)
                if isinstance(file, LargeFile):
                    waiting.append((name, file))
                    if len(waiting) == LARGE_FILES_AHEAD:
                        entries.append(self._finished(*waiting.popleft()))
                    continue
                link = file
            else:
                link = self._folder(below, depth + 1) if kind == "folder" else self._symlink(below)
            entries.append(Entry(name, link.cid, link.tsize))
        entries += [self._finished(name, file) for name, file in waiting]
        return self._put_folder(entries)

    def _listing(self, path: str) -> list[tuple[str, Kind]]:
        """(name, kind) of what is to be stored of a folder, sorted."""
        found: list[tuple[str, Kind]] = []
        try:
            with os.scandir(path) as entries:
                found = [
                    (entry.name, _kind(entry)) for entry in entries if self._hidden or not entry.name.startswith(".")
                ]
        except OSError as error:
            raise unreadable(path, error) from error
        for name, _ in found:
            if not name.isascii():
                _check_text(path, name)
        return sorted(found)

    def _file(self, path: str) -> _Link | LargeFile:
        """A small file is stored at once, a large one only begun."""
        try:
            descriptor = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _unsuitable(path)
            if status.st_size > SMALL_FILE_BYTES_MAX:
                owned, descriptor = descriptor, -1
                return self._large.start(path, owned, guard_of(status))
            data = os.read(descriptor, status.st_size + 1)
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if len(data) != status.st_size:
            raise changed(path)
        cid = raw_cid(sha256(data).digest())
        self._batches.put_block(cid, data)
        self._progress.add(len(data), files=1)
        return _Link(cid, len(data))

    def _finished(self, name: str, file: LargeFile) -> Entry:
        return Entry(name, *self._large.finish(file))

    def _symlink(self, path: str) -> _Link:
        try:
            target = os.readlink(path)
        except OSError as error:
            raise unreadable(path, error) from error
        _check_text(path, target)
        cid, block = build_symlink(target)
        self._batches.put_block(cid, block)
        self.symlinks += 1
        return _Link(cid, len(block))

    def _put_folder(self, entries: list[Entry]) -> _Link:
        dag = build_directory(entries)
        for cid, block in dag.nodes:
            self._batches.put_block(cid, block)
        self.folders += 1
        return _Link(dag.root, dag.tsize)


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    if entry.is_symlink():
        return "symlink"
    raise _unsuitable(entry.path)


def _unsuitable(path: str) -> UsageError:
    return UsageError(f"{path} is neither a file nor a folder nor a symlink", fix="share without it")


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error


def _check_text(path: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        where = os.fsencode(path).decode(errors="replace")
        raise UsageError(f"in {where}: the name {name!r} is not UTF-8", fix="rename it") from None
