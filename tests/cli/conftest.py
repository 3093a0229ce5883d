"""Running the real command, as people do: a process of its own, with its own data folder."""

import json
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import forks

if TYPE_CHECKING:
    from tests.cli.chain_world import Chain

DEADLINE_S = 60.0  # a command that is not done by then hangs


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def json(self) -> Any:
        lines = self.text.splitlines()
        assert len(lines) == 1, f"exactly one object, not {self.text!r}"
        return json.loads(lines[0])

    def line(self) -> str:
        """The one line that a failed command says; its fix and what happened on the way are set in by two spaces."""
        lines = [line for line in self.stderr.splitlines() if not line.startswith("  ")]
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("nearcast: ")
        return lines[0]


class Started:
    """A command that runs; its JSON lines can be read one by one."""

    def __init__(self, process: forks.Process) -> None:
        self.process = process
        self._buffer = b""

    def next_line(self) -> str:
        """The next line of its stdout. Fails when the command ends or takes too long."""
        assert self.process.stdout is not None
        deadline_s = time.monotonic() + DEADLINE_S
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline_s - time.monotonic())
            assert ready, f"no line within {DEADLINE_S} s"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"it ended: {self.process.stderr.read().decode() if self.process.stderr else ''}"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def next_json(self) -> Any:
        return json.loads(self.next_line())

    def end(self, number: int = signal.SIGINT) -> Ended:
        """Send a signal and wait."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=DEADLINE_S)
        return Ended(self.process.returncode, self._buffer + stdout, stderr.decode())


@dataclass
class Person:
    """Somebody at a shell: a data folder, a current folder, and the command."""

    home: Path
    stack: ExitStack
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    def run(self, *arguments: str, **options: Any) -> Ended:
        """Run a command to its end."""
        done = forks.run(
            [*forks.COMMAND, *arguments], cwd=self.home, env=self._environment(), timeout=DEADLINE_S, **options
        )
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def start(self, *arguments: str, **options: Any) -> Started:
        """Start a command that goes on; it is killed at the end of the test if it still runs."""
        process = forks.Process(
            [*forks.COMMAND, *arguments],
            cwd=self.home,
            env=self._environment(),
            stdin=forks.DEVNULL,
            stdout=forks.PIPE,
            stderr=forks.PIPE,
            **options,
        )
        self.stack.callback(_reap, process)
        return Started(process)

    def share(self, *arguments: str) -> tuple[Started, Any]:
        """`share` on loopback, and what it said when it was ready."""
        started = self.start(
            "share", *arguments, "--http", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--no-lan", "--json"
        )
        return started, started.next_json()

    def up(self, *arguments: str) -> tuple[Started, Any]:
        """`up` on loopback, and what it said when it was ready."""
        started = self.start("up", *arguments, "--http", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--no-lan", "--json")
        return started, started.next_json()

    def get(self, *arguments: str, **options: Any) -> Ended:
        return self.run("get", *arguments, "--no-lan", **options)

    def _environment(self) -> dict[str, str]:
        mine = {"NEARCAST_DATA_DIR": str(self.data_dir), "NEARCAST_QUIC_LISTEN": "127.0.0.1:0", "COLUMNS": "100"}
        return {**os.environ, **mine, **self.environment}


def _reap(process: forks.Process) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.fixture
def people(tmp_path: Path) -> Iterator["People"]:
    with ExitStack() as stack:
        yield People(tmp_path, stack)


@dataclass
class People:
    """Makes people by name."""

    folder: Path
    stack: ExitStack

    def __call__(self, name: str) -> Person:
        home = self.folder / name
        home.mkdir()
        return Person(home, self.stack)


@pytest.fixture
def publisher(people: People) -> Person:
    return people("publisher")


@pytest.fixture
def reader(people: People) -> Person:
    return people("reader")


@pytest.fixture(scope="session")
def devchain(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Chain"]:
    """One development chain for all tests of the session."""
    from tests.cli.chain_world import running_devchain

    with running_devchain(tmp_path_factory.mktemp("devchain")) as chain:
        yield chain


@pytest.fixture
def chain(devchain: "Chain") -> Iterator["Chain"]:
    """The development chain, as it was at its start."""
    with devchain.undone():
        yield devchain
