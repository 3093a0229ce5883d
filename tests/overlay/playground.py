"""Two and more services in one process, over the memory transport, with a machine that only asks and answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nearcast.clock import SystemClock
from nearcast.delivery.serve import Overlay
from nearcast.errors import NearcastError, RemoteError, UnavailableError
from nearcast.keys import Identity, new_identity
from nearcast.overlay.flood import Conduct
from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.overlay.service import Service
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, PeerAddress, Stream
from nearcast.transport.memory import MemoryEndpoint, MemoryNetwork
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import FrameReader, decode_message, encode_message


def encode(message: Any) -> bytes:
    return encode_message({"p": "test", "m": message})


def decode(payload: bytes) -> Any:
    value = decode_message(payload)
    if not isinstance(value, dict) or value.get("p") != "test":
        raise RemoteError("not of the test's protocol")
    return value["m"]


@dataclass
class Echo:
    """Answers "ping" with "pong", keeps what else comes, and fails on "bug"."""

    heard: list[tuple[bytes, Any]] = field(default_factory=list)
    lost: list[bytes] = field(default_factory=list)
    rung: list[Hashable] = field(default_factory=list)
    senders: dict[bytes, PeerAddress] = field(default_factory=dict)

    def start(self, now_s: float) -> Iterable[Effect]:
        yield Arm(0.01, "soon")

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        if message == "bug":
            raise KeyError("a bug")
        self.senders[sender.endpoint_id] = sender
        self.heard.append((sender.endpoint_id, message))
        yield Tell(message)
        if message == "ping":
            yield Send(sender, "pong")

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        self.rung.append(timer)
        return []

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        self.lost.append(endpoint_id)
        return []


class Member:
    """One node: an endpoint that accepts, a pool, and the service with its machine."""

    def __init__(self, network: MemoryNetwork, **settings: Any) -> None:
        self.identity: Identity = new_identity()
        self.endpoint: MemoryEndpoint = network.endpoint(self.identity)
        self.telemetry = Telemetry()
        self.pool = ConnectionPool(self.endpoint, self.telemetry)
        self.machine = Echo()
        self.accepted: list[Connection] = []
        conduct = Conduct(**settings)
        self.service = Service(
            self.machine,
            self.pool,
            self.endpoint.address,
            encode,
            decode,
            SystemClock(),
            self.telemetry,
            conduct=conduct,
        )

    @property
    def id(self) -> bytes:
        return self.endpoint.endpoint_id

    @property
    def address(self) -> PeerAddress:
        return self.endpoint.address()

    def send(self, to: "Member", message: Any) -> None:
        self.service.perform([Send(to.address, message)])

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    connection = await self.endpoint.accept()
                except UnavailableError:
                    return
                self.accepted.append(connection)
                tasks.create_task(serve_overlay(connection, self.service.links))


async def serve_overlay(connection: Connection, links: Overlay) -> None:
    """As delivery/serve.py does for streams that begin with a hello."""

    async def serve_one(stream: Stream) -> None:
        frames = FrameReader(stream.receive)
        with contextlib.suppress(NearcastError):
            first = await frames.message()
            if links.is_hello(first):
                await links.serve(connection, stream, frames, first)

    async with asyncio.TaskGroup() as tasks:
        while True:
            try:
                tasks.create_task(serve_one(await connection.accept_stream()))
            except UnavailableError:
                return


@asynccontextmanager
async def members(count: int, *, latency_s: float = 0.0, **settings: Any) -> AsyncIterator[list[Member]]:
    """`count` nodes that run while the block does."""
    network = MemoryNetwork(latency_s)
    async with AsyncExitStack() as stack:
        made = [Member(network, **settings) for _ in range(count)]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        for member in made:
            stack.push_async_callback(member.endpoint.close)
            stack.push_async_callback(member.pool.close)
            await stack.enter_async_context(member.service)
            tasks.create_task(member.serve())
        yield made


async def until(true: Any, timeout_s: float = 5.0) -> None:
    """Wait until `true()` is; let everybody else run meanwhile."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for is state of a machine, which has no events
            await asyncio.sleep(0.002)
