"""A group of commands that does something by itself: `nearcast earnings` shows, `nearcast earnings claim` acts."""

import typer
from typer._click.core import Context  # typer's own copy of click; it offers no public name for it

from nearcast.cli.chain_options import PANEL
from nearcast.cli.plainhelp import PlainGroup

DEFAULT = "show"
_HELP = ("-h", "--help")


class DefaultGroup(PlainGroup):
    """Whatever does not begin with the name of one of its commands is for `show`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in _HELP):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


def group_with_default(app: typer.Typer, name: str, help: str) -> typer.Typer:
    """Such a group, listed with the others of the chain. Register a command named `show` in it."""
    commands = typer.Typer(cls=DefaultGroup, help=help)
    app.add_typer(commands, name=name, rich_help_panel=PANEL)
    return commands
