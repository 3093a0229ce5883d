"""`nearcast pin add|rm|ls`: what this node keeps, whatever its quota says."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from nearcast.cli.options import Call, command
from nearcast.cli.output import printable
from nearcast.cli.plainhelp import PlainGroup

LinkArgument = Annotated[str, typer.Argument(metavar="LINK|CID", help="What to keep; it must be here already.")]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call it in `pin ls`.")]


def register(app: typer.Typer) -> None:
    pins = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="Say what this node keeps, whatever its quota says.")
    app.add_typer(pins, name="pin")

    @command(pins, "add")
    def add(call: Call, link: LinkArgument, name: Name = "") -> None:
        """Keep what LINK names, and all below it, until it is unpinned."""
        from nearcast.cli.keeping import perform

        result = perform(call, "pin", {"link": link, "name": name})
        call.output.result(result, lines=[f"pinned {result['cid']}"], essential=[result["cid"]])

    @command(pins, "rm")
    def rm(call: Call, link: LinkArgument) -> None:
        """Keep it no longer: it becomes cached content, which goes when room is needed."""
        from nearcast.cli.keeping import perform

        result = perform(call, "unpin", {"link": link})
        call.output.result(result, lines=[f"unpinned {result['cid']}"], essential=[result["cid"]])

    @command(pins, "ls")
    def ls(call: Call) -> None:
        """List what is kept, oldest first."""
        from nearcast.cli.keeping import perform

        result = perform(call, "pins", {})
        lines = [f"{pin['cid']}  {_when(pin['created'])}  {printable(pin['name'])}" for pin in result["pins"]]
        call.output.result(result, lines=lines, essential=[pin["cid"] for pin in result["pins"]])


def _when(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC).astimezone():%Y-%m-%d %H:%M}"
