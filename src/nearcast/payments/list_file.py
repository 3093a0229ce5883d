"""The blacklist on disk: one JSON file, written whole at each change, believed only if it hashes to the list's root."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nearcast.chain.bindings.blacklist import ListedBy, ListedEntry, Snapshot, root_of
from nearcast.chain.durable import write_private
from nearcast.chain.fields import hex_field, object_of, uint_field
from nearcast.errors import NearcastError, RemoteError, StoreError

FILE_NAME: Final = "blacklist.json"  # in the folder of the chain
_FILE_BYTES_MAX: Final = 1 << 28  # a million entries, what a list can have, at 200 bytes each
_FIELDS: Final = frozenset(("blacklist", "version", "root", "read_at", "entries"))
_log = logging.getLogger("nearcast.payments")


@dataclass(slots=True)
class KnownList:
    """The list as of the block of the unix time `read_at_s`."""

    snapshot: Snapshot
    read_at_s: int
    entries: list[ListedEntry]


def write_list(path: Path, blacklist: bytes, known: KnownList) -> None:
    """Durable when it returns. `blacklist`: the contract's address. StoreError when the disk cannot."""
    rows = [
        [each.digest.hex(), each.scope.hex(), each.effective_at, each.lapses_at, each.reason, int(each.source)]
        for each in known.entries
    ]
    snapshot = known.snapshot
    head = {"blacklist": f"0x{blacklist.hex()}", "version": str(snapshot.version), "root": f"0x{snapshot.root.hex()}"}
    try:
        write_private(
            path, json.dumps({**head, "read_at": str(known.read_at_s), "entries": rows}).encode(), replace=True
        )
    except OSError as error:
        raise StoreError(f"the blacklist's file {path} cannot be written: {error.strerror}") from error


def read_list(path: Path, blacklist: bytes) -> KnownList | None:
    """What the file holds; None when there is none, it is of another contract, or damaged (then that is logged).

    StoreError when the disk cannot read it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the blacklist's file {path} cannot be read: {error.strerror}") from error
    try:
        return _parsed(data, blacklist)
    except (ValueError, TypeError, RecursionError, NearcastError):
        _log.warning("%s is damaged: the list has to be read from the chain again", path)
        return None


def _parsed(data: bytes, blacklist: bytes) -> KnownList | None:
    given = object_of(json.loads(data), _FIELDS)
    if hex_field(given["blacklist"], 20, "blacklist") != blacklist:
        return None
    rows = given["entries"]
    if not isinstance(rows, list):
        raise RemoteError("the entries are no list")
    entries = [_entry(*row) for row in rows]
    root = hex_field(given["root"], 32, "root")
    if root_of(entries) != root:
        raise RemoteError("the entries do not hash to the root")
    version = uint_field(given["version"], 256, "version")
    return KnownList(Snapshot(version, root, len(entries)), uint_field(given["read_at"], 64, "read_at"), entries)


def _entry(digest: str, scope: str, effective_at: int, lapses_at: int, reason: int, source: int) -> ListedEntry:
    return ListedEntry(bytes.fromhex(digest), bytes.fromhex(scope), effective_at, lapses_at, reason, ListedBy(source))
