"""`nearcast cat LINK|CID[/path]`: a file's bytes on stdout, while they arrive, each verified before it is written."""

from typing import Annotated

import typer

from nearcast.cli import options
from nearcast.cli.options import Call, NoLan, Peers, command
from nearcast.errors import UsageError

LinkArgument = Annotated[str, typer.Argument(metavar="LINK|CID[/PATH]", help="A file.")]


def register(app: typer.Typer) -> None:
    @command(app, "cat")
    def cat(call: Call, link: LinkArgument, peers: Peers = None, no_lan: NoLan = False) -> None:
        """Write a file to stdout, from here or from whoever has it."""
        from nearcast.naming.link import parse_link

        parse_link(link)  # a mistyped link is told before anything is opened
        import uvloop

        uvloop.run(_cat(call, link, options.settings(peers=peers, no_lan=no_lan)))


async def _cat(call: Call, link: str, flags: dict[str, object]) -> None:
    import asyncio

    from nearcast.cli.looking import viewing

    async with viewing(call, flags) as view:
        found = await view.ask("look", {"link": link})
        if found["size"] is None:
            raise UsageError(f"this is a {found['kind']}, not a file", fix=f"nearcast ls {link}")
        async for piece in view.contents({"link": link, "start": 0, "end": found["size"]}):
            await asyncio.to_thread(call.output.bytes, piece)
