"""The accepting side of the transport: one task per connection, as many as the bounds allow."""

import asyncio
from typing import TYPE_CHECKING

from nearcast.delivery.charging import Charging
from nearcast.delivery.serve import Relaying, serve_connection
from nearcast.errors import NearcastError, UnavailableError
from nearcast.transport.base import Connection

if TYPE_CHECKING:
    from nearcast.node.running import Node

CONNECTIONS_MAX = 1024  # guess: about 100 KB each in the transport, so 100 MB at the worst
# A node keeps one to each other, and a restart or a changed network leaves some behind, which QUIC takes for alive for
# half a minute: the oldest makes room for a new one. Guess.
CONNECTIONS_PER_PEER_MAX = 8


async def accept_connections(node: "Node") -> None:
    """Serve everybody who connects, until the endpoint is closed or we are cancelled."""
    open_by_peer: dict[bytes, list[Connection]] = {}  # the oldest first
    count = 0
    earning = node.money.earning if node.money is not None else None
    role_of = node.backends.role_of
    charging = None if earning is None else Charging(earning.till, earning.desk, earning.is_free, role_of)
    relaying = None
    if node.relay is not None:
        endpoint_id = node.identity.endpoint_id
        relaying = Relaying(node.relay, endpoint_id, node.backends.holding, for_payers=node.brings)
    listed = None if earning is None else earning.is_listed

    async def serve(connection: Connection) -> None:
        nonlocal count
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
            count -= 1
            left = [other for other in open_by_peer.pop(connection.remote_id, []) if other is not connection]
            if left:
                open_by_peer[connection.remote_id] = left
            await connection.close()

    async with asyncio.TaskGroup() as tasks:
        while True:
            try:
                connection = await node.endpoint.accept()
            except UnavailableError:
                return
            if count >= CONNECTIONS_MAX:
                node.telemetry.count("connections_refused")
                await connection.close()
                continue
            count += 1
            tasks.create_task(serve(connection))
            of_peer = open_by_peer.setdefault(connection.remote_id, [])
            of_peer.append(connection)
            if len(of_peer) > CONNECTIONS_PER_PEER_MAX:
                node.telemetry.count("connections_replaced")
                await of_peer.pop(0).close()
