"""The functions by which nodes write files, watched: which of it is on the disk for good is noted in a Volume.

Only calls of the module `os` and `open` are seen, and only below the folders that are watched. Syncing costs nothing
here: there is no disk behind it. Undone when the block ends.
"""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from nearcast.sim.whole.volume import DATABASE, NameChange, Volume, Write

_WRITING: Final = os.O_WRONLY | os.O_RDWR
_WRAPPED: Final = (
    "open",
    "close",
    "write",
    "pwrite",
    "ftruncate",
    "truncate",
    "fsync",
    "fdatasync",
    "rename",
    "replace",
    "link",
)
_UNLINKING: Final = ("unlink", "remove")


class Disk:
    """All volumes below `root`, each in a folder of its own there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.volumes: dict[str, Volume] = {}
        self._prefix = f"{root}{os.sep}"
        self._open: dict[int, tuple[Volume, int]] = {}  # by descriptor: whose, and the inode
        self._os: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in (*_WRAPPED, *_UNLINKING)}
        self._io_open = io.open
        self._kept = 0

    def volume_of(self, path: Any) -> Volume | None:
        """Whose a path is; None for one that is nobody's, or of a node that is no more."""
        if isinstance(path, int):
            return None
        text = os.fsdecode(path)
        if not text.startswith(self._prefix):
            return None
        volume = self.volumes.get(text[len(self._prefix) :].partition(os.sep)[0])
        return None if volume is None or volume.is_dead else volume

    # Descriptors.

    def open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        volume = self.volume_of(path)
        if volume is None or not flags & (_WRITING | os.O_CREAT):
            return int(self._os["open"](path, flags, mode, **options))
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if is_new:
            volume.step(may_fail=True)
        before = None if is_new else os.stat(path)
        if before is not None and flags & os.O_TRUNC:
            with self._io_open(path, "rb") as file:
                volume.wrote(before.st_ino, Write(0, None, file.read(), before.st_size))
        descriptor = int(self._os["open"](path, flags, mode, **options))
        if is_new:
            self._created(volume, path)
        self._open[descriptor] = (volume, os.fstat(descriptor).st_ino)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        self._os["close"](descriptor)

    def _file(self, descriptor: int) -> tuple[Volume, os.stat_result] | None:
        """Whose file it is, and what it is like now."""
        found = self._open.get(descriptor)
        if found is None or found[0].is_dead:
            return None
        state = os.fstat(descriptor)
        if state.st_ino != found[1]:  # it was closed past us, and its number given to another
            del self._open[descriptor]
            return None
        return found[0], state

    def write(self, descriptor: int, data: Any) -> int:
        if (found := self._file(descriptor)) is None:
            return int(self._os["write"](descriptor, data))
        volume, state = found
        volume.step(may_fail=True)
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        written = int(self._os["write"](descriptor, data))
        end = os.lseek(descriptor, 0, os.SEEK_CUR)  # with O_APPEND it went to the end
        offset = offset if end == offset + written else end - written
        volume.wrote(state.st_ino, Write(offset, bytes(data)[:written], b"", state.st_size))
        return written

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        if (found := self._file(descriptor)) is None:
            return int(self._os["pwrite"](descriptor, data, offset))
        volume, state = found
        volume.step(may_fail=True)
        old = self._read(descriptor, offset, len(data)) if offset < state.st_size else b""
        written = int(self._os["pwrite"](descriptor, data, offset))
        volume.wrote(state.st_ino, Write(offset, bytes(data)[:written], old[:written], state.st_size))
        return written

    def ftruncate(self, descriptor: int, size_bytes: int) -> None:
        if (found := self._file(descriptor)) is not None:
            volume, state = found
            volume.step(may_fail=True)
            old = self._read(descriptor, size_bytes, state.st_size - size_bytes) if size_bytes < state.st_size else b""
            volume.wrote(state.st_ino, Write(size_bytes, None, old, state.st_size))
        self._os["ftruncate"](descriptor, size_bytes)

    def truncate(self, path: Any, size_bytes: int) -> None:
        descriptor = self.open(path, os.O_RDWR)
        try:
            self.ftruncate(descriptor, size_bytes)
        finally:
            self.close(descriptor)

    def sync(self, descriptor: int) -> None:
        """fsync and fdatasync, of files and of folders."""
        place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        volume = self.volume_of(place)
        if volume is None:
            return
        volume.step(may_fail=True)
        if place.is_dir():
            volume.synced_folder(place)
        else:
            volume.seal(os.fstat(descriptor))

    def _read(self, descriptor: int, offset: int, size_bytes: int) -> bytes:
        """What is there now, also where the descriptor is for writing only."""
        with self._io_open(f"/proc/self/fd/{descriptor}", "rb", buffering=0) as file:
            return os.pread(file.fileno(), size_bytes, offset)

    # Names.

    def open_file(self, path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """`open` of Python: what is written to it is known by its size and time only."""
        volume = self.volume_of(path) if set(mode) & set("wxa+") else None
        if volume is None or os.path.lexists(path):
            return self._io_open(path, mode, *arguments, **options)
        volume.step(may_fail=True)
        file = self._io_open(path, mode, *arguments, **options)
        self._created(volume, path)
        return file

    def move(self, name: str, source: Any, target: Any, **options: Any) -> None:
        """rename and replace."""
        if (volume := self.volume_of(target)) is None:
            self._os[name](source, target, **options)
            return
        volume.step(may_fail=True)
        path, origin = Path(target), Path(source)
        kept = self._keep(volume, path)
        self._os[name](source, target, **options)
        volume.named(NameChange("rename", path.parent, path, origin, kept))

    def link(self, source: Any, target: Any, **options: Any) -> None:
        volume = self.volume_of(target)
        if volume is not None:
            volume.step(may_fail=True)
        self._os["link"](source, target, **options)
        if volume is not None:
            self._created(volume, target)

    def unlink(self, name: str, path: Any, **options: Any) -> None:
        if (volume := self.volume_of(path)) is not None:
            volume.step(may_fail=False)
            kept = self._keep(volume, Path(path))
            if kept is not None:
                volume.named(NameChange("unlink", Path(path).parent, Path(path), kept=kept))
        self._os[name](path, **options)

    def _created(self, volume: Volume, path: Any) -> None:
        """SQLite syncs the folder with its first commit, past us: names of its files are safe."""
        if DATABASE not in Path(path).name:
            volume.named(NameChange("create", Path(path).parent, Path(path)))

    def _keep(self, volume: Volume, path: Path) -> Path | None:
        """Another name for what has this one, since it loses it."""
        if not path.is_file():
            return None
        self._kept += 1
        kept = volume.attic / str(self._kept)
        self._os["link"](path, kept)
        return kept

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While the block runs."""
        ours: dict[str, Callable[..., Any]] = {
            **{
                name: getattr(self, name)
                for name in ("open", "close", "write", "pwrite", "ftruncate", "truncate", "link")
            },
            **dict.fromkeys(("fsync", "fdatasync"), self.sync),
            **{name: partial(self.move, name) for name in ("rename", "replace")},
            **{name: partial(self.unlink, name) for name in _UNLINKING},
        }
        with ExitStack() as stack:
            for name, function in ours.items():
                stack.callback(setattr, os, name, self._os[name])
                setattr(os, name, function)
            for module in (io, builtins):
                stack.callback(setattr, module, "open", self._io_open)
                vars(module)["open"] = self.open_file
            yield
