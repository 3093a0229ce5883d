"""`nearcast watchtower`: others claim for a node while it is off."""

from pathlib import Path
from typing import Annotated

import typer

from nearcast.cli.chain_options import ChainCall, group, looking, sending
from nearcast.cli.options import command

ClaimFile = Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the claim file.")]
ClaimFiles = Annotated[list[Path], typer.Argument(metavar="FILE…", help="Claim files, or folders of them.")]
Now = Annotated[bool, typer.Option("--now", help="Claim all there is, have it paid out, and end.")]
AlsoRpc = Annotated[
    list[str] | None,
    typer.Option("--also-rpc", metavar="URL", help="Another endpoint, asked when the first fails; may be repeated."),
]
Poll = Annotated[str, typer.Option("--poll", metavar="TIME", help="How often to look at the chain: 10, 1min.")]


def register(app: typer.Typer) -> None:
    commands = group(app, "watchtower", "Claim for a node that is off, when a payer takes its money back.")

    @command(commands, "export", preparing=looking)
    def export(call: ChainCall, file: ClaimFile) -> None:
        """Write what others need to claim for this node: its newest vouchers, and its word that anybody may.

        A running node can keep the file up to date. Whoever has it learns who pays this node, and how much.
        """
        from nearcast.cli.watchtower_export import export_claims

        export_claims(call, file)

    @command(commands, "run", preparing=sending)
    def run(call: ChainCall, files: ClaimFiles, now: Now = False, also_rpc: AlsoRpc = None, poll: Poll = "10") -> None:
        """Watch the channels of claim files, and claim for their nodes when a payer begins to withdraw.

        Any wallet will do; it pays the gas and gets nothing. The files are read again when they change.
        """
        import asyncio

        from nearcast.cli.moments import parse_duration_s
        from nearcast.cli.watchtower_run import watch

        poll_s = parse_duration_s(poll, "--poll")
        asyncio.run(watch(call, files, now=now, also_rpc=also_rpc or [], poll_s=poll_s))
