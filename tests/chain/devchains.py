"""Development chains for tests: one behind RPC in a thread of this process, and a plain client for any endpoint."""

import asyncio
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_account import Account as Wallet
from tests import forks

from nearcast.chain.devchain import genesis
from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.devchain.engine import Engine
from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.server import serving

CHAIN_ID = 31337
TIP_WEI = 10**9


class RpcError(Exception):
    """An error object of an endpoint."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True)
class Rpc:
    """A client as plain as possible. Bytes are written as hexadecimal data."""

    url: str

    def __call__(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [_plain(param) for param in params]}
        answer = self.post(json.dumps(request).encode())
        if "error" in answer:
            raise RpcError(answer["error"]["code"], answer["error"]["message"], answer["error"].get("data"))
        return answer["result"]

    def post(self, body: bytes, **headers: str) -> Any:
        """Any body; returns what the answer's JSON is."""
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json", **headers})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")

    def send(self, account: int, to: bytes | None, data: bytes = b"", *, gas: int = 2_000_000, value: int = 0) -> bytes:
        """A transaction of a test account; returns its hash."""
        sender = ACCOUNTS[account]
        nonce = int(self("eth_getTransactionCount", sender.address, "pending"), 16)
        return bytes.fromhex(self("eth_sendRawTransaction", signed(account, nonce, to, data, gas=gas, value=value))[2:])

    def receipt(self, transaction_hash: bytes) -> dict[str, Any]:
        """Its receipt, which may take an endpoint a moment."""
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            receipt = self("eth_getTransactionReceipt", transaction_hash)
            if receipt is not None:
                return dict(receipt)
        raise AssertionError("no receipt within 10 s")

    def do(self, account: int, to: bytes | None, data: bytes = b"", *, value: int = 0) -> dict[str, Any]:
        """A transaction that must go through; returns its receipt."""
        receipt = self.receipt(self.send(account, to, data, value=value))
        assert receipt["status"] == "0x1", receipt
        return receipt

    def call(self, to: bytes, data: bytes, **fields: Any) -> bytes:
        """eth_call at the newest block."""
        wanted = {"to": to, "data": data, **fields}
        return bytes.fromhex(self("eth_call", {name: _plain(value) for name, value in wanted.items()}, "latest")[2:])


def signed(
    account: int, nonce: int, to: bytes | None, data: bytes = b"", *, gas: int = 100_000, value: int = 0, **fields: int
) -> bytes:
    """A raw transaction of a test account, type 2."""
    wanted: dict[str, Any] = {"type": 2, "chainId": CHAIN_ID, "nonce": nonce, "gas": gas, "value": value, "data": data}
    wanted |= {"maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": TIP_WEI, **fields}
    if to is not None:
        wanted["to"] = to
    return bytes(Wallet.sign_transaction(wanted, ACCOUNTS[account].secret).raw_transaction)


def engine() -> Engine:
    """The development chain's engine, with every contract that is compiled."""
    return Engine(_alloc())


@cache
def _alloc() -> genesis.Alloc:
    return genesis.make_alloc()


@contextmanager
def running(chain: DevChain) -> Iterator[Rpc]:
    """The chain behind RPC, on a free port, in a thread with a loop of its own."""
    started: dict[str, str] = {}
    ready, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def serve() -> None:
        async with serving(chain, "127.0.0.1", 0) as server:
            started["url"] = server.url
            ready.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="devchain server")
    thread.start()
    ready.wait()
    try:
        if failures:
            raise failures[0]
        yield Rpc(started["url"])
    finally:
        stop.set()
        thread.join()
    assert not failures


@contextmanager
def process(folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """`nearcast devchain` as a person starts it, kept in `folder`, on a free port unless the options name one."""
    command = [*forks.COMMAND, "devchain", "--state", str(folder)]
    options = options if "--port" in options else (*options, "--port", "0")
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def killable(folder: Path) -> Iterator[forks.Process]:
    """The same as a fork: to be started, and killed, again and again."""
    command = [*forks.COMMAND, "devchain", "--state", str(folder), "--port", "0", "--json"]
    with forks.Process(command, stdout=forks.PIPE, stderr=forks.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()


def ready(started: "subprocess.Popen[Any]") -> dict[str, Any]:
    """What it says with --json when it is ready."""
    assert started.stdout is not None
    told = dict(json.loads(started.stdout.readline()))
    assert "error" not in told, told
    return told


def _plain(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value
