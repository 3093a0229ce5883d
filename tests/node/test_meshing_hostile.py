"""Hostile overlay streams against a whole node, over real sockets: each costs itself, and the node answers on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.node.test_meshing import config, contacts, until

from nearcast.delivery.probe import probe
from nearcast.errors import NearcastError
from nearcast.keys import new_identity
from nearcast.node import Node, run_node
from nearcast.overlay import codec
from nearcast.overlay.link import hello
from nearcast.overlay.measuring import Probe
from nearcast.overlay.peers import format_peer
from nearcast.transport.base import Connection, Stream
from nearcast.transport.iroh import IrohEndpoint
from nearcast.wire import encode_message


@asynccontextmanager
async def hostile(node: Node) -> AsyncIterator[tuple[Connection, bytes]]:
    """A connection of somebody who may do anything, and its hello."""
    endpoint = await IrohEndpoint.bind(new_identity())
    try:
        yield await endpoint.connect(node.address), hello(endpoint.address())
    finally:
        await endpoint.close()


async def is_alive(node: Node, folder: Path) -> None:
    """It answers probes, and lets newcomers in."""
    async with run_node(config(folder / "newcomer", format_peer(node.address))) as newcomer:
        await until(lambda: contacts(newcomer) >= 1)
        connection = await newcomer.finder.pool.get(node.address)
        await probe(connection, [])


async def ended(stream: Stream) -> None:
    """The node broke it off; what it had said before is nobody's concern."""
    with pytest.raises(NearcastError):
        await stream.receive.read_exactly(1 << 20)


def test_garbage_and_oversize_end_their_stream(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "node")) as node, hostile(node) as (connection, greeting):
            for garbage in (
                encode_message({"p": "dht"}),
                encode_message({"p": "swim", "t": 99}),
                b"\x7f\xff\xff\xff",
            ):
                stream = await connection.open_stream()
                await stream.send.write(greeting + garbage)
                await ended(stream)
            assert node.telemetry.counters["overlay_faults"] == 3
            assert node.telemetry.counters["overlay_failures"] == 0
            await is_alive(node, tmp_path)

    asyncio.run(main())


def test_a_flood_and_silent_streams_leave_the_node_answering(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "node")) as node, hostile(node) as (connection, greeting):
            silent = [await connection.open_stream() for _ in range(10)]
            for stream in silent:
                await stream.send.write(greeting[:5])
            flooding = await connection.open_stream()
            question = codec.frame(Probe(1))

            async def flood() -> None:
                with contextlib.suppress(NearcastError):  # whoever does not read the answers is cut off after a while
                    await flooding.send.write(greeting)
                    while True:
                        await flooding.send.write(question * 100)

            async with asyncio.TaskGroup() as tasks:
                flooder = tasks.create_task(flood())
                await until(lambda: node.telemetry.counters["overlay_throttled"] > 0)
                await is_alive(node, tmp_path)
                flooder.cancel()
            assert node.telemetry.counters["overlay_failures"] == 0

    asyncio.run(main())
