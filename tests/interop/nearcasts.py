"""Our own program, as people run it: one process per command, one data folder per person, loopback only."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.programs import DEADLINE_S, run

COMMAND = (sys.executable, "-c", "from nearcast.cli.main import main; main()")
LOOPBACK = {"NEARCAST_QUIC_LISTEN": "127.0.0.1:0", "NEARCAST_PEERS_LAN": "false"}
POLL_S = 0.02


@dataclass(frozen=True)
class Running:
    """A node that serves."""

    url: str
    peer: str


@dataclass(frozen=True)
class Nearcast:
    """Somebody with a data folder."""

    data_dir: Path

    @property
    def log(self) -> Path:
        """What its running node says."""
        return self.data_dir.with_suffix(".log")

    def __call__(self, *arguments: str | Path, code: int = 0) -> bytes:
        """The stdout of a command, which must end with `code`."""
        return run([*COMMAND, "--data-dir", self.data_dir, *arguments], code=code, environment=LOOPBACK)

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """The one JSON object that it says."""
        return json.loads(self(*arguments, "--json", code=code))

    def add(self, path: Path, *options: str) -> str:
        """The CID of what was added."""
        return str(self.json("add", path, *options)["cid"])

    def get(self, link: str, destination: Path, *options: str | Path) -> Any:
        """The report of a `get`."""
        return self.json("get", link, destination, *options)

    def refusal(self, *arguments: str | Path, code: int) -> Any:
        """What a command that must fail with `code` says: {type, message, fix, exit_code}."""
        return self.json(*arguments, code=code)["error"]

    @contextmanager
    def up(self) -> Iterator[Running]:
        """Serve until the block ends. What it says goes into a file: nobody reads a pipe while the tests run."""
        listen = ("--http", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--no-lan")
        with self.log.open("wb") as out:
            command = [*COMMAND, "--data-dir", str(self.data_dir), "up", *listen, "--json"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            ready = json.loads(first_line(process, self.log))
            yield Running(str(ready["url"]), str(ready["peer"]))
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            assert process.returncode == 0, self.log.read_text()[-2000:]


def first_line(process: "subprocess.Popen[bytes]", log: Path) -> bytes:
    """The first whole line of a program's log, as soon as it is there."""
    deadline_s = time.monotonic() + DEADLINE_S
    while b"\n" not in (said := log.read_bytes()):
        assert process.poll() is None, f"it ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}"
        assert time.monotonic() < deadline_s, f"nothing said within {DEADLINE_S} s"
        time.sleep(POLL_S)
    return said.partition(b"\n")[0]
