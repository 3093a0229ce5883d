"""The hot key: a key that lies open on disk, so that a program can sign with it while nobody is there.

It signs a node's offers and claims and a payer's vouchers. It owns nothing: what it can lose is what a channel's
balance and the bond's rules allow, and its owner, whose wallet is behind a password, can replace it.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from nearcast.chain.durable import write_private
from nearcast.chain.signing import Signer
from nearcast.errors import NearcastError, WalletError

HOT_KEY_FILE: Final = "hot.key"


def load_or_create_hot_key(path: Path) -> Signer:
    """The hot key at `path` (mode 0600, hexadecimal), made on first use. WalletError when it cannot be used."""
    try:
        if not path.exists():
            with suppress(FileExistsError):  # another process was first: then its key is the key
                write_private(path, os.urandom(32).hex().encode() + b"\n", replace=False)
        return _load(path)
    except OSError as error:
        raise WalletError(f"the hot key {path} cannot be used: {error.strerror}") from error


def _load(path: Path) -> Signer:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise WalletError(f"the hot key {path} can be read by others (mode {mode:o})", fix=f"chmod 600 {path}")
    try:
        return Signer(bytes.fromhex(path.read_text().strip()))
    except (ValueError, NearcastError) as error:
        raise WalletError(
            f"{path} does not hold a hot key", fix=f"restore it from a backup, or move it away: mv {path} {path}.bad"
        ) from error
