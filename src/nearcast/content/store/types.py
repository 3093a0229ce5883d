"""What the store tells and is told: plain values, no behaviour."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from nearcast.content.cid import Cid

Kind = Literal["packed", "flat", "in place", "partial", "inside", "changed"]
"""Where an object's bytes are: in a pack, in a file of ours, in the user's own file, on their way, inside a flat file;
or nowhere any more, because the user's file is not what it was."""

Listener = Callable[[str, str], None]
"""`listener(event, line)`: something the operator should know, as one clear line. Called from any thread; be quick."""


class FileGuard(NamedTuple):
    """What must not change while a file is shared in place. Anything that writes to it moves at least `ctime_ns`."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


def guard_of(status: os.stat_result) -> FileGuard:
    return FileGuard(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Extent:
    """Contiguous bytes of a whole file or raw block, ready for sendfile."""

    path: Path
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What the store knows about one name.

    `complete` speaks of this object alone: a directory's block is complete though its files may be missing.
    """

    cid: Cid
    kind: Kind
    size_bytes: int
    complete: bool
    held: bool
    in_place: Path | None


@dataclass(frozen=True, slots=True)
class Pin:
    """A root that is kept, with everything reachable from it, until it is unpinned."""

    root: Cid
    name: str
    created_unix_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What the store holds. `cached_bytes` count against the quota; bytes shared in place count nowhere."""

    objects: int
    held_bytes: int
    cached_bytes: int
    quota_bytes: int


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """One step of re-verification. `bad` were dropped, or marked as changed when they are the user's own files."""

    objects: int
    bytes: int
    bad: tuple[Cid, ...]
    finished_round: bool


class Reference(NamedTuple):
    """The user's own file that holds an object's bytes, and what it looked like when they were hashed."""

    path: bytes
    guard: FileGuard
