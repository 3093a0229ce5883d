"""`nearcast court`: take what a node may not have signed to the Court, and get what that brings."""

from pathlib import Path
from typing import Annotated

import typer

from nearcast.cli.chain_options import ChainCall, group, sending
from nearcast.cli.hexwords import parse_address
from nearcast.cli.options import command

EvidenceFile = Annotated[
    Path, typer.Argument(metavar="FILE", readable=False, help="What get kept: a file of DIR/evidence.")
]
Receiver = Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="Who gets the money; else the wallet.")]


def register(app: typer.Typer) -> None:
    trials = group(app, "court", "Accuse a node of what it signed; the Court takes a part of its bond.")

    @command(trials, "accuse", preparing=sending)
    def accuse(call: ChainCall, file: EvidenceFile) -> None:
        """Take the evidence in FILE to the Court: announce it, wait a minute, show it.

        It takes a deposit, which comes back with a part of what the node loses if the evidence holds. When interrupted,
        run the same command again and it goes on; a deposit is lost when the evidence is not shown in time.
        """
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.court_acts import accuse_by

        run_session(call, lambda session: accuse_by(session, file))

    @command(trials, "withdraw", preparing=sending)
    def withdraw(call: ChainCall, to: Receiver = None) -> None:
        """Take out what is free in the wallet's account at the Court: deposits that came back, and rewards."""
        from nearcast.cli.chain_session import run_session
        from nearcast.cli.court_acts import withdraw_rewards

        address = parse_address(to, "--to") if to else None
        run_session(call, lambda session: withdraw_rewards(session, address))
