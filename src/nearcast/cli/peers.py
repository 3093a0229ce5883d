"""`nearcast peers`: the nodes that the running node knows, whether they are alive, and how far away they are."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nearcast.cli.options import Call, command

if TYPE_CHECKING:
    from nearcast.config import Config

WATCH_S: Final = 2.0  # guess: faster than anything there changes, slow enough to be read
CLEAR: Final = "\x1b[H\x1b[2J"

Watch = Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")]


def register(app: typer.Typer) -> None:
    @command(app, "peers")
    def peers(call: Call, watch: Watch = False) -> None:
        """Show the nodes that the running node knows: their state, round trips, regions, prices and links."""
        config = call.config()
        while True:
            found = _asked(config)
            _show(call, found, clear=watch)
            if not watch:
                return
            time.sleep(WATCH_S)  # shown again so often, until Ctrl-C


def _asked(config: "Config") -> dict[str, Any]:
    """What the running node says. Raises NotFoundError when none runs."""
    from nearcast.cli.asking import ask
    from nearcast.errors import NotFoundError, StoreLockedError

    none = StoreLockedError("no node of this data folder runs")
    try:
        return ask(config.data_dir, none, "peers", {})
    except StoreLockedError:
        raise NotFoundError("no node runs here, so nobody is known", fix="start one: nearcast up") from None


def _show(call: Call, found: dict[str, Any], *, clear: bool) -> None:
    from nearcast.cli.output import Mode
    from nearcast.cli.peer_views import lines

    overlay = found["overlay"]
    nodes = [] if overlay is None else overlay["nodes"]
    shown = ["the overlay is off, or just starting"] if overlay is None else lines(overlay)
    if clear and call.output.mode is Mode.PEOPLE and call.output.stdout.isatty():
        shown = [CLEAR + shown[0], *shown[1:]]
    call.output.result(found, lines=shown, essential=[node["endpoint_id"] for node in nodes])
