"""How a command finds the node that has its store open: `<data-dir>/running.json`, mode 0600.

It holds the node's process id, the address of its HTTP door and a token made anew at every start. Whoever can read the
file may tell the node what to do; nobody else can. A file left behind by a node that was killed is harmless: it is
looked at only when the store is locked, and a door that does not know the token refuses.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from nearcast.config import parse_host_port

FILE_NAME = "running.json"
TOKEN_BYTES = 32  # 256 bits: not to be guessed
FILE_BYTES_MAX = 4096  # ours has about 150


@dataclass(frozen=True, slots=True)
class Running:
    """A running node. `http_address` is `host:port` on this machine; `peer` is where other nodes reach it."""

    pid: int
    http_address: str
    token: str
    peer: str

    def __repr__(self) -> str:
        return f"Running(pid={self.pid}, http_address={self.http_address!r})"


def new_token() -> str:
    """A fresh secret from the operating system's entropy, in hexadecimal."""
    return secrets.token_hex(TOKEN_BYTES)


@contextmanager
def advertised(data_dir: Path, running: Running) -> Iterator[None]:
    """The file is there while the body runs. Nobody but the owner can read it at any instant."""
    path = data_dir / FILE_NAME
    temporary = data_dir / f"{FILE_NAME}.{running.pid}.new"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(running), file)
    temporary.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_running(data_dir: Path) -> Running | None:
    """The node that says it runs on this data folder, or None when none does or the file makes no sense."""
    try:
        with (data_dir / FILE_NAME).open("rb") as file:
            fields = json.loads(file.read(FILE_BYTES_MAX))
        running = Running(fields["pid"], parse_host_port(fields["http_address"]), fields["token"], fields["peer"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    texts = (running.token, running.peer)
    return running if type(running.pid) is int and all(isinstance(text, str) for text in texts) else None
