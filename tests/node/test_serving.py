"""Who may connect, and how often."""

import asyncio
from pathlib import Path

from nearcast.config import Config, HttpConfig, PeersConfig, QuicConfig
from nearcast.keys import new_identity
from nearcast.node import run_node
from nearcast.node.serving import CONNECTIONS_PER_PEER_MAX
from nearcast.transport.iroh import IrohEndpoint


def test_one_peer_cannot_take_all_connections_and_its_newest_ones_count(tmp_path: Path) -> None:
    config = Config(
        tmp_path,
        http=HttpConfig(listen="127.0.0.1:0"),
        quic=QuicConfig(listen="127.0.0.1:0"),
        peers=PeersConfig(lan=False),
    )

    async def main() -> None:
        async with run_node(config, http=False) as node:
            greedy = await IrohEndpoint.bind(new_identity())
            held = [await greedy.connect(node.address) for _ in range(CONNECTIONS_PER_PEER_MAX + 3)]
            async with asyncio.timeout(10):
                while sum(not connection.is_closed for connection in held) > CONNECTIONS_PER_PEER_MAX:  # noqa: ASYNC110 - closing shows in a property only
                    await asyncio.sleep(0.01)
            assert node.telemetry.counters["connections_replaced"] == 3
            assert [connection.is_closed for connection in held] == [True] * 3 + [False] * CONNECTIONS_PER_PEER_MAX
            await asyncio.gather(*(connection.close() for connection in held))
            await greedy.close()

    asyncio.run(main())
