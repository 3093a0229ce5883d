"""Two hundred clients at once, each with a wallet and a channel of its own, and one node that all of them pay.

All must finish, within 20 % of each other: a node that served whoever is quickest first would let others wait. The
clients are whole ones (store, endpoint, purse) in one process; the node is the real command in another, whose memory is
printed. The channels are opened before, by a small download each.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tests.payments.world import PaidNode, paid_world

from bench.nodes import memory_bytes, reset_peak
from bench.paid_world import PRICE_USDC
from bench.row import Row
from bench.samples import MIB, random_file

CLIENTS = 200
SIZE_BYTES = 8 << 20
FIRST_BYTES = 64 << 10
ETHER_WEI = 10**18
TIMEOUT_S = 900.0
# 100 of an idle node with its chain, 128 answers at 3 at the worst (delivery/serve_gate.py), 200 connections at 0.5.
MEMORY_MIB_MAX = 600
FAIR, MEMORY, RATE = "slowest of 200 paying clients / fastest", "memory of the node meanwhile", "goodput of all"


def rows(only: str | None) -> Iterator[Row]:
    if only is not None and all(only not in name for name in (FAIR, MEMORY, RATE)):
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearcast-bench-", dir=_quick_disk())))
        world = stack.enter_context(paid_world(folder / "world"))
        node = world.operator("node", price=PRICE_USDC)
        first, large = (random_file(folder / str(size), size, seed=size) for size in (FIRST_BYTES, SIZE_BYTES))
        links = [node.add(first), node.add(large)]
        node.up()
        told = _clients(folder, world.chain.url, node, links)
        assert node.process is not None
        peak_bytes = memory_bytes(node.process.pid, "VmHWM")
    seconds = told["seconds"]
    spread = f"{min(seconds):.1f} to {max(seconds):.1f} s"
    print(f"{CLIENTS} clients: {spread}; the node's memory at most {peak_bytes / MIB:.0f} MiB")
    assert len(seconds) == CLIENTS, "some did not finish"
    yield Row(FAIR, max(seconds) / min(seconds), "", 1.2, lower_is_better=True)
    yield Row(MEMORY, peak_bytes / MIB, "MiB", MEMORY_MIB_MAX, lower_is_better=True)
    yield Row(RATE, CLIENTS * SIZE_BYTES / 1e6 / max(seconds), "MB/s", 50)


def _quick_disk() -> str | None:
    """The clients' books are on one machine here and sync at every voucher, which 200 machines would do in parallel."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def _clients(folder: Path, rpc: str, node: PaidNode, cids: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.fairness", str(folder / "clients"), rpc, *map(node.holds_of, cids)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the clients have no channels")
            assert node.process is not None
            reset_peak(node.process.pid)
            process.stdin.write("go\n")
            process.stdin.flush()
            told: dict[str, Any] = json.loads(process.stdout.readline())
        finally:
            process.kill()
    return told


async def play(folder: Path, rpc_url: str, first: str, large: str) -> None:
    """The clients' process: open the channels, say so, wait for the word, and fetch all at once."""
    from nearcast.chain.keystore import create_keystore
    from nearcast.clock import SystemClock
    from nearcast.config import ChainConfig, Config, PeersConfig, QuicConfig
    from nearcast.naming.link import parse_link
    from nearcast.node import Node, run_node
    from nearcast.node.money_wish import MoneyWish

    signers = await _funded(rpc_url)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for index, signer in enumerate(signers):
            config = Config(
                folder / str(index),
                chain=ChainConfig(rpc=rpc_url),
                quic=QuicConfig(listen="127.0.0.1:0"),
                peers=PeersConfig(lan=False),
            )
            create_keystore(config.wallet_file, signer, "", scrypt_n=2)  # a password would take a second
            wish = MoneyWish(config, partial(_given, signer))
            nodes.append(await stack.enter_async_context(run_node(config, http=False, announce=False, money=wish)))
            await nodes[-1].client.fetch(parse_link(first), spend=nodes[-1].client.spend)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        start_s = clock.monotonic_s()

        async def fetch(node: Node) -> float:
            report = await node.client.fetch(parse_link(large), spend=node.client.spend)
            assert report.bytes_verified > SIZE_BYTES
            assert report.paid_parts_by_source
            return clock.monotonic_s() - start_s

        seconds = await asyncio.gather(*map(fetch, nodes))
        print(json.dumps({"seconds": seconds}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # killed meanwhile: what comes after is not measured


def _given(signer: Any) -> Any:
    """How a client opens its wallet."""
    return signer


async def _funded(rpc_url: str) -> list[Any]:
    """New keys with play money and ether for fees."""
    from nearcast.chain.bindings.token import Token
    from nearcast.chain.deployment import DEV
    from nearcast.chain.devchain.addresses import ACCOUNTS
    from nearcast.chain.rpc import JsonRpc
    from nearcast.chain.signing import Signer
    from nearcast.chain.transaction_journal import TransactionJournal
    from nearcast.chain.transaction_signing import Call
    from nearcast.chain.transactions import Sender
    from nearcast.clock import SystemClock

    signers = [Signer(os.urandom(32)) for _ in range(CLIENTS)]
    with tempfile.TemporaryDirectory() as place, TransactionJournal.open(Path(place) / "journal") as journal:
        async with JsonRpc(rpc_url, DEV.chain_id) as rpc:
            token = Token(rpc, DEV.contracts["TestUSDC"])
            rich = Signer(ACCOUNTS[1].secret)
            sender = Sender(rpc, rich, journal, confirmations=1, clock=SystemClock())
            for signer in signers:
                await sender.send(Call(signer.address, b"", ETHER_WEI, f"fees of {signer.address.hex()}"))
                await sender.send(token.transfer(signer.address, 2_000_000))
    return signers


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play(Path(sys.argv[1]), *sys.argv[2:5]))
