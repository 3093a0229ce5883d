"""Contacts kept over a restart: a few nodes that were alive, so that a node that starts again needs nobody to tell it.

The file is text, one peer a line as links write them (peers.py). It names whom this node deals with, so its owner alone
may read it; it is replaced whole, by rename. Losing it costs nothing but a way in, so it is not synced, and a damaged
line is left out.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from nearcast.errors import UsageError
from nearcast.overlay.peers import format_peer, parse_peer
from nearcast.transport.base import PeerAddress

FILE_NAME: Final = "contacts"
CONTACTS_MAX: Final = 64  # as many as bootstrap.py remembers
BYTES_MAX: Final = CONTACTS_MAX * 2048  # a contact has at most some 1.2 kB


def read_contacts(path: Path) -> list[PeerAddress]:
    """Those that were kept, the one alive most recently first; none where there is no such file."""
    try:
        with path.open("rb") as file:
            lines = file.read(BYTES_MAX).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    contacts = dict[bytes, PeerAddress]()
    for line in lines[:CONTACTS_MAX]:
        try:
            contact = parse_peer(line)
        except UsageError:
            continue
        contacts.setdefault(contact.endpoint_id, contact)
    return list(contacts.values())


def write_contacts(path: Path, contacts: Iterable[PeerAddress]) -> None:
    """Keep these instead. Raises OSError."""
    kept = [each for each in contacts if each.addresses or each.relay_url][:CONTACTS_MAX]
    text = "".join(format_peer(each) + "\n" for each in kept)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
    temporary.replace(path)
