"""`nearcast share PATH...`: publish files and folders from where they lie, and serve them until Ctrl-C."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearcast.cli import options
from nearcast.cli.options import Call, FetchPolicy, Http, NoLan, Peers, Quic, Quota, Relay, command
from nearcast.errors import NotFoundError, StoreLockedError

if TYPE_CHECKING:
    from nearcast.cli.publishing import Published
    from nearcast.config import Config

EVERY_INTERFACE = "0.0.0.0"  # so that the link for the same network works; others get only what is in the store

Paths = Annotated[list[Path], typer.Argument(metavar="PATH", readable=False, help="Files and folders to publish.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Publish hidden files too.")]


def register(app: typer.Typer) -> None:
    @command(app, "share")
    def share(
        call: Call,
        paths: Paths,
        hidden: Hidden = False,
        http: Http = None,
        quic: Quic = None,
        quota: Quota = None,
        relay: Relay = None,
        peers: Peers = None,
        no_lan: NoLan = False,
        fetch: FetchPolicy = None,
    ) -> None:
        """Publish PATH from where it lies, print the links to it, and serve it until Ctrl-C.

        The files are not copied: keep them where they are and as they are while they are shared.
        """
        import uvloop

        missing = [path for path in paths if not path.exists()]
        if missing:
            raise NotFoundError(f"{missing[0]}: no such file or folder")
        flags = options.settings(
            http=http, quic=quic, quota=quota, relay=relay, peers=peers, no_lan=no_lan, fetch=fetch
        )
        uvloop.run(
            _share(call, _open_to_the_network(call.config(flags)), [path.absolute() for path in paths], hidden=hidden)
        )


def _open_to_the_network(config: "Config") -> "Config":
    """Listen on every interface, on the same port, unless somebody chose an address."""
    from dataclasses import replace

    from nearcast.config import HttpConfig

    default = HttpConfig().listen
    if config.http.listen != default:
        return config
    port = default.rpartition(":")[2]
    return replace(config, http=replace(config.http, listen=f"{EVERY_INTERFACE}:{port}"))


async def _share(call: Call, config: "Config", paths: list[Path], *, hidden: bool) -> None:
    from nearcast.cli.publishing import publish
    from nearcast.cli.serving import serving, stop_signals, until_stopped

    try:
        async with serving(call.output, config) as (node, log):
            published = [await publish(call.output, node, path, hidden=hidden) for path in paths]
            with stop_signals() as stopped:
                _print(call, published)
                await until_stopped(log, stopped)
    except StoreLockedError as locked:
        raise _with_another_fix(locked, config, paths) from locked


def _with_another_fix(locked: StoreLockedError, config: "Config", paths: list[Path]) -> StoreLockedError:
    """A node that runs need not be stopped to publish something more."""
    from nearcast.gateways.control.running import read_running

    if read_running(config.data_dir) is None:
        return locked
    add = f"nearcast add --in-place {shlex.quote(str(paths[0]))}"
    return StoreLockedError(locked.message, fix=f"{add} has it share this too; or give this one another --data-dir")


def _print(call: Call, published: "list[Published]") -> None:
    shared: list[dict[str, Any]] = [each.fields() for each in published]
    lines = [line for each in published for line in each.lines()]
    call.output.result(
        {"event": "ready", "shared": shared},
        lines=[*lines, "  Ctrl-C stops.", ""],
        essential=[str(each.link) for each in published],
    )
