"""A real `nearcast devchain` in a process of its own, and people with wallets on it."""

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.conftest import People, Person, Started

FIRST_SECRET = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"  # test account 0, public knowledge
SECOND_SECRET = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
FIRST = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
SECOND = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
THIRD = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
TOKEN = "0x4e65617200000000000000000000000000000001"


@dataclass(frozen=True)
class Chain:
    """The endpoint of a running devchain."""

    url: str

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one request; an error of the endpoint fails the test."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.loads(response.read())
        assert "error" not in answer, answer
        return answer["result"]

    def blocks(self) -> int:
        """The newest block's number: on this chain, how many transactions there were."""
        return int(self.ask("eth_blockNumber"), 16)

    def travel(self, seconds: int) -> None:
        """Let time pass, and a block with it."""
        self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")

    def sent_by(self, address: str) -> int:
        """How many transactions of an account are on the chain."""
        return int(self.ask("eth_getTransactionCount", address, "latest"), 16)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What happens inside has not happened afterwards."""
        snapshot = self.ask("evm_snapshot")
        try:
            yield
        finally:
            self.ask("evm_revert", snapshot)


@contextmanager
def running_devchain(folder: Path, *options: str) -> Iterator[Chain]:
    """`nearcast devchain` on a free port."""
    with ExitStack() as stack:
        home = folder / "devchain-home"
        home.mkdir()
        person = Person(home, stack)
        started = person.start("devchain", "--port", "0", "--json", *options)
        yield Chain(started.next_json()["url"])
        started.process.stdout.close() if started.process.stdout else None
        started.process.send_signal(signal.SIGKILL)


def with_wallet(people: People, name: str, url: str, secret: str | None = None) -> Person:
    """Somebody with a wallet without a password: a new one, or that of a test account, which is rich."""
    person = people(name)
    person.environment |= {"NEARCAST_CHAIN_RPC": url}
    if secret is None:
        ended = person.run("wallet", "create", "--no-password")
    else:
        (person.home / "secret").write_text(secret)
        ended = person.run("wallet", "import", "secret", "--no-password")
    assert ended.code == 0, ended.stderr
    return person


def address_of(person: Person) -> str:
    ended = person.run("wallet", "address", "--quiet")
    assert ended.code == 0, ended.stderr
    return ended.text.strip()


def balance_units(person: Person) -> int:
    """The wallet's USDC."""
    return int(person.run("wallet", "balance", "--json").json["usdc_units"])


def wait_for(started: Started) -> tuple[int, bytes, str]:
    """A started command's end."""
    try:
        stdout, stderr = started.process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        started.process.kill()
        raise
    return started.process.returncode, stdout, stderr.decode()
