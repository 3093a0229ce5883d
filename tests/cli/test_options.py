"""Options: the shared ones before and after the command, the settings as keys of the configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nearcast.cli import options
from nearcast.cli.options import Call, ConfigFile, DataDir, Http, Json, Quiet, command
from nearcast.cli.output import Mode, Output
from nearcast.errors import UsageError


@pytest.fixture
def called() -> tuple[Callable[..., Call], typer.Typer]:
    """An application with one command that keeps what it was called with."""
    calls: list[Call] = []
    app = typer.Typer()

    @app.callback()
    def everything(
        context: typer.Context,
        data_dir: DataDir = None,
        config: ConfigFile = None,
        json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        options.keep_globals(context, data_dir, config, json, quiet)

    @command(app, "do")
    def do(call: Call, http: Http = None) -> None:
        """Do it."""
        calls.append(call)

    def run(*arguments: str) -> Call:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return calls.pop()

    return run, app


def test_shared_options_stand_on_either_side(called: tuple[Callable[..., Call], typer.Typer]) -> None:
    run, _ = called
    for arguments in (("--json", "--data-dir", "/d", "do"), ("do", "--json", "--data-dir", "/d")):
        call = run(*arguments)
        assert (call.output.mode, call.data_dir) == (Mode.JSON, Path("/d"))


def test_the_one_after_the_command_wins(called: tuple[Callable[..., Call], typer.Typer]) -> None:
    run, _ = called
    assert run("--data-dir", "/a", "do", "--data-dir", "/b").data_dir == Path("/b")


def test_without_any_people_are_spoken_to(called: tuple[Callable[..., Call], typer.Typer]) -> None:
    run, _ = called
    assert run("do").output.mode is Mode.PEOPLE
    assert run("do", "-q").output.mode is Mode.QUIET


def test_help_of_a_command_shows_the_shared_options(called: tuple[Callable[..., Call], typer.Typer]) -> None:
    _, app = called
    text = CliRunner().invoke(app, ["do", "--help"], env={"COLUMNS": "100"}).output
    assert all(option in text for option in ("--data-dir", "--config", "--json", "--quiet", "--http"))


def test_settings_become_keys(tmp_path: Path) -> None:
    flags = options.settings(http="127.0.0.1:1", quota="2 GiB", relay="none", no_lan=True, fetch="never")
    config = Call(Output(), tmp_path).config(flags)
    assert (config.http.listen, config.http.fetch, config.store.quota_bytes) == ("127.0.0.1:1", "never", 2 << 30)
    assert not config.peers.lan


def test_a_flag_is_named_as_it_was_typed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--quota: 'much': a size is") as caught:
        Call(Output(), tmp_path).config(options.settings(quota="much"))
    assert "store.quota_bytes" not in caught.value.message
