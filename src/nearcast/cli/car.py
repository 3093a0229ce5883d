"""`nearcast export` and `nearcast import`: content in CAR files, which every IPFS tool reads and writes."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from nearcast.cli.options import Call, command
from nearcast.errors import NotFoundError

LinkArgument = Annotated[str, typer.Argument(metavar="LINK|CID", help="What to export; it must be here already.")]
Target = Annotated[
    Path | None, typer.Argument(metavar="FILE.car", readable=False, help="Default: CID.car here; - is stdout.")
]
Source = Annotated[Path, typer.Argument(metavar="FILE.car", readable=False, help="What to import; - is stdin.")]
STANDARD = Path("-")


def register(app: typer.Typer) -> None:
    @command(app, "export")
    def export(call: Call, link: LinkArgument, file: Target = None) -> None:
        """Write everything below LINK into a CAR file."""
        from nearcast.cli.amounts import bytes_text
        from nearcast.naming.link import parse_link

        root = parse_link(link).root
        if file == STANDARD:
            _export_to_stdout(call, link)
            return
        result = _export(call, link, (file or Path(f"{root}.car")).absolute())
        lines = [f"{result['path']}  {bytes_text(result['size'])}"]
        call.output.result(result, lines=lines, essential=[result["path"]])

    @command(app, "import")
    def import_(call: Call, file: Source) -> None:
        """Take the blocks of a CAR file into the store, each verified, and pin its roots."""
        from nearcast.cli.amounts import bytes_text, count_text
        from nearcast.cli.keeping import perform

        if file == STANDARD:
            result = _import_from_stdin(call)
        else:
            if not file.exists():
                raise NotFoundError(f"{file}: no such file")
            result = perform(call, "import", {"path": str(file.absolute())})
        amount = f"{count_text(result['blocks'], 'block')}, {bytes_text(result['size'])}"
        call.output.result(result, lines=[*result["cids"], f"imported {amount}"], essential=result["cids"])


def _export(call: Call, link: str, path: Path) -> dict[str, Any]:
    from nearcast.cli.keeping import perform

    return perform(call, "export", {"link": link, "path": str(path)})


def _export_to_stdout(call: Call, link: str) -> None:
    """By way of a file: who writes it may be another process, and what is half an archive never reaches a pipe."""
    with tempfile.TemporaryDirectory(prefix="nearcast-") as folder:
        path = Path(folder) / "export.car"
        _export(call, link, path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def _import_from_stdin(call: Call) -> dict[str, Any]:
    from nearcast.cli.keeping import perform

    with tempfile.TemporaryDirectory(prefix="nearcast-") as folder:
        path = Path(folder) / "import.car"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return perform(call, "import", {"path": str(path)})
