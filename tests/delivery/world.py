"""A small world to download in: nodes with real stores on one memory network, and peers that misbehave."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nearcast.clock import SystemClock
from nearcast.content.cid import Cid, raw_cid
from nearcast.content.dag import FileDag, build_file_dag
from nearcast.content.directory import build_directory
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.nodes import Entry
from nearcast.content.store import Store
from nearcast.delivery.answer import Listed
from nearcast.delivery.charging import Charging
from nearcast.delivery.fetch import Fetcher, FetchEvent
from nearcast.delivery.messages import Offer, answer_fields
from nearcast.delivery.peer_source import PeerSource
from nearcast.delivery.serve import Relaying, ServeGate, ServePolicy, serve_connection
from nearcast.delivery.upstream import Upstream
from nearcast.errors import NearcastError, UnavailableError
from nearcast.keys import Identity, new_identity
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Endpoint, PeerAddress, Stream
from nearcast.transport.memory import MemoryNetwork
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import FrameReader, encode_message

T = TypeVar("T")
Misbehaviour = Callable[[Stream, Any], Awaitable[None]]
STALL_S = 0.4  # as short as a busy machine allows
TEST_DEADLINE_S = 30.0
OFFER = encode_message(answer_fields(Offer(0)))


def run(main: Coroutine[Any, Any, T]) -> T:
    """A test's coroutine, with an end: a hang is a failure."""

    async def bounded() -> T:
        async with asyncio.timeout(TEST_DEADLINE_S):
            return await main

    return asyncio.run(bounded())


def noise(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def file_dag(content: bytes) -> FileDag:
    """The DAG that the profile unixfs-v1-2025 gives this content."""
    leaves = [content[start : start + LEAF_BYTES] for start in range(0, len(content), LEAF_BYTES)] or [b""]
    return build_file_dag(b"".join(hashlib.sha256(leaf).digest() for leaf in leaves), len(content))


def keep_file(store: Store, content: bytes) -> FileDag:
    """The content as one whole object of the store."""
    dag = file_dag(content)
    if not dag.nodes:
        with store.batch() as batch:
            batch.put_block(dag.root, content)
        return dag
    path, file = store.temporary_file()
    file.close()
    path.write_bytes(content)
    with store.batch() as batch:
        batch.put_file(dag, path)
    return dag


def keep_leaf(store: Store, content: bytes) -> Cid:
    cid = raw_cid(hashlib.sha256(content).digest())
    with store.batch() as batch:
        batch.put_block(cid, content)
    return cid


def keep_tree(store: Store, tree: dict[str, Any]) -> Cid:
    """Nested dicts of bytes as a directory."""
    entries = []
    for name, item in tree.items():
        if isinstance(item, dict):
            entries.append(Entry(name, keep_tree(store, item), 0))
        else:
            entries.append(Entry(name, keep_file(store, item).root, len(item)))
    built = build_directory(entries)
    with store.batch() as batch:
        for cid, data in built.nodes:
            batch.put_block(cid, data)
    return built.root


@dataclass
class Peer:
    """A node that serves."""

    store: Store
    endpoint: Endpoint
    telemetry: Telemetry
    connections: list[Connection] = field(default_factory=list)
    served: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> PeerAddress:
        return self.endpoint.address()

    @property
    def name(self) -> str:
        return self.endpoint.endpoint_id.hex()[:8]

    async def die(self) -> None:
        """As a killed process: every connection breaks, nobody listens any more."""
        await self.endpoint.close()


@dataclass
class Reader:
    """The node that fetches, and what it was told."""

    store: Store
    fetcher: Fetcher
    pool: ConnectionPool
    events: list[FetchEvent] = field(default_factory=list)

    def source(self, peer: Peer | PeerAddress, *, stall_s: float = STALL_S) -> PeerSource:
        address = peer.address if isinstance(peer, Peer) else peer
        return PeerSource(self.pool, address, stall_timeout_s=stall_s)

    def told(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


class World:
    """Everything is closed when the world ends."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._group = group
        self._stack = stack
        self._tasks: list[asyncio.Task[None]] = []
        self._stores: list[Store] = []
        self.network = MemoryNetwork()

    def store(self, name: str, quota_bytes: int = 1 << 30) -> Store:
        store = Store.open(self.folder(name), quota_bytes=quota_bytes, clock=SystemClock())
        self._stores.append(store)
        self._stack.callback(self.close_store, store)
        return store

    def close_store(self, store: Store) -> None:
        """Earlier than at the world's end, to open the same folder again."""
        if store in self._stores:
            self._stores.remove(store)
            store.close()

    def endpoint(self, identity: Identity | None = None) -> Endpoint:
        endpoint = self.network.endpoint(identity or new_identity())
        self._stack.push_async_callback(endpoint.close)
        return endpoint

    def reader(self, store: Store | None = None, endpoint: Endpoint | None = None) -> Reader:
        telemetry = Telemetry()
        pool = ConnectionPool(endpoint or self.endpoint(), telemetry)
        self._stack.push_async_callback(pool.close)
        store = store or self.store("reader")
        return Reader(store, Fetcher(store, SystemClock(), telemetry), pool)

    def peer(
        self,
        name: str,
        *,
        policy: ServePolicy = lambda _cid: True,
        endpoint: Endpoint | None = None,
        gate: ServeGate | None = None,
        slow_reader_s: float = 5.0,
        charging: Charging | None = None,
        listed: Listed | None = None,
        upstream: Upstream | None = None,
    ) -> Peer:
        """An honest node."""
        peer = Peer(self.store(name), endpoint or self.endpoint(), Telemetry())
        peer.telemetry.listen(lambda event, fields: peer.served.append(fields) if event == "served" else None)

        async def serve(connection: Connection) -> None:
            peer.connections.append(connection)
            await serve_connection(
                connection,
                peer.store,
                policy,
                peer.telemetry,
                SystemClock(),
                gate=gate,
                slow_reader_s=slow_reader_s,
                charging=charging,
                listed=listed,
                relaying=None if upstream is None else Relaying(upstream, peer.endpoint.endpoint_id),
            )

        self._accept(peer.endpoint, serve)
        return peer

    def hostile(self, misbehave: Misbehaviour, endpoint: Endpoint | None = None) -> PeerAddress:
        """A peer that reads each request, then does as it likes with the stream."""
        endpoint = endpoint or self.endpoint()

        async def one(stream: Stream) -> None:
            try:
                await misbehave(stream, await FrameReader(stream.receive).message())
            except NearcastError:
                return  # whoever was annoyed has gone away

        async def serve(connection: Connection) -> None:
            async with asyncio.TaskGroup() as group:
                while True:
                    try:
                        group.create_task(one(await connection.accept_stream()))
                    except UnavailableError:
                        return

        self._accept(endpoint, serve)
        return endpoint.address()

    def _accept(self, endpoint: Endpoint, serve: Callable[[Connection], Coroutine[Any, Any, None]]) -> None:
        async def accept() -> None:
            while True:
                try:
                    connection = await endpoint.accept()
                except UnavailableError:
                    return
                self._tasks.append(self._group.create_task(serve(connection)))

        self._tasks.append(self._group.create_task(accept()))

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends with the world."""
        task = self._group.create_task(coroutine)
        self._tasks.append(task)
        return task

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Left when the world ends."""
        return self._stack.enter_context(context)

    def folder(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        place = World(folder, group, stack)
        try:
            yield place
        finally:
            place.end()
