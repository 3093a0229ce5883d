"""The people of the demo and their processes: real `nearcast` commands, a data folder each, loopback only."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEARCAST = (sys.executable, "-c", "from nearcast.cli.main import main; main()")
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 120.0
POLL_S = 0.01
DAY_S = 86_400


class DemoError(Exception):
    """Something did not go as it should."""


@dataclass
class Party:
    """Somebody with a data folder and a wallet. `process`: the node that it runs."""

    role: str
    folder: Path
    environment: dict[str, str]
    address: str = ""
    price_usdc: str = ""
    ready: dict[str, Any] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def data_dir(self) -> Path:
        return self.folder / self.role

    @property
    def books(self) -> Path:
        """Where its ledgers of the dev chain are."""
        return self.data_dir / "chain" / "31337"

    @property
    def peer(self) -> str:
        """`ID@host:port` of its node."""
        return str(self.ready["peer"])

    def do(self, *command: str | Path) -> Any:
        """Run a command to its end; its report. Raises DemoError when it fails."""
        return finished(self.begin(*command))

    def begin(self, *command: str | Path) -> "subprocess.Popen[bytes]":
        """Start a command whose bars are shown here (stderr) and whose report is read (stdout)."""
        arguments = [*NEARCAST, *map(str, command), "--json"]
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=self.surroundings())

    def serve(self, stack: ExitStack, *command: str | Path, program: Sequence[str] = NEARCAST) -> None:
        """Start what goes on, and wait until it says that it is ready. `stack` ends it."""
        log = self.folder / f"{self.role}.log"
        with log.open("wb") as output, log.with_suffix(".errors").open("wb") as errors:
            self.process = subprocess.Popen(
                [*program, *map(str, command), "--json"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=self.surroundings(),
                start_new_session=True,  # Ctrl-C is for the demo, which then stops its nodes itself
            )
        stack.callback(stop, self.process)
        self.ready = first_line(self.process, log)

    def surroundings(self) -> dict[str, str]:
        """The environment of its commands."""
        mine = {"NEARCAST_DATA_DIR": str(self.data_dir), "NEARCAST_PEERS_LAN": "false"}
        return {**os.environ, **mine, **self.environment}


class Chain:
    """The dev chain, which all of them share."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.keeper = Party("chain", folder, {})
        self.keeper.serve(stack, "devchain", "--port", str(free_port()))
        self.url = str(self.keeper.ready["url"])

    def travel(self, days: float) -> None:
        """Let time pass, which only a chain of one's own does."""
        self._ask("evm_increaseTime", int(days * DAY_S))
        self._ask("evm_mine")

    def _ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=READY_TIMEOUT_S) as response:
            answer = json.loads(response.read())
        if "error" in answer:
            raise DemoError(f"the chain refuses {method}: {answer['error']}")
        return answer["result"]


def finished(process: "subprocess.Popen[bytes]") -> Any:
    """The report of a command that ended. Raises DemoError when it failed."""
    try:
        output, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
    finally:
        stop(process)
    if process.returncode:
        raise DemoError(f"a command ended with {process.returncode}: {output.decode().strip()}")
    return json.loads(output.splitlines()[-1])


def first_line(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    """What a node says when it is ready."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while b"\n" not in (said := log.read_bytes()):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise DemoError(f"a node did not start: {said.decode()} {log.with_suffix('.errors').read_text()}")
        time.sleep(POLL_S)
    ready: dict[str, Any] = json.loads(said.splitlines()[0])
    if "error" in ready:
        raise DemoError(ready["error"]["message"])
    return ready


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End one of our processes, kindly first."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
