"""The accepting side of the transport: one task per connection, as many as the bounds allow."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from nearcast.delivery.charging import Charging
from nearcast.delivery.serve import Relaying, serve_connection
from nearcast.errors import NearcastError, UnavailableError
from nearcast.transport.base import Connection

if TYPE_CHECKING:
    from nearcast.node.running import Node

CONNECTIONS_MAX = 1024  # guess: about 100 KB each in the transport, so 100 MB at the worst
CONNECTIONS_PER_PEER_MAX = 8  # a node keeps one to each other; guess: a restart or a changed network leaves some behind


async def accept_connections(node: "Node") -> None:
    """Serve everybody who connects, until the endpoint is closed or we are cancelled."""
    open_by_peer: Counter[bytes] = Counter()
    earning = node.money.earning if node.money is not None else None
    role_of = node.backends.role_of
    charging = None if earning is None else Charging(earning.till, earning.desk, earning.is_free, role_of)
    relaying = None
    if node.relay is not None:
        endpoint_id = node.identity.endpoint_id
        relaying = Relaying(node.relay, endpoint_id, node.backends.holding, for_payers=node.brings)
    listed = None if earning is None else earning.is_listed

    async def serve(connection: Connection) -> None:
        try:
            await serve_connection(
                connection,
                node.store,
                node.serves,
                node.telemetry,
                node.clock,
                gate=node.gate,
                charging=charging,
                listed=listed,
                relaying=relaying,
                overlay=node.meshing,
            )
        except NearcastError as error:
            node.telemetry.event("connection-ended", peer=connection.remote_id.hex(), reason=error.message)
        finally:
            open_by_peer[connection.remote_id] -= 1
            if not open_by_peer[connection.remote_id]:
                del open_by_peer[connection.remote_id]
            await connection.close()

    async with asyncio.TaskGroup() as tasks:
        while True:
            try:
                connection = await node.endpoint.accept()
            except UnavailableError:
                return
            peer = connection.remote_id
            if open_by_peer.total() >= CONNECTIONS_MAX or open_by_peer[peer] >= CONNECTIONS_PER_PEER_MAX:
                node.telemetry.count("connections_refused")
                await connection.close()
            else:
                open_by_peer[peer] += 1
                tasks.create_task(serve(connection))
