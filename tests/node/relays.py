"""Nodes that relay, on one memory network, each with a real store: whoever is friends with whom serves him for free."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

from nearcast.client import Client, Finder
from nearcast.clock import SystemClock
from nearcast.config import PaymentsConfig
from nearcast.content.cid import Cid
from nearcast.content.store import Store
from nearcast.delivery.charging import Charging
from nearcast.delivery.fetch import Fetcher
from nearcast.delivery.serve import Relaying, serve_connection
from nearcast.errors import UnavailableError
from nearcast.keys import new_identity
from nearcast.naming.link import Link
from nearcast.node.relaying import Relay
from nearcast.overlay.peers import PeerBook
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Endpoint
from nearcast.transport.memory import MemoryNetwork
from nearcast.transport.pool import ConnectionPool

T = TypeVar("T")
TEST_DEADLINE_S = 60.0  # a hang is a failure
LINGER_S = 30.0  # longer than any test: what ends a relayed fetch, is what the test does
FRIENDS = Charging(cast(Any, None), cast(Any, None), is_free=lambda _peer: True)  # never gets as far as a till


def run(main: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(TEST_DEADLINE_S):
            return await main

    return asyncio.run(bounded())


@dataclass
class RelayNode:
    """A node that serves what it has, and brings what it lacks from the peers that it knows."""

    name: str
    store: Store
    endpoint: Endpoint
    pool: ConnectionPool
    peers: PeerBook
    client: Client
    relay: Relay
    telemetry: Telemetry
    served: list[dict[str, Any]] = field(default_factory=list)

    def knows(self, *others: "RelayNode") -> None:
        for other in others:
            self.peers.add(other.endpoint.address(), "config", 0.0)

    @property
    def served_bytes(self) -> int:
        """Frames of all answers."""
        return sum(fields["size_bytes"] for fields in self.served)

    @property
    def ends(self) -> list[str]:
        return [fields["end"] for fields in self.served]

    async def die(self) -> None:
        """As a killed process."""
        await self.endpoint.close()

    async def get(self, root: Cid, path: str = "", **options: Any) -> None:
        """What a user of this node does."""
        await self.client.fetch(Link(root, path, ""), **options)


class Net:
    """Everything is closed when the net ends."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._group = group
        self._stack = stack
        self._tasks: list[asyncio.Task[None]] = []
        self._network = MemoryNetwork()

    async def node(
        self,
        name: str,
        *,
        config: PaymentsConfig | None = None,
        linger_s: float = LINGER_S,
        charging: Charging | None = FRIENDS,
        listed: Callable[[Cid], bool] | None = None,
    ) -> RelayNode:
        folder = self._folder / name
        folder.mkdir()
        clock, telemetry, endpoint = SystemClock(), Telemetry(), self._network.endpoint(new_identity())
        store = Store.open(folder, quota_bytes=1 << 30, clock=clock)
        self._stack.callback(store.close)
        self._stack.push_async_callback(endpoint.close)
        pool = ConnectionPool(endpoint, telemetry)
        self._stack.push_async_callback(pool.close)
        peers = PeerBook()
        finder = Finder(peers, pool, clock, expects_lan=False)
        client = Client(store, Fetcher(store, clock, telemetry), finder, on_event=lambda _: None)
        await self._stack.enter_async_context(client)
        relay = Relay(finder, store, clock, telemetry, config or PaymentsConfig(), listed=listed, linger_s=linger_s)
        await self._stack.enter_async_context(relay)
        node = RelayNode(name, store, endpoint, pool, peers, client, relay, telemetry)
        telemetry.listen(lambda event, fields: node.served.append(fields) if event == "served" else None)
        self._accept(node, charging)
        return node

    async def line(self, *names: str) -> list[RelayNode]:
        """Nodes of which each knows the next one."""
        nodes = [await self.node(name) for name in names]
        for one, following in pairwise(nodes):
            one.knows(following)
        return nodes

    def _accept(self, node: RelayNode, charging: Charging | None) -> None:
        relaying = Relaying(node.relay, node.endpoint.endpoint_id)

        async def serve(connection: Connection) -> None:
            await serve_connection(
                connection,
                node.store,
                lambda _cid: True,
                node.telemetry,
                SystemClock(),
                charging=charging,
                relaying=relaying,
            )

        async def accept() -> None:
            while True:
                try:
                    connection = await node.endpoint.accept()
                except UnavailableError:
                    return
                self._tasks.append(self._group.create_task(serve(connection)))

        self._tasks.append(self._group.create_task(accept()))

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def net(folder: Path) -> AsyncIterator[Net]:
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        place = Net(folder, group, stack)
        try:
            yield place
        finally:
            place.end()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other tasks do; the test's deadline ends it."""
    while not condition():  # noqa: ASYNC110 - what is waited for shows in properties only
        await asyncio.sleep(0.001)
