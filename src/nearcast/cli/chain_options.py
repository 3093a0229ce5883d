"""What every command of the chain can be told: which chain, over which endpoint, with which wallet.

Commands that only look take `looking`, commands that send a transaction take `sending` as well; `command` of options.py
adds the options that stand in the signature here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.cli.options import Call
from nearcast.cli.output import Output

if TYPE_CHECKING:
    from nearcast.config import Config

PANEL = "The chain: money, nodes, rules"  # where `nearcast --help` lists these groups

Chain = Annotated[
    str | None, typer.Option("--chain", metavar="NAME", help="Which chain: dev, which is meant without it, base, …")
]
Rpc = Annotated[
    str | None, typer.Option("--rpc", metavar="URL", help="Its JSON-RPC endpoint; else nearcast devchain's.")
]
WalletFile = Annotated[
    Path | None, typer.Option("--wallet", metavar="FILE", help="The keystore; else DIR/wallet.json.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="Read the wallet's password from FILE instead of asking."),
]
Confirmations = Annotated[
    str | None, typer.Option("--confirmations", metavar="N", help="How many blocks must hold it before it is done.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the transaction and what it would change; send nothing.")]


@dataclass(frozen=True)
class ChainCall:
    """What a command of the chain is told besides its own arguments. `call` is what every command is told."""

    call: Call
    config: "Config"
    password_file: Path | None = None
    dry_run: bool = False

    @property
    def output(self) -> Output:
        return self.call.output


def looking(call: Call, *, chain: Chain = None, rpc: Rpc = None, wallet: WalletFile = None) -> ChainCall:
    """For a command that reads the chain."""
    return ChainCall(call, call.config({"chain.network": chain, "chain.rpc": rpc, "chain.wallet": wallet}))


def sending(
    call: Call,
    *,
    dry_run: DryRun = False,
    chain: Chain = None,
    rpc: Rpc = None,
    confirmations: Confirmations = None,
    wallet: WalletFile = None,
    password_file: PasswordFile = None,
) -> ChainCall:
    """For a command that sends a transaction."""
    flags = {"chain.network": chain, "chain.rpc": rpc, "chain.wallet": wallet, "chain.confirmations": confirmations}
    return ChainCall(call, call.config(flags), password_file, dry_run)


def opening(call: Call, *, wallet: WalletFile = None, password_file: PasswordFile = None) -> ChainCall:
    """For a command that only needs the wallet."""
    return ChainCall(call, call.config({"chain.wallet": wallet}), password_file)


def group(app: typer.Typer, name: str, help: str) -> typer.Typer:
    """A group of commands of the chain, listed with the others."""
    from nearcast.cli.plainhelp import PlainGroup

    commands = typer.Typer(cls=PlainGroup, no_args_is_help=True, help=help)
    app.add_typer(commands, name=name, rich_help_panel=PANEL)
    return commands
