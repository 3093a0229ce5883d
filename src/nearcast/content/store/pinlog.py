"""The pins in a file of their own, `pins.log`, so that they survive the loss of the index.

One line of JSON for each pin and each unpin, appended and synced after the commit of the index, which is the truth
while it is sound. The file is written anew when the store opens and finds that it differs or is mostly history.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from nearcast.content.cid import Cid, parse_cid
from nearcast.content.store.disk import sync_folder, write_all, write_synced
from nearcast.content.store.types import Pin
from nearcast.errors import UsageError

HISTORY_LINES_MAX = 10_000  # more lines than this beyond the pins, and the file is written anew
Line = list[object]


def pin_line(pin: Pin) -> Line:
    return ["+", str(pin.root), pin.name, pin.created_unix_s]


def unpin_line(root: Cid) -> Line:
    return ["-", str(root)]


def append_lines(path: Path, lines: Iterable[Line]) -> None:
    """Adds lines, durably. Raises OSError."""
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        write_all(descriptor, _encode(lines))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)


def read_pins(path: Path) -> tuple[list[Pin], int]:
    """(pins, lines) of the file. A torn or damaged line is left out, the others count."""
    pins: dict[Cid, Pin] = {}
    lines = path.read_bytes().splitlines() if path.exists() else []
    for line in lines:
        try:
            sign, text, *rest = json.loads(line)
            root = parse_cid(text)
            if sign == "+":
                name, created = rest
                pins[root] = Pin(root, str(name), float(created))
            else:
                pins.pop(root, None)
        except (ValueError, TypeError, UsageError):
            continue
    return list(pins.values()), len(lines)


def match_log(path: Path, pins: list[Pin]) -> None:
    """Writes the file anew if it does not say what the index says, or says it too circumstantially."""
    found, lines = read_pins(path)
    ends_well = not lines or path.read_bytes().endswith(b"\n")
    if set(found) == set(pins) and ends_well and lines <= len(pins) + HISTORY_LINES_MAX:
        return
    fresh = path.with_name("pins.log.new")
    write_synced(fresh, _encode(pin_line(pin) for pin in pins))
    fresh.replace(path)
    sync_folder(path.parent)


def _encode(lines: Iterable[Line]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
