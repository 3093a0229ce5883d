"""A thing that nobody has: how soon the reader is told so, alone and with ten peers to ask."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from bench.row import Row
from nearcast.config import Config, HttpConfig, PeersConfig, QuicConfig
from nearcast.content.cid import raw_cid
from nearcast.errors import NotFoundError
from nearcast.node import Node, run_node
from nearcast.overlay.peers import format_peer

PEERS = 10
ALONE, ASKING = "a miss with no peers", "a miss with ten peers"
TRIES = 20


def rows(only: str | None) -> Iterator[Row]:
    if only is None or only in ALONE:
        yield Row(ALONE, uvloop.run(slowest_miss(0)) * 1000, "ms", 5.0, lower_is_better=True)
    if only is None or only in ASKING:
        yield Row(ASKING, uvloop.run(slowest_miss(PEERS)) * 1000, "ms", 1000.0, lower_is_better=True)


async def slowest_miss(peers: int) -> float:
    """The longest of several searches, in seconds; the first one dials the peers."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearcast-bench-")))
        others = [
            await stack.enter_async_context(run_node(config(folder / str(n)), http=False, announce=True))
            for n in range(peers)
        ]
        known = tuple(format_peer(other.address) for other in others)
        node = await stack.enter_async_context(run_node(config(folder / "reader", known), http=True, announce=False))
        return max([await one_miss(node, n) for n in range(TRIES)])


async def one_miss(node: Node, number: int) -> float:
    nowhere = raw_cid(hashlib.sha256(number.to_bytes(8)).digest())
    start = time.perf_counter()
    try:
        await node.client.resolve(nowhere, "", fetch=True)
    except NotFoundError:
        return time.perf_counter() - start
    raise AssertionError("somebody has what nobody made")


def config(data_dir: Path, known: tuple[str, ...] = ()) -> Config:
    return Config(
        data_dir,
        http=HttpConfig(listen="127.0.0.1:0"),
        quic=QuicConfig(listen="127.0.0.1:0"),
        peers=PeersConfig(known=known, lan=False),
    )
