"""`--help` that says of each argument and option what it is for, without the Python type that it is parsed into.

typer writes `<bool>` beside every flag and `<list[Path]>` beside arguments, which tells people nothing; what an option
takes stands there already as its metavar (`DIR`, `HOST:PORT`).
"""

from collections.abc import Sequence

from typer._click.core import Context, Parameter  # typer's own copy of click; it offers no public name for them
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption


class PlainCommand(TyperCommand):
    """A command whose help shows no types."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        return _without_types(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands, in the order in which they were registered, whose help shows no types."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        return _without_types(super().get_params(ctx))


def _without_types(parameters: Sequence[Parameter]) -> list[Parameter]:
    for parameter in parameters:
        if isinstance(parameter, TyperArgument) or (isinstance(parameter, TyperOption) and parameter.is_flag):
            parameter.display_type_rich = _no_type  # type: ignore[method-assign]  # typer has no setting for it
    return list(parameters)


def _no_type(ctx: Context) -> None:
    return None
