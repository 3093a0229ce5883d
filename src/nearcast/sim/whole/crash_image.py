"""What a node finds on its disk after the power went: a copy of its folder in which the seed decides about the rest.

Each write that was not synced is kept, lost, or torn (a part of its sectors is there). Of the names of a folder that
was not synced, the first ones are kept and the others never happened: a journaling file system loses the end. A file
that was written past us since it was safe is kept, cut where it was safe, or cut somewhere between.
"""

import random
import shutil
from pathlib import Path
from typing import Final

from nearcast.sim.whole.volume import DATABASE, NameChange, Volume, Write

SECTOR_BYTES: Final = 512  # what a disk writes at least as a whole
_SHARED_MEMORY: Final = "-shm"  # of SQLite's log: made anew by whoever opens it


def make_image(volume: Volume, target: Path) -> None:
    """The folder of `volume` as its next start finds it, at `target`."""
    names = {path.relative_to(volume.folder): path for path in sorted(volume.folder.rglob("*"))}
    folders = [name for name, path in names.items() if path.is_dir()]
    files = {name: path for name, path in names.items() if path.is_file() and not name.name.endswith(_SHARED_MEMORY)}
    for change in _lost_names(volume):
        _undo(volume, change, files)
    target.mkdir(parents=True)
    for name in folders:
        (target / name).mkdir(exist_ok=True)
    for name, path in files.items():
        (target / name).write_bytes(_content(volume, path, is_database=DATABASE in name.name))
        shutil.copymode(path, target / name)


def _lost_names(volume: Volume) -> list[NameChange]:
    """The newest first. Each folder loses its own end."""
    by_folder: dict[Path, list[NameChange]] = {}
    for change in volume.names:
        by_folder.setdefault(change.folder, []).append(change)
    lost = set()
    for changes in by_folder.values():
        kept = volume.rng.randint(0, len(changes))
        lost |= {id(change) for change in changes[kept:]}
    return [change for change in reversed(volume.names) if id(change) in lost]


def _undo(volume: Volume, change: NameChange, files: dict[Path, Path]) -> None:
    """Take a change back, as far as what came after it and was kept allows."""
    name = change.path.relative_to(volume.folder)
    if change.act in ("create", "rename"):
        inode = files.pop(name, None)
        if inode is not None and change.source is not None and change.source.is_relative_to(volume.folder):
            files.setdefault(change.source.relative_to(volume.folder), inode)
    if change.kept is not None and change.kept.exists():
        files.setdefault(name, change.kept)


def _content(volume: Volume, path: Path, *, is_database: bool) -> bytes:
    data, state = path.read_bytes(), path.stat()
    if is_database:
        return data
    writes = volume.writes.get(state.st_ino)
    if writes:
        return replayed(data, writes, volume.rng)
    safe = volume.sealed.get(state.st_ino)
    if safe == (state.st_size, state.st_mtime_ns):
        return data
    safe_bytes = min(safe[0] if safe else 0, len(data))
    return volume.rng.choice((data, data[:safe_bytes], data[: volume.rng.randint(safe_bytes, len(data))]))


def replayed(data: bytes, writes: list[Write], rng: random.Random) -> bytes:
    """`data` without these writes, the newest last, and then with those that the seed keeps or tears."""
    content = bytearray(data)
    for write in reversed(writes):
        _resize(content, write.old_size_bytes)
        content[write.offset : write.offset + len(write.old)] = write.old
    for write in writes:
        fate = rng.choice(("kept", "lost", "torn"))
        if write.new is None:
            if fate == "kept":
                _resize(content, write.offset)
            continue
        new = write.new if fate == "kept" else b"" if fate == "lost" else write.new[: _sectors(len(write.new), rng)]
        if new:
            _resize(content, max(len(content), write.offset + len(new)))
            content[write.offset : write.offset + len(new)] = new
    return bytes(content)


def _sectors(size_bytes: int, rng: random.Random) -> int:
    return rng.randint(0, size_bytes // SECTOR_BYTES) * SECTOR_BYTES


def _resize(content: bytearray, size_bytes: int) -> None:
    if size_bytes < len(content):
        del content[size_bytes:]
    else:
        content.extend(bytes(size_bytes - len(content)))
