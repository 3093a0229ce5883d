"""`nearcast rm CID...`: remove content from this node's store."""

from typing import Annotated

import typer

from nearcast.cli.options import Call, command

Links = Annotated[list[str], typer.Argument(metavar="CID", help="What to remove, by its CID or a link.")]


def register(app: typer.Typer) -> None:
    @command(app, "rm")
    def rm(call: Call, links: Links) -> None:
        """Unpin CID and drop its bytes, except those that something else still holds.

        Files that were shared in place are only forgotten, never touched.
        """
        from nearcast.cli.amounts import count_text
        from nearcast.cli.keeping import perform

        result = perform(call, "remove", {"links": links})
        line = f"removed {count_text(result['removed'], 'object')}"
        call.output.result(result, lines=[line], essential=result["cids"])
