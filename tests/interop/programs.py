"""Other people's programs: finding them, running them to their end, and remembering which versions were used."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
DEADLINE_S = 60.0  # a program that is not done by then hangs
ADMINISTRATORS = ("/usr/sbin", "/sbin")  # where Debian keeps nginx, and not everybody looks

versions: dict[str, str] = {}  # of what the tests used, printed at the end of the run


def program(name: str, *version: str) -> str:
    """Its path; skips the test, saying so, where it is absent. `version` are the arguments that make it print that."""
    path = shutil.which(name) or next((found for at in ADMINISTRATORS if (found := shutil.which(name, path=at))), None)
    if path is None:
        pytest.skip(f"{name} is not installed: run scripts/interop-tools.sh")
    if name not in versions:
        said = subprocess.run([path, *(version or ("--version",))], capture_output=True, timeout=DEADLINE_S)
        versions[name] = (said.stdout or said.stderr).decode().partition("\n")[0].partition(" libcurl")[0].strip()
    return path


def run(
    command: Sequence[str | Path],
    *,
    given: bytes = b"",
    code: int = 0,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Its stdout; the test fails with what it said unless it ends with `code`."""
    everything = {**os.environ, **(environment or {})}
    done = subprocess.run(command, input=given, cwd=cwd, env=everything, capture_output=True, timeout=DEADLINE_S)
    said = (done.stdout[-1000:] + done.stderr[-1000:]).decode(errors="replace")
    assert done.returncode == code, f"{command[0]} ended with {done.returncode}, not {code}: {said}"
    return done.stdout


def script(name: str, *packages: str) -> list[str]:
    """The command that runs a script of this folder, which uses these packages."""
    node = program("node")
    for package in packages:
        versions[package] = package_version(package)
    return [node, str(HERE / name)]


def javascript(name: str, *arguments: str | Path, wishes: object = None, packages: Sequence[str]) -> Any:
    """What a script of this folder says to the wishes, both as JSON."""
    command = [*script(name, *packages), *map(str, arguments)]
    return json.loads(run(command, given=json.dumps(wishes).encode()))


def package_version(package: str) -> str:
    """The installed version of an npm package; skips the test where it is absent."""
    try:
        return str(json.loads((MODULES / package / "package.json").read_text())["version"])
    except FileNotFoundError:
        pytest.skip(f"the npm package {package} is not installed: run scripts/interop-tools.sh")


def ipfs_car(*arguments: str | Path) -> str:
    """What the command `ipfs-car` says."""
    versions["ipfs-car"] = package_version("ipfs-car")
    return run([program("node"), MODULES / "ipfs-car" / "bin.js", *arguments]).decode().strip()
