"""Options that several commands share, and `command`, which gives a command the ones that all have.

`--data-dir`, `--config`, `--json` and `--quiet` are understood before and after the name of the command; the one after
it wins. The options that set something of the configuration (`--http`, `--quota`, …) become keys of config.py, which
checks them in the one place where all settings are checked.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearcast.cli.asides import say_what_is_logged
from nearcast.cli.output import Mode, Output
from nearcast.cli.plainhelp import PlainCommand
from nearcast.errors import StoreError, UsageError

if TYPE_CHECKING:
    from nearcast.config import Config

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where the store and the key are kept.", show_default=False),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A TOML file instead of DIR/config.toml.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per result on stdout (docs/json.md).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the essential line.")]

Http = Annotated[str | None, typer.Option("--http", metavar="HOST:PORT", help="Where browsers connect.")]
Quic = Annotated[str | None, typer.Option("--quic", metavar="HOST:PORT", help="Where other nodes connect.")]
Quota = Annotated[
    str | None, typer.Option("--quota", metavar="SIZE", help="How much cached content to keep: 500MB, 20GiB.")
]
Relay = Annotated[
    str | None, typer.Option("--relay", metavar="WHICH", help="none, default, or a relay's https:// address.")
]
Peers = Annotated[
    list[str] | None, typer.Option("--peer", metavar="ID@HOST:PORT", help="A node to ask, always; may be repeated.")
]
NoLan = Annotated[
    bool, typer.Option("--no-lan", help="Neither look for nodes on the local network nor be found there.")
]
FetchPolicy = Annotated[
    str | None,
    typer.Option("--fetch", metavar="WHO", help="Whose HTTP requests may make it fetch: local, always, never."),
]

_FLAG_OF_KEY = {
    "http.listen": "--http",
    "quic.listen": "--quic",
    "store.quota_bytes": "--quota",
    "quic.relay": "--relay",
    "peers.known": "--peer",
    "peers.lan": "--no-lan",
    "http.fetch": "--fetch",
    "chain.network": "--chain",
    "chain.rpc": "--rpc",
    "chain.confirmations": "--confirmations",
    "chain.wallet": "--wallet",
    "payments.price": "--price",
    "payments.free_peers": "--free-peer",
    "payments.http": "--http-price",
    "payments.max_price": "--max-price",
    "payments.fetch_cap": "--cap",
}


@dataclass(frozen=True, slots=True)
class Call:
    """What every command is told besides its own arguments."""

    output: Output
    data_dir: Path | None = None
    config_file: Path | None = None
    request: str = ""  # the command and its own arguments: the same text when the same is asked again

    def config(self, flags: Mapping[str, Any] | None = None) -> "Config":
        """The configuration with these flags. Raises UsageError naming the option as it was typed; StoreError for a
        data folder that is none."""
        from nearcast.config import load_config

        try:
            config = load_config(
                data_dir=self.data_dir, file=self.config_file, environment=os.environ, flags=flags or {}
            )
        except UsageError as error:
            raise UsageError(_as_typed(error.message), fix=error.fix) from error
        if config.data_dir.exists() and not config.data_dir.is_dir():
            raise StoreError(
                f"the data folder {config.data_dir} is a file", fix="name a folder with --data-dir or NEARCAST_DATA_DIR"
            )
        return config


def settings(
    *,
    http: str | None = None,
    quic: str | None = None,
    quota: str | None = None,
    relay: str | None = None,
    peers: list[str] | None = None,
    no_lan: bool = False,
    fetch: str | None = None,
) -> dict[str, Any]:
    """The options of a node as keys of the configuration; None is not set."""
    return {
        "http.listen": http,
        "quic.listen": quic,
        "store.quota_bytes": quota,
        "quic.relay": relay,
        "peers.known": tuple(peers) if peers else None,
        "peers.lan": False if no_lan else None,
        "http.fetch": fetch,
    }


def keep_globals(
    context: typer.Context,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The group's own callback: what stood before the name of the command is kept for it."""
    context.obj = {"data_dir": data_dir, "config": config, "json": json, "quiet": quiet}


def command(
    app: typer.Typer, name: str, *, preparing: Callable[..., Any] | None = None, panel: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers `function(call, ...)` as a command; typer sees its own parameters and the four that all have.

    A group of commands with more in common says so with `preparing(call, ...)`: its parameters become options of the
    command too, and what it returns is what the function gets in place of the call. `panel`: where --help lists it.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        common = _parameters(preparing)[1:] if preparing else []
        shared = _parameters(keep_globals)
        parameters = [_keyword(each) for each in (shared[0], *_parameters(function)[1:], *common, *shared[1:])]

        def run(context: typer.Context, **values: Any) -> None:
            call = _call(context, values)
            say_what_is_logged(call.output)
            chosen = {each.name: values.pop(each.name) for each in common}
            call = replace(call, request=_request(context, values))
            first = preparing(call, **chosen) if preparing else call
            function(first, **values)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect itself looks for
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, cls=PlainCommand, rich_help_panel=panel)(run)
        return function

    return register


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _call(context: typer.Context, values: dict[str, Any]) -> Call:
    before = context.find_root().obj or {}
    chosen = {key: values.pop(key) or before.get(key) for key in ("data_dir", "config", "json", "quiet")}
    mode = Mode.JSON if chosen["json"] else Mode.QUIET if chosen["quiet"] else Mode.PEOPLE
    return Call(Output(mode), chosen["data_dir"], chosen["config"])


def _request(context: typer.Context, values: Mapping[str, Any]) -> str:
    words = (f"{name}={value!r}" for name, value in sorted(values.items()) if value is not None)
    return " ".join((context.command_path, *words))


def _as_typed(message: str) -> str:
    """config.py names a flag after its key; people typed the shorter name."""
    for key, flag in _FLAG_OF_KEY.items():
        place = "--" + key.replace(".", "-").replace("_", "-")
        if message.startswith(place + ":"):
            return flag + message.removeprefix(place).replace(f" {key} = ", " ", 1)
    return message
