"""The mesh's verbs as awaitables: how long a search goes on."""

import asyncio
from collections.abc import Hashable, Iterable
from typing import Any, cast

from nearcast.clock import SystemClock
from nearcast.keys import new_identity
from nearcast.overlay.kademlia.events import ProviderFound
from nearcast.overlay.kademlia.records import ProviderRecord
from nearcast.overlay.machine import Arm, Effect, Tell
from nearcast.overlay.mesh import Mesh
from nearcast.overlay.mesh_service import MeshService
from nearcast.telemetry import Telemetry
from nearcast.transport.base import PeerAddress
from nearcast.transport.memory import MemoryNetwork
from nearcast.transport.pool import ConnectionPool

KEY = bytes(32)
TIMEOUT_S = 20.0


class EndlessLookup:
    """A mesh whose lookup names one provider and then waits for somebody who is dead."""

    def __init__(self, provider: PeerAddress) -> None:
        self.record = ProviderRecord(KEY, provider, 1, 2, bytes(64))
        self.was_cancelled = False

    def start(self, now_s: float) -> Iterable[Effect]:
        return ()

    def find_providers(self, key: bytes, limit: int, now_s: float) -> tuple[int, Iterable[Effect]]:
        return 7, [Arm(0.01, "found")]

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        return [Tell(ProviderFound(7, self.record, 1))]

    def cancel(self, lookup_id: int) -> None:
        self.was_cancelled = lookup_id == 7


def test_who_is_found_need_not_wait_for_the_lookup_s_end() -> None:
    async def main() -> None:
        endpoint, telemetry = MemoryNetwork().endpoint(new_identity()), Telemetry()
        mesh = EndlessLookup(endpoint.address())
        pool = ConnectionPool(endpoint, telemetry)
        machine: Any = mesh
        service = MeshService(cast(Mesh, machine), pool, endpoint.address, SystemClock(), telemetry, links_max=8)
        async with service:
            start_s = asyncio.get_running_loop().time()
            assert await service.find_providers(KEY, 4, TIMEOUT_S) == [endpoint.address()]
            assert asyncio.get_running_loop().time() - start_s < TIMEOUT_S / 2
            assert mesh.was_cancelled
        await pool.close()
        await endpoint.close()

    asyncio.run(main())
