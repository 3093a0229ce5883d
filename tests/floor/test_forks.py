"""A forked command is a process like one that starts from nothing: its own memory, files, folder, end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests import forks

from nearcast import __version__

# Each in a fork of its own of a process that has imported only what is not ours.
ALONE = """
import importlib, os, pkgutil, sys
import aiohttp, eth_account, eth.vm.forks, iroh, rich.console, typer.rich_utils, uvloop
import nearcast
for module in pkgutil.walk_packages(nearcast.__path__, "nearcast."):
    if module.name.startswith("nearcast.cli."):
        fork = os.fork()
        if fork == 0:
            importlib.import_module(module.name)
            os._exit(0)
        if os.waitpid(fork, 0)[1]:
            sys.exit(f"{module.name} cannot be imported first")
        print(module.name)
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "NEARCAST_DATA_DIR": str(folder / "data"), "COLUMNS": "80", **more}


@pytest.mark.parametrize("fresh", ["", "1"], ids=["forked", "fresh"])
def test_it_says_and_ends_the_same(tmp_path: Path, fresh: str) -> None:
    given = environment(tmp_path, **{forks.FRESH: fresh})

    def ended(*arguments: str) -> tuple[int, bytes, bytes]:
        done = forks.run([*forks.COMMAND, *arguments], cwd=tmp_path, env=given, timeout=60)
        return done.returncode, done.stdout, done.stderr

    assert ended("--version") == (0, f"nearcast {__version__}\n".encode(), b"")
    code, said, complained = ended("nonsense")
    assert (code, said) == (2, b"")
    assert complained.startswith(b"nearcast: ")
    (tmp_path / "näme").write_text("content")
    code, said, _ = ended(
        "add", "näme", "--quiet"
    )  # found in the folder that was named, kept where the environment says
    assert code == 0
    assert said.startswith(b"baf")
    assert (tmp_path / "data").is_dir()
    code, said, _ = ended("cat", said.decode().strip())
    assert (code, said) == (0, b"content")


def test_it_is_a_child_of_its_own_that_can_be_killed(tmp_path: Path) -> None:
    command = [*forks.COMMAND, "devchain", "--port", "0", "--json"]
    given, others = environment(tmp_path), environment(tmp_path / "other")
    with (
        forks.Process(command, cwd=tmp_path, env=given, stdout=forks.PIPE, stderr=forks.PIPE) as one,
        forks.Process(command, cwd=tmp_path, env=others, stdout=forks.PIPE, stderr=forks.PIPE) as other,
    ):
        for each in (one, other):
            assert each.stdout is not None
            assert each.stdout.readline().startswith(b'{"')
        assert len({one.pid, other.pid, os.getpid()}) == 3
        assert f"PPid:\t{os.getpid()}\n" in Path(f"/proc/{one.pid}/status").read_text()
        assert one.poll() is None
        one.kill()
        assert one.wait(60) == -signal.SIGKILL
        assert other.poll() is None
        other.send_signal(signal.SIGTERM)
        other.communicate(timeout=60)
        assert other.returncode is not None


def test_it_is_not_forked_where_a_setting_of_python_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_server() -> None:
        raise AssertionError("forked")

    monkeypatch.setattr(forks, "_server", no_server)
    command = [*forks.COMMAND, "--version"]
    with pytest.raises(AssertionError, match="forked"):
        forks.run(command, env=environment(tmp_path), timeout=60)
    for settings in ({"PYTHONHASHSEED": "1"}, {"LC_ALL": "C"}, {forks.FRESH: "1"}):
        assert forks.run(command, env=environment(tmp_path, **settings), timeout=60).returncode == 0


def test_each_module_of_the_command_can_be_the_first_that_is_imported() -> None:
    """What a fork does not show: that a module imports all that it needs, and no two need each other first."""
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert {"nearcast.cli.main", "nearcast.cli.getting", "nearcast.cli.serving"} <= set(done.stdout.split())
