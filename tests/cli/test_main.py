"""The command as a whole: what it lists, how it ends, how quickly it starts."""

import re
import subprocess
import sys

import pytest

from nearcast import __version__
from nearcast.cli import main
from nearcast.cli.main import run

CONTENT = ("share", "get", "add", "cat", "ls", "pin", "rm", "export", "import", "up", "status", "id")
COMMANDS = (*CONTENT, "devchain", "peers", "sim", "wallet", "node", "channel", "blacklist", "court", "origin", "govern")
OF_CONTENT = ("uvloop", "iroh", "granian", "aiohttp", "zeroconf", "cryptography", "rich", "sqlite3", "libipld")
HEAVY = ("asyncio", *OF_CONTENT, "Crypto", "coincurve", "eth", "eth_abi", "eth_account", "eth_hash")
GROUPS = ("wallet", "node", "channel", "blacklist", "origin", "govern", "pin")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    listed = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("│ ")]
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: nearcast {command}" in text
    assert not re.search("<[A-Za-z]", text), "a Python type instead of words"


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_of_a_group_has_help_without_types(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([group, "--help"]) == 0
    rows = capsys.readouterr().out.partition("Commands")[2].splitlines()
    commands = [line.split()[1] for line in rows if re.match(r"│ [a-z]", line)]
    assert len(commands) >= 3
    for command in commands:
        assert run([group, command, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"Usage: nearcast {group} {command}" in text
        assert not re.search("<[A-Za-z]", text), "a Python type instead of words"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"nearcast {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["get"], ["id", "--nonsense"], ["id", "extra"], ["pin", "nonsense"]]
)
def test_a_wrong_command_line_is_two_lines_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("nearcast: ")
    assert second.startswith("  fix: nearcast")


def test_a_bug_is_one_line_and_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def build() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(main, "build", build)
    monkeypatch.delenv("NEARCAST_TRACEBACK", raising=False)
    assert run(["id"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "nearcast: unexpected ZeroDivisionError: division by zero"


def test_the_traceback_is_shown_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main, "build", build)
    monkeypatch.setenv("NEARCAST_TRACEBACK", "1")
    assert run(["id"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "build", build)
    assert run(["id"]) == 130


def test_nothing_heavy_is_imported_before_a_command_runs() -> None:
    code = f"import sys, nearcast.cli.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
