"""The `nearcast` command: its sub-commands, and the one place where any of them ends.

Nothing heavy is imported here: each command imports what it needs when it runs, so that `nearcast --help` is instant.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer import TyperException

from nearcast import __version__
from nearcast.cli import (
    add,
    backend,
    blacklist,
    car,
    cat,
    channel,
    court,
    devchain,
    earnings,
    failure,
    get,
    govern,
    identity,
    ls,
    node_command,
    options,
    origin,
    peers,
    pin,
    rm,
    share,
    sim,
    spending,
    status,
    up,
    wallet,
    watchtower,
)
from nearcast.cli.options import ConfigFile, DataDir, Json, Quiet
from nearcast.cli.plainhelp import PlainGroup
from nearcast.errors import NearcastError, UsageError

_CONTENT = (share, get, add, cat, ls, pin, rm, car, backend, up, status, peers, identity, sim)
_CHAIN = (wallet, node_command, channel, earnings, spending, watchtower, blacklist, court, origin, govern, devchain)
_COMMANDS = (*_CONTENT, *_CHAIN)  # the order of --help
OBJECT_STORES = "obstore"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nearcast {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]


def build() -> typer.Typer:
    """The application with every command in it."""
    app = typer.Typer(
        name="nearcast",
        cls=PlainGroup,
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def nearcast(
        context: typer.Context,
        data_dir: DataDir = None,
        config: ConfigFile = None,
        json: Json = False,
        quiet: Quiet = False,
        version: Version = False,
    ) -> None:
        """Share files and folders by their hash; get them from whoever is near, every byte verified.

        Start with `nearcast share PATH` here and `nearcast get LINK` there.
        """
        options.keep_globals(context, data_dir, config, json, quiet)

    for module in _COMMANDS:
        module.register(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; returns its exit code and never raises."""
    as_json = "--json" in _before_dashes(arguments)
    try:
        code = build()(list(arguments), prog_name="nearcast", standalone_mode=False)
        sys.stdout.flush()
        if code == failure.EXIT_INTERRUPTED:  # how typer tells of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except BaseException as error:  # noqa: BLE001 - the last line of defence: people get one line, never a traceback
        return _failed(error, as_json=as_json)


def main() -> None:
    """The console script."""
    code = run(sys.argv[1:])
    if code == failure.EXIT_INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not spoil a clean end
    if OBJECT_STORES in sys.modules:
        # Its threads outlive the last request and abort the process when they meet an interpreter that is going down
        # (seen in one run of the tests). Everything of ours is written and closed by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _failed(error: BaseException, *, as_json: bool) -> int:
    if failure.is_closed_pipe(error):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains when it flushes
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else failure.EXIT_UNEXPECTED
    if isinstance(error, typer.Abort):
        error = KeyboardInterrupt()
    explained = _usage(error) if isinstance(error, TyperException) else failure.explained(error)
    failure.show_traceback(error)
    failure.report(explained, as_json=as_json, stdout=sys.stdout, stderr=sys.stderr)
    return explained.exit_code


def _usage(error: TyperException) -> NearcastError:
    """What the option parser found wrong, in our words and with our exit code."""
    message = error.format_message()
    command = getattr(getattr(error, "ctx", None), "command_path", "nearcast")
    if not message:
        return UsageError("a command is missing", fix=f"{command} --help lists them")
    return UsageError(message[0].lower() + message[1:].rstrip("."), fix=f"{command} --help shows what it takes")


def _before_dashes(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
