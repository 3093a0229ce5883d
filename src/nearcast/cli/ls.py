"""`nearcast ls LINK|CID[/path]`: what is in a folder."""

from typing import Annotated, Any

import typer

from nearcast.cli import options
from nearcast.cli.options import Call, NoLan, Peers, command
from nearcast.cli.output import printable

LinkArgument = Annotated[str, typer.Argument(metavar="LINK|CID[/PATH]", help="A folder, or a file.")]


def register(app: typer.Typer) -> None:
    @command(app, "ls")
    def ls(call: Call, link: LinkArgument, peers: Peers = None, no_lan: NoLan = False) -> None:
        """List a folder, from here or from whoever has it: size, name, and CID of each entry."""
        from nearcast.naming.link import parse_link

        name = parse_link(link).suggested_name
        import uvloop

        found = uvloop.run(_ls(call, link, options.settings(peers=peers, no_lan=no_lan)))
        entries = found["entries"] if found["kind"] == "folder" else [found | {"name": name}]
        width = max((len(_size(entry)) for entry in entries), default=0)
        lines = [f"{_size(entry):>{width}}  {entry['cid']}  {_name(entry)}" for entry in entries]
        call.output.result(found, lines=lines, essential=[printable(entry["name"]) for entry in entries])


async def _ls(call: Call, link: str, flags: dict[str, Any]) -> dict[str, Any]:
    from nearcast.cli.looking import viewing

    async with viewing(call, flags) as view:
        return await view.ask("ls", {"link": link})


def _size(entry: dict[str, Any]) -> str:
    from nearcast.cli.amounts import bytes_text

    return "-" if entry["size"] is None else bytes_text(entry["size"])


def _name(entry: dict[str, Any]) -> str:
    name = printable(entry["name"])
    if entry["kind"] == "symlink":
        return f"{name} -> {printable(entry['target'])}"
    return name + "/" if entry["kind"] == "folder" else name
