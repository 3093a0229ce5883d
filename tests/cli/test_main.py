"""The command as a whole: what it lists, how it ends, how quickly it starts."""

import subprocess
import sys

import pytest

from nearcast import __version__
from nearcast.cli import main
from nearcast.cli.main import run

COMMANDS = ("share", "get", "add", "cat", "ls", "pin", "rm", "export", "import", "up", "status", "id")
HEAVY = ("asyncio", "uvloop", "iroh", "granian", "aiohttp", "zeroconf", "cryptography", "rich", "sqlite3", "libipld")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    listed = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("│ ")]
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: nearcast {command}" in text
    assert "<" not in text, "a Python type instead of words"


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
