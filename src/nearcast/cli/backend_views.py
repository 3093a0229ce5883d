"""How backends are shown to their operator. Addresses are shown here, on this machine, and nowhere else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from nearcast.cli.amounts import bytes_text, count_text
from nearcast.cli.output import printable
from nearcast.content.backends.checking import Checked, Difference
from nearcast.content.backends.index import KnownBackend

SHOWN_MAX = 10  # keys of one sort, for people; --json has more


def row(known: KnownBackend) -> str:
    """One line of `backend ls`."""
    if known.root is None:
        return f"{printable(known.name)}  {printable(known.address.url)}  not read yet"
    amount = f"{count_text(known.files, 'file')}, {bytes_text(known.size_bytes)}"
    return f"{printable(known.name)}  {known.root}  {amount}  read {_when(known.read_unix_s)}  {_place(known)}"


def row_fields(known: KnownBackend) -> dict[str, Any]:
    return {
        "name": known.name,
        "kind": known.address.kind,
        "address": known.address.url,
        "endpoint": known.address.endpoint or None,
        "cid": None if known.root is None else str(known.root),
        "files": known.files,
        "size": known.size_bytes,
        "read": known.read_unix_s,
    }


def report_lines(known: KnownBackend, checked: Checked) -> Iterator[str]:
    """What a check of one backend found."""
    if checked.is_same:
        yield f"{printable(known.name)}: {count_text(checked.files, 'file')} as they were"
        return
    yield f"{printable(known.name)}: not as it was; `nearcast backend add {printable(known.address.url)}` reads it anew"
    for word, found in (("changed", checked.changed), ("missing", checked.missing), ("new", checked.new)):
        yield from _keys(word, found)


def report_fields(known: KnownBackend, checked: Checked) -> dict[str, Any]:
    sorts = {"changed": checked.changed, "missing": checked.missing, "new": checked.new}
    return {
        "name": known.name,
        "same": checked.is_same,
        "files": checked.files,
        **{word: {"count": found.count, "keys": found.keys} for word, found in sorts.items()},
    }


def _keys(word: str, found: Difference) -> Iterator[str]:
    for key in found.keys[:SHOWN_MAX]:
        yield f"  {word:8} {printable(key)}"
    if found.count > SHOWN_MAX:
        yield f"  {word:8} and {found.count - SHOWN_MAX} more"


def _place(known: KnownBackend) -> str:
    endpoint = f" at {known.address.endpoint}" if known.address.endpoint else ""
    return printable(known.address.url + endpoint)


def _when(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC).astimezone():%Y-%m-%d %H:%M}"
