"""The wallet's password: from a file, from the environment, or asked for at the terminal. It is never printed.

A wallet of the dev chain may have none, since its money is worth nothing: `create --no-password`.
"""

import os
import sys
from pathlib import Path

from nearcast.cli.chain_options import ChainCall
from nearcast.errors import UsageError, WalletError

PASSWORD_VARIABLE = "NEARCAST_WALLET_PASSWORD"
PASSWORD_LENGTH_MIN = 8  # NIST SP 800-63B, section 5.1.1.1
PASSWORD_BYTES_MAX = 4096  # guess: more is not a password file
_FILE_FIX = "name a file that you can read, with the password in its first line, or leave --password-file out"


def given_password(call: ChainCall) -> str | None:
    """The password that --password-file or the environment gives; None: neither. WalletError for an unreadable file."""
    if call.password_file is not None:
        return _first_line(call.password_file)
    return os.environ.get(PASSWORD_VARIABLE)


def password_to_open(call: ChainCall) -> str:
    """The password of the wallet. WalletError when it is not given and nobody is there to be asked."""
    given = given_password(call)
    return asked_password(f"Password of {call.config.wallet_file}: ") if given is None else given


def new_password(call: ChainCall) -> str:
    """A password for a new wallet, asked for twice. UsageError when it is too short, or the two differ."""
    password = given_password(call)
    if password is None:
        password = asked_password("New password: ")
        if asked_password("Once more: ") != password:
            raise UsageError("the two passwords differ", fix="run it again")
    if len(password) < PASSWORD_LENGTH_MIN:
        raise UsageError(f"a password has at least {PASSWORD_LENGTH_MIN} characters", fix="choose a longer one")
    return password


def asked_password(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise WalletError(
            "the wallet's password is needed, and there is no terminal to ask at",
            fix=f"give it with --password-file FILE or in {PASSWORD_VARIABLE}",
        )
    from getpass import getpass

    return getpass(prompt, stream=sys.stderr)


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(PASSWORD_BYTES_MAX + 1)
        if len(data) > PASSWORD_BYTES_MAX:
            raise WalletError(f"{path} is too large for a password file", fix=_FILE_FIX)
        return data.decode().partition("\n")[0].removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WalletError(f"the password file {path} cannot be read: {reason}", fix=_FILE_FIX) from error
