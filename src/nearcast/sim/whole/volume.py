"""What of a node's folder is on the disk for good, and what a power cut may still take: what was not yet synced.

A write is safe once its file was synced (fsync, fdatasync), a name (created, renamed, linked, unlinked) once its folder
was. Until then it is remembered here, with what it replaced, so that crash_image.py can keep, lose or tear it. SQLite
writes past us; its files are taken as they are at the instant of the crash, its log with them.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

NameAct = Literal["create", "rename", "unlink"]
DATABASE: Final = ".sqlite"  # in the names of SQLite's files and of its logs


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes put at `offset` of a file of `old_size_bytes`; `old` was there. `new` None: cut to `offset`."""

    offset: int
    new: bytes | None
    old: bytes
    old_size_bytes: int


@dataclass(frozen=True, slots=True)
class NameChange:
    """A name in `folder`. `kept` has the inode that lost it, so that this can be undone; `source`: of a rename."""

    act: NameAct
    folder: Path
    path: Path
    source: Path | None = None
    kept: Path | None = None


@dataclass(eq=False)
class Volume:
    """The disk of one node, from one start to its crash. `attic`: where lost inodes are kept, outside of `folder`."""

    folder: Path
    attic: Path
    rng: random.Random
    writes: dict[int, list[Write]] = field(default_factory=dict)  # by inode, since it was synced
    names: list[NameChange] = field(default_factory=list)
    sealed: dict[int, tuple[int, int]] = field(default_factory=dict)  # by inode: size and mtime when it was safe
    operations: int = 0
    crash_at: int | None = None  # before this operation
    on_crash: Callable[[], None] = lambda: None
    failing: int = 0  # an errno, for some of the writes
    failing_share: float = 0.0
    failures: int = 0
    is_dead: bool = False

    def __post_init__(self) -> None:
        self.attic.mkdir(parents=True, exist_ok=True)
        for found in sorted(self.folder.rglob("*")):
            if found.is_file():
                self.seal(found.stat())

    def seal(self, state: os.stat_result) -> None:
        """What a file holds now is safe."""
        self.sealed[state.st_ino] = (state.st_size, state.st_mtime_ns)
        self.writes.pop(state.st_ino, None)

    def step(self, *, may_fail: bool) -> None:
        """Before each operation: the power may go, and the disk may refuse. Raises OSError."""
        self.operations += 1
        if self.crash_at is not None and self.operations >= self.crash_at:
            self.crash_at = None
            self.on_crash()
        if may_fail and self.failing and self.rng.random() < self.failing_share:
            self.failures += 1
            raise OSError(self.failing, os.strerror(self.failing))

    def wrote(self, inode: int, write: Write) -> None:
        self.writes.setdefault(inode, []).append(write)

    def named(self, change: NameChange) -> None:
        self.names.append(change)
        if change.act == "create":  # the number may be one that a file had that is gone
            inode = change.path.stat().st_ino
            self.writes.pop(inode, None)
            self.sealed.pop(inode, None)

    def synced_folder(self, folder: Path) -> None:
        """The names in it are safe."""
        for change in self.names:
            if change.folder == folder and change.kept is not None:
                change.kept.unlink(missing_ok=True)
        self.names = [change for change in self.names if change.folder != folder]
