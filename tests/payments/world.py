"""A paid world on loopback, of real processes: a chain that is kept, operators with bonds, nodes, paying clients.

Every part is a `nearcast` process with a data folder of its own, started by the command that people type, and can be
killed with SIGKILL and started again in the same place. What they say goes into files: nobody reads a pipe here while
something else is waited for.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import forks

COMMAND = forks.COMMAND
DEADLINE_S = 60.0  # what is not done by then hangs
POLL_S = 0.01
PRICE_USDC = "1"  # per GiB: a MiB costs 977 units, so that what is rounded and what is lost are told apart
MBPS = 10  # the bond for it is small enough for the faucet's money
CHAIN_FOLDER = Path("chain") / "31337"  # in a data folder: the books of the dev chain


class WorldError(AssertionError):
    """A part of the world did not do what it must; names the part and shows what it said."""


@dataclass
class Member:
    """Somebody with a data folder, and perhaps one process that goes on."""

    name: str
    home: Path
    environment: dict[str, str]
    process: forks.Process | None = None
    starts: int = 0

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def books(self) -> Path:
        """Where the ledgers of the dev chain are."""
        return self.data_dir / CHAIN_FOLDER

    @property
    def log(self) -> Path:
        """What the newest of its processes says."""
        return self.home / f"{self.name}-{self.starts}.log"

    @property
    def errors(self) -> Path:
        return self.log.with_suffix(".errors")

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def run(self, *arguments: str | Path, code: int | None = 0) -> str:
        """The stdout of a command, which must end with `code` (None: however)."""
        command = [*COMMAND, *map(str, arguments)]
        done = forks.run(command, cwd=self.home, env=self._environment(), timeout=DEADLINE_S)
        if code is not None and done.returncode != code:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise WorldError(f"{self.name}: {' '.join(map(str, arguments))} ended with {done.returncode}: {said}")
        return done.stdout.decode()

    def json(self, *arguments: str | Path, code: int | None = 0) -> Any:
        """The last JSON object that a command says."""
        return json.loads(self.run(*arguments, "--json", code=code).splitlines()[-1])

    def start(self, *arguments: str | Path, program: Sequence[str] = COMMAND) -> forks.Process:
        """Start a command that goes on. One at a time."""
        if self.is_running:
            raise WorldError(f"{self.name} runs already")
        self.starts += 1
        with self.log.open("wb") as out, self.errors.open("wb") as errors:
            self.process = forks.Process(
                [*program, *map(str, arguments)],
                cwd=self.home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )
        return self.process

    def first_line(self) -> dict[str, Any]:
        """What its process says when it is ready."""
        deadline_s = time.monotonic() + DEADLINE_S
        while b"\n" not in (said := self.log.read_bytes()):
            if not self.is_running:
                raise WorldError(f"{self.name} ended: {said.decode()} {self.errors.read_text()[-2000:]}")
            if time.monotonic() > deadline_s:
                raise WorldError(f"{self.name} said nothing for {DEADLINE_S} s")
            time.sleep(POLL_S)
        line: dict[str, Any] = json.loads(said.partition(b"\n")[0])
        if "error" in line:
            raise WorldError(f"{self.name}: {line['error']['message']}")
        return line

    def ended(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for the process; its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise WorldError(f"{self.name} did not end in {deadline_s} s: {self.errors.read_text()[-2000:]}") from None

    def kill(self) -> None:
        """SIGKILL, as a power cut would end it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def pause(self) -> None:
        """Stand still, as a machine that was put to sleep."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _environment(self) -> dict[str, str]:
        mine = {
            "NEARCAST_DATA_DIR": str(self.data_dir),
            "NEARCAST_QUIC_LISTEN": "127.0.0.1:0",
            "NEARCAST_PEERS_LAN": "false",
            "NEARCAST_OVERLAY_ENABLED": "false",  # who is asked, and by way of whom, is what these tests set up
            "COLUMNS": "120",
        }
        return {**os.environ, **mine, **self.environment}


@dataclass
class Chain(Member):
    """`nearcast devchain`, always on the same port."""

    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Start it, or start it again with what it had."""
        self.start("devchain", "--port", str(self.port), "--json")
        self.first_line()

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one request; an error of the endpoint fails."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            answer = json.loads(response.read())
        if "error" in answer:
            raise WorldError(f"{method}: {answer['error']}")
        return answer["result"]

    def travel(self, seconds: int) -> None:
        """Let time pass, and a block with it."""
        self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")


@dataclass
class PaidNode(Member):
    """An operator's node. Its ports stay the same from one start to the next, so that links to it stay good."""

    options: list[str] = field(default_factory=list)
    quic_port: int = 0
    host: str = "127.0.0.1"
    program: Sequence[str] = COMMAND
    ready: dict[str, Any] = field(default_factory=dict)
    operator: str = ""

    @property
    def peer(self) -> str:
        """`ID@host:port`."""
        return str(self.ready["peer"])

    def up(self, *options: str) -> None:
        """Start it, or start it again with what it had; `options` come on top of its own."""
        listen = ("--quic", f"{self.host}:{self.quic_port}", "--http", "127.0.0.1:0", "--no-lan", "--json")
        self.start("up", *listen, *self.options, *options, program=self.program)
        self.ready = self.first_line()

    def add(self, path: Path) -> str:
        """The CID of what it holds from now on."""
        return str(self.json("add", path)["cid"])

    def holds_of(self, cid: str) -> str:
        """A link to it at this node alone."""
        return f"nearcast://{self.peer}/{cid}"


@dataclass
class World:
    """Everybody, and the chain that they share."""

    folder: Path
    stack: ExitStack
    chain: Chain
    members: list[Member] = field(default_factory=list)

    def operator(
        self,
        name: str,
        *options: str,
        price: str = PRICE_USDC,
        mbps: int = MBPS,
        region: str = "DE",
        program: Sequence[str] = COMMAND,
        is_registered: bool = True,
    ) -> PaidNode:
        """A node that is not running yet: with a wallet, and if it is to be, registered and bonded."""
        node = PaidNode(name, self._home(name), self._environment(), quic_port=free_port(socket.SOCK_DGRAM))
        node.options, node.program = ["--price", price, *options], program
        self._join(node)
        if is_registered:
            node.run("node", "register", "--mbps", str(mbps), "--region", region, "--price", price)
        return node

    def client(self, name: str, *, is_funded: bool = True) -> Member:
        """Somebody with a wallet."""
        member = Member(name, self._home(name), self._environment())
        self._join(member, is_funded=is_funded)
        return member

    def _join(self, member: Member, *, is_funded: bool = True) -> None:
        member.run("wallet", "create", "--no-password")
        if is_funded:
            member.run("wallet", "faucet")
        if isinstance(member, PaidNode):
            member.operator = member.run("wallet", "address", "--quiet").strip()
        self.members.append(member)
        self.stack.callback(member.kill)

    def _home(self, name: str) -> Path:
        home = self.folder / name
        home.mkdir(parents=True)
        return home

    def _environment(self) -> dict[str, str]:
        return {"NEARCAST_CHAIN_RPC": self.chain.url, "NEARCAST_PAYMENTS_MAX_PRICE": "10"}


@contextmanager
def paid_world(folder: Path) -> Iterator[World]:
    """A chain that runs, and nobody on it yet. Every process is killed at the end."""
    with ExitStack() as stack:
        home = folder / "chain"
        home.mkdir(parents=True)
        chain = Chain("chain", home, {}, port=free_port(socket.SOCK_STREAM))
        stack.callback(chain.kill)
        chain.up()
        yield World(folder, stack, chain)


def together(*steps: Any) -> list[Any]:
    """The results of several calls without arguments that do not need each other: most of a start is waiting."""
    with ThreadPoolExecutor(len(steps)) as threads:
        return [each.result() for each in [threads.submit(step) for step in steps]]


def free_port(kind: socket.SocketKind) -> int:
    """A port that nobody listens on now."""
    with socket.socket(socket.AF_INET, kind) as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
