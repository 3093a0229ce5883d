"""`nearcast wallet`: the key that pays and that owns a node's bond, in a file behind a password."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.cli import wallet_money
from nearcast.cli.chain_options import ChainCall, group, opening
from nearcast.cli.hexwords import address_text
from nearcast.cli.options import command

if TYPE_CHECKING:
    from nearcast.chain.signing import Signer

NoPassword = Annotated[
    bool, typer.Option("--no-password", help="Without a password; only the dev chain takes such a wallet.")
]
SecretFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A keystore of another program, or a file with 64 hexadecimal digits."),
]
ShowSecret = Annotated[
    bool, typer.Option("--show-secret", help="Yes, print it: whoever sees it can take all the money.")
]


def register(app: typer.Typer) -> None:
    wallets = group(app, "wallet", "The key that pays and owns a node's bond: make it, fund it, see its money.")

    @command(wallets, "create", preparing=opening)
    def create(call: ChainCall, no_password: NoPassword = False) -> None:
        """Make a new wallet: a key in a file that only its password opens."""
        import os

        from nearcast.chain.signing import Signer

        _refuse_to_replace(call)
        _keep(call, Signer(os.urandom(32)), "created", no_password)

    @command(wallets, "address", preparing=opening)
    def address(call: ChainCall) -> None:
        """Print the wallet's address: where money is sent to."""
        from nearcast.chain.keystore import keystore_address

        text = address_text(keystore_address(call.config.wallet_file))
        call.output.result(
            {"address": text, "wallet": str(call.config.wallet_file)},
            lines=[text],
            essential=[text],
        )

    wallet_money.register(wallets)

    @command(wallets, "import", preparing=opening)
    def take(call: ChainCall, file: SecretFile, no_password: NoPassword = False) -> None:
        """Take the key of another program as the wallet. A keystore keeps the password that it has."""
        _refuse_to_replace(call)
        signer, password = _secret_of(call, file)
        _keep(call, signer, "imported", no_password, password)

    @command(wallets, "export", preparing=opening)
    def export(call: ChainCall, show_secret: ShowSecret = False) -> None:
        """Print the wallet's secret key, for a backup on paper. The file itself is a backup too, with its password."""
        from nearcast.cli.keyring import open_wallet
        from nearcast.errors import UsageError

        if not show_secret:
            raise UsageError(
                "this prints the secret key: whoever sees it can take all the money",
                fix=f"add --show-secret, or copy the file {call.config.wallet_file}",
            )
        signer = open_wallet(call)
        secret = signer.secret.hex()
        value = {"address": address_text(signer.address), "secret": secret}
        call.output.result(value, lines=[secret], essential=[secret])


def _refuse_to_replace(call: ChainCall) -> None:
    """Before anything is typed: a wallet is never overwritten. (`create_keystore` holds to it as well.)"""
    from nearcast.errors import WalletError

    path = call.config.wallet_file
    if path.exists():
        raise WalletError(
            f"there is a wallet already: {path}", fix="nearcast wallet address shows it; --wallet FILE makes another"
        )


def _keep(call: ChainCall, signer: "Signer", done: str, no_password: bool, password: str | None = None) -> None:
    from nearcast.chain.keystore import SCRYPT_N, create_keystore
    from nearcast.cli.keyring import SCRYPT_N_WITHOUT_PASSWORD
    from nearcast.cli.passwords import new_password

    path = call.config.wallet_file
    if no_password:
        create_keystore(path, signer, "", scrypt_n=SCRYPT_N_WITHOUT_PASSWORD)
    else:
        create_keystore(path, signer, password or new_password(call), scrypt_n=SCRYPT_N)
    text = address_text(signer.address)
    call.output.result(
        {"address": text, "wallet": str(path), "password": not no_password},
        lines=[f"{done} {text}", f"  kept in {path}", _advice(no_password)],
        essential=[text],
    )


def _advice(no_password: bool) -> str:
    if no_password:
        return "  without a password: for the dev chain only"
    return "  keep a copy of that file and its password: nobody can restore either"


def _secret_of(call: ChainCall, path: Path) -> tuple["Signer", str | None]:
    """The key in a file, whichever of the two forms it has; and the password that opened it, if there was one."""
    from nearcast.chain.keystore import open_keystore
    from nearcast.chain.signing import SECRET_BYTES, Signer
    from nearcast.cli.passwords import asked_password, given_password
    from nearcast.errors import NearcastError, UsageError

    try:
        with path.open("rb") as file:
            text = file.read(2 * SECRET_BYTES + 8).decode("ascii", "replace").strip().removeprefix("0x")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if text.startswith("{"):
        given = given_password(call)
        password = asked_password(f"Password of {path}: ") if given is None else given
        return open_keystore(path, password), password or None
    try:
        return Signer(bytes.fromhex(text)), None
    except (ValueError, NearcastError) as error:
        raise UsageError(f"{path} holds neither a keystore nor a secret key of 64 hexadecimal digits") from error
