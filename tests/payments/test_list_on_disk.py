"""Imports while no node follows the chain: what the list on disk forbids is not taken in."""

import hashlib
from pathlib import Path

import pytest

from nearcast.chain.bindings.blacklist import EVERYWHERE, ListedBy, ListedEntry, Snapshot, root_of
from nearcast.chain.deployment import DEV
from nearcast.content.cid import raw_cid
from nearcast.errors import RefusedError
from nearcast.payments.list_file import FILE_NAME, KnownList, write_list
from nearcast.payments.list_on_disk import ListOnDisk

BAD, GOOD = b"what nobody may have", b"harmless"
SINCE_S = 1_795_240_800
CONTRACT = DEV.contracts["Blacklist"]


def entry(content: bytes, scope: bytes = EVERYWHERE, lapses_at: int = 0) -> ListedEntry:
    return ListedEntry(hashlib.sha256(content).digest(), scope, SINCE_S, lapses_at, 3, ListedBy.GUARDIAN)


def leave(data_dir: Path, *entries: ListedEntry) -> Path:
    """As a node that followed the list leaves it."""
    path = data_dir / "chain" / "31337" / FILE_NAME
    write_list(path, CONTRACT, KnownList(Snapshot(7, root_of(entries), len(entries)), SINCE_S + 1_000, list(entries)))
    return path


def test_what_counts_is_everywhere_and_has_not_lapsed(tmp_path: Path) -> None:
    path = leave(tmp_path, entry(BAD), entry(b"there", b"FR"), entry(b"then", lapses_at=SINCE_S + 999))
    listed = ListOnDisk(path, CONTRACT)
    with pytest.raises(RefusedError, match="malware"):
        listed.refuse(raw_cid(hashlib.sha256(BAD).digest()))
    for content in (GOOD, b"there", b"then"):
        listed.refuse(raw_cid(hashlib.sha256(content).digest()))
    ListOnDisk(path, bytes(20)).refuse(raw_cid(hashlib.sha256(BAD).digest()))  # another chain's
