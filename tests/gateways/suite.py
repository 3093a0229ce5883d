"""A real gateway on a real port, over a real store; and a neighbour that holds what this node lacks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from nearcast.client import Client, Finder
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid
from nearcast.content.importer import import_path
from nearcast.content.store import Store
from nearcast.delivery.fetch import Fetcher
from nearcast.delivery.serve import serve_connection
from nearcast.gateways.http.app import HttpGateway
from nearcast.gateways.http.request import RequestLine
from nearcast.gateways.http.server import HttpServer
from nearcast.keys import new_identity
from nearcast.overlay.peers import PeerBook
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Endpoint
from nearcast.transport.memory import MemoryNetwork
from nearcast.transport.pool import ConnectionPool

QUOTA_BYTES = 1 << 30


@dataclass
class Door:
    """A running gateway and a browser-like client for it."""

    url: str
    port: int
    store: Store
    gateway: HttpGateway
    session: aiohttp.ClientSession
    lines: list[RequestLine]

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> "Answer":
        """`path` is sent as it is; a header's underscores become dashes."""
        from yarl import URL

        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, headers=sent, allow_redirects=False) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def answered(self, count: int) -> None:
        """Waits until that many answers are over: a client may have the last byte before the server says so."""
        async with asyncio.timeout(10):
            while len(self.lines) < count:  # noqa: ASYNC110 - the gateway tells through a plain callback
                await asyncio.sleep(0.01)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def share(store: Store, path: Path, *, in_place: bool = True) -> Cid:
    """Imports a file or folder."""
    return import_path(store, path, in_place=in_place).root


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


@asynccontextmanager
async def opened(
    folder: Path, *, fetch: str = "local", neighbour: Store | None = None, **options: Any
) -> AsyncGenerator[Door, None]:
    """A gateway over a store in `folder`; `neighbour` is the store of another node that it may fetch from.

    `options` are the gateway's own.
    """
    lines: list[RequestLine] = []
    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store.open(folder / "store", quota_bytes=QUOTA_BYTES, clock=SystemClock()))
        client = await stack.enter_async_context(connected(store, neighbour))
        gateway = HttpGateway(client, fetch=fetch, on_request=lines.append, **options)
        server = HttpServer()
        await server.start(gateway, "127.0.0.1", 0)
        stack.push_async_callback(server.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield Door(server.url, server.port, store, gateway, session, lines)


@asynccontextmanager
async def connected(store: Store, neighbour: Store | None) -> AsyncGenerator[Client, None]:
    """A client whose only peer, if any, serves the store `neighbour`."""
    network, peers, clock, telemetry = MemoryNetwork(), PeerBook(), SystemClock(), Telemetry()
    endpoint = network.endpoint(new_identity())
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        serving = None
        if neighbour is not None:
            other = network.endpoint(new_identity())
            peers.add(other.address(), "config", clock.monotonic_s())
            serving = tasks.create_task(serve(other, neighbour))
        pool = ConnectionPool(endpoint, telemetry)
        finder = Finder(peers, pool, clock, expects_lan=False)
        client = Client(store, Fetcher(store, clock, telemetry), finder, on_event=lambda _: None)
        yield await stack.enter_async_context(client)
        await stack.aclose()
        await pool.close()
        if serving is not None:
            serving.cancel()


async def serve(endpoint: Endpoint, store: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        while True:
            connection = await endpoint.accept()
            tasks.create_task(serve_connection(connection, store, lambda _: True, Telemetry(), SystemClock()))
