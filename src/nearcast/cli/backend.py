"""`nearcast backend add|ls|check|rm`: files that this node serves from where they lie, and does not keep."""

from typing import Annotated

import typer

from nearcast.cli.options import Call, command
from nearcast.cli.output import printable
from nearcast.cli.plainhelp import PlainGroup

Address = Annotated[str, typer.Argument(metavar="URL", help="A folder, or http(s)://, s3://, gs:// or az://.")]
WhichOne = Annotated[str, typer.Argument(metavar="NAME|URL", help="A backend of `backend ls`.")]
WhichOnes = Annotated[list[str] | None, typer.Argument(metavar="NAME|URL", help="Only these; else all.")]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call it, here and in the link.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Hidden files too.")]
Keys = Annotated[
    str, typer.Option("--keys", metavar="FILE", help="The paths of a web server's files, one a line; - is stdin.")
]
Endpoint = Annotated[str, typer.Option("--endpoint", metavar="URL", help="Another S3 server than Amazon's.")]
Region = Annotated[str, typer.Option("--region", metavar="NAME", help="Its region.")]
ReadAll = Annotated[bool, typer.Option("--read-all", help="Read everything, also what seems to be as it was.")]


def register(app: typer.Typer) -> None:
    backends = typer.Typer(
        cls=PlainGroup,
        no_args_is_help=True,
        help="Serve files from where they lie, without keeping them: a folder, a web server, an object store.",
    )
    app.add_typer(backends, name="backend")
    _register_changes(backends)
    _register_looks(backends)


def _register_changes(backends: typer.Typer) -> None:
    @command(backends, "add")
    def add(
        call: Call,
        url: Address,
        name: Name = "",
        hidden: Hidden = False,
        keys: Keys = "",
        endpoint: Endpoint = "",
        region: Region = "",
        read_all: ReadAll = False,
    ) -> None:
        """Read everything at URL once, and print the link to it. Again: read what is new or has changed.

        Nothing is copied: a running node serves it from there, checked by its hash, and keeps what is asked for often.
        Credentials come from the environment (docs/origins.md); where the files are is told to nobody.
        """
        import asyncio

        from nearcast.cli.backend_work import Wish, add_one

        wish = Wish(url, name, hidden, keys, endpoint, region, read_all)
        added = asyncio.run(add_one(call, wish))
        call.output.result(added.fields(), lines=added.lines(), essential=[str(added.link)])

    @command(backends, "rm")
    def rm(call: Call, backend: WhichOne) -> None:
        """Serve it no more. What the node has in its cache stays there until room is needed."""
        from nearcast.cli.backend_work import remove_one

        known = remove_one(call, backend)
        fields = {"name": known.name, "cid": str(known.root) if known.root else None}
        call.output.result(fields, lines=[f"removed {printable(known.name)}"], essential=[known.name])


def _register_looks(backends: typer.Typer) -> None:
    @command(backends, "ls")
    def ls(call: Call) -> None:
        """List the backends of this node, oldest first."""
        from nearcast.cli.backend_views import row, row_fields
        from nearcast.cli.backend_work import known_backends

        known = known_backends(call)
        shown = {"backends": [row_fields(each) for each in known]}
        roots = [str(each.root) for each in known if each.root is not None]
        call.output.result(shown, lines=map(row, known), essential=roots)

    @command(backends, "check")
    def check(call: Call, which: WhichOnes = None, read_all: ReadAll = False) -> None:
        """Compare the backends with what was read. Ends with code 9 when something is not as it was."""
        import asyncio

        from nearcast.cli.backend_views import report_fields, report_lines
        from nearcast.cli.backend_work import check_some
        from nearcast.errors import ChangedError

        reports = asyncio.run(check_some(call, which or [], read_all=read_all))
        lines = [line for report in reports for line in report_lines(*report)]
        differing = [known.name for known, checked in reports if not checked.is_same]
        call.output.result({"backends": [report_fields(*each) for each in reports]}, lines=lines, essential=differing)
        if differing:
            raise typer.Exit(ChangedError.exit_code)
