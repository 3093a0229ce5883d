"""`nearcast get LINK [PATH]`: fetch content from everybody who has it, and write it to disk."""

from pathlib import Path
from typing import Annotated

import typer

from nearcast.cli import options
from nearcast.cli.money_options import MoneyCall, paying
from nearcast.cli.options import NoLan, Peers, Relay, command

LinkArgument = Annotated[str, typer.Argument(metavar="LINK|CID[/PATH]", help="What to get.")]
Target = Annotated[
    Path | None,
    typer.Argument(metavar="PATH", readable=False, help="Where to write it; - is stdout.", show_default=False),
]
From = Annotated[
    list[str] | None,
    typer.Option("--from", metavar="URL", help="A web server that holds the same file, or a gateway; may be repeated."),
]
Range = Annotated[
    str | None, typer.Option("--range", metavar="START-END", help="Only these bytes of a file; END is included.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is at PATH.")]


def register(app: typer.Typer) -> None:
    @command(app, "get", preparing=paying)
    def get(
        call: MoneyCall,
        link: LinkArgument,
        path: Target = None,
        urls: From = None,
        peers: Peers = None,
        byte_range: Range = None,
        overwrite: Overwrite = False,
        relay: Relay = None,
        no_lan: NoLan = False,
    ) -> None:
        """Fetch LINK from everybody who has it, verify every byte, and write it to PATH.

        PATH is the link's own name in this folder unless given. Interrupted, it goes on from there when started again.
        Free holders are asked first. Where there are none, a wallet pays nodes for verified bytes, up to the caps.
        """
        from nearcast.naming.link import parse_link

        parse_link(link)  # a mistyped link is told before anything large is loaded
        import uvloop

        from nearcast.cli.getting import run_get, wanted

        config = call.config(options.settings(relay=relay, peers=peers, no_lan=no_lan))
        wish = wanted(link, path, urls or [], byte_range, overwrite=overwrite)
        uvloop.run(run_get(call, config, wish))
