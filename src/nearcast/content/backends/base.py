"""What can be asked of every backend: what it holds, and bytes of it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

KEY_DEPTH_MAX = 200  # folders within folders, as in importer.py


@dataclass(frozen=True, slots=True)
class BackendObject:
    """A file of a backend. `key` is its path below the backend's address; `version` changes when its bytes do.

    How well `version` tells depends on the backend: an entity tag where there is one, else size and time.
    """

    key: str
    size_bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class BackendFolder:
    """A folder that is there though it may be empty."""

    key: str


@dataclass(frozen=True, slots=True)
class BackendSymlink:
    """A symbolic link, which nobody follows."""

    key: str
    target: str


BackendEntry: TypeAlias = BackendObject | BackendFolder | BackendSymlink


class Backend(Protocol):
    """Read-only. Safe for several requests at a time.

    Every method raises NotFoundError (no such key), RefusedError (not with these credentials), UnavailableError (not
    reachable, or it breaks off), ChangedError (it has another size than `wanted`, or changed meanwhile). Their messages
    are for the operator alone: they may name the backend's address.
    """

    def entries(self) -> AsyncGenerator[BackendEntry]:
        """Everything below the address, in any order."""

    async def find(self, key: str) -> BackendObject:
        """What stands at a key now."""

    async def read(self, wanted: BackendObject, start: int, end: int) -> bytes:
        """The bytes start..end (end not included, both within the object), right or wrong: their hash tells."""

    def stream(self, wanted: BackendObject) -> AsyncGenerator[bytes]:
        """All bytes of this version, in order, in pieces of a megabyte or a little more. Raises ChangedError, too, when
        the object is of another version by the end."""
