"""The accepting side of the transport: one task per connection, as many as the bound allows."""

import asyncio
from typing import TYPE_CHECKING

from nearcast.delivery.serve import ServeGate, serve_connection
from nearcast.errors import NearcastError, UnavailableError
from nearcast.transport.base import Connection

if TYPE_CHECKING:
    from nearcast.node.running import Node

CONNECTIONS_MAX = 1024  # guess: about 100 KB each in the transport, so 100 MB at the worst


async def accept_connections(node: "Node") -> None:
    """Serve everybody who connects, until the endpoint is closed or we are cancelled."""
    open_connections = 0
    gate = ServeGate()

    async def serve(connection: Connection) -> None:
        nonlocal open_connections
        open_connections += 1
        try:
            await serve_connection(connection, node.store, node.serves, node.telemetry, node.clock, gate=gate)
        except NearcastError as error:
            node.telemetry.event("connection-ended", peer=connection.remote_id.hex(), reason=error.message)
        finally:
            open_connections -= 1
            await connection.close()

    async with asyncio.TaskGroup() as tasks:
        while True:
            try:
                connection = await node.endpoint.accept()
            except UnavailableError:
                return
            if open_connections >= CONNECTIONS_MAX:
                node.telemetry.count("connections_refused")
                await connection.close()
            else:
                tasks.create_task(serve(connection))
