"""`nearcast add PATH`: put a file or a folder into this node's store, without serving it yet."""

from pathlib import Path
from typing import Annotated

import typer

from nearcast.cli.options import Call, command
from nearcast.errors import NotFoundError

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", readable=False, help="The file or folder to add.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Add hidden files too.")]
InPlace = Annotated[bool, typer.Option("--in-place", help="Refer to the files where they lie instead of copying them.")]
Wrap = Annotated[bool, typer.Option("--wrap", help="Put a folder around a single file, so that its name is kept.")]


def register(app: typer.Typer) -> None:
    @command(app, "add")
    def add(
        call: Call, path: PathArgument, in_place: InPlace = False, hidden: Hidden = False, wrap: Wrap = False
    ) -> None:
        """Copy PATH into this node's store, pin it, and print its CID."""
        from nearcast.cli.amounts import bytes_text, count_text
        from nearcast.cli.keeping import perform

        path = path.absolute()
        if not path.exists():
            raise NotFoundError(f"{path}: no such file or folder")
        arguments = {"path": str(path), "in_place": in_place, "hidden": hidden, "wrap": wrap}
        result = perform(call, "add", arguments)
        amount = f"{count_text(result['files'], 'file')}, {bytes_text(result['size'])}"
        line = f"{result['cid']}  {path.name}  {amount}"
        call.output.result(result, lines=[line], essential=[result["cid"]])
