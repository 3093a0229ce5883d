"""Connections within one process: the same behaviour as transport/iroh.py with no sockets, threads or clock of its own.

For tests, and for simulations on a loop whose time is virtual: whatever waits here waits on asyncio, so the same seed
gives the same order of events. One MemoryNetwork is the world; endpoints of different networks do not see each other.

Kept alike with QUIC on purpose: a stream is seen by the acceptor only once its opener has sent something on it; a
sender waits while too much is unread; a reset discards what was not read yet; closing a connection loses
what was in flight; only so many streams may be open; nobody answers before the first accept().
"""

import asyncio
from dataclasses import dataclass, field

from nearcast.errors import UnavailableError
from nearcast.keys import Identity
from nearcast.transport.base import STREAMS_PER_CONNECTION_MAX, Connection, PeerAddress, Stream
from nearcast.transport.memory_pipe import Pipe, PipeReceiver, PipeSender

ACCEPT_BACKLOG_MAX = 64  # connections that nobody has accepted yet, as in transport/iroh.py


@dataclass
class MemoryNetwork:
    """The endpoints that can reach each other, each way taking `latency_s` seconds."""

    latency_s: float = 0.0
    _endpoints: "dict[str, MemoryEndpoint]" = field(default_factory=dict)
    _count: int = 0

    def endpoint(self, identity: Identity) -> "MemoryEndpoint":
        """A new endpoint, reachable at an address of this network."""
        self._count += 1
        endpoint = MemoryEndpoint(self, identity.endpoint_id, f"memory-{self._count}:1")
        self._endpoints[endpoint.location] = endpoint
        return endpoint

    def find(self, address: PeerAddress) -> "MemoryEndpoint | None":
        """The living endpoint with that key at one of those places."""
        for location in address.addresses:
            endpoint = self._endpoints.get(location)
            if endpoint is not None and endpoint.endpoint_id == address.endpoint_id:
                return endpoint
        return None

    def forget(self, location: str) -> None:
        self._endpoints.pop(location, None)


class MemoryEndpoint:
    """Endpoint of transport/base.py."""

    def __init__(self, network: MemoryNetwork, endpoint_id: bytes, location: str) -> None:
        self.location = location
        self._network = network
        self._endpoint_id = endpoint_id
        self._connections: dict[MemoryConnection, None] = {}  # a set in a deterministic order
        self._backlog: asyncio.Queue[MemoryConnection | None] = asyncio.Queue(ACCEPT_BACKLOG_MAX)
        self._accepting = asyncio.Event()
        self._closed = False

    @property
    def endpoint_id(self) -> bytes:
        return self._endpoint_id

    def address(self) -> PeerAddress:
        return PeerAddress(self._endpoint_id, (self.location,))

    async def connect(self, address: PeerAddress, timeout_s: float = 5.0) -> Connection:
        remote = self._network.find(address)
        if self._closed or remote is None or remote is self:
            raise UnavailableError(f"nobody with the key {address.endpoint_id.hex()[:16]} answers there")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._dial(remote)
        except TimeoutError:
            raise UnavailableError(f"no answer from {address.endpoint_id.hex()[:16]} in {timeout_s:g} s") from None

    async def _dial(self, remote: "MemoryEndpoint") -> "MemoryConnection":
        await asyncio.sleep(2 * self._network.latency_s)
        await remote._accepting.wait()
        near, far = _connection_pair(self, remote, self._network.latency_s)
        try:
            await remote._backlog.put(far)
        except asyncio.CancelledError:
            near.end()
            raise
        if remote._closed:
            near.end()
            raise UnavailableError(f"the endpoint {remote.endpoint_id.hex()[:16]} was closed")
        return near

    async def accept(self) -> Connection:
        self._accepting.set()
        while not self._closed:
            connection = await self._backlog.get()
            if connection is not None and not connection.is_closed:
                return connection
        self._wake_acceptor()  # the next of several waiting acceptors
        raise UnavailableError("this endpoint is closed")

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._network.forget(self.location)
        for connection in list(self._connections):
            connection.end()
        self._accepting.set()
        self._wake_acceptor()

    def _wake_acceptor(self) -> None:
        while not self._backlog.empty():
            self._backlog.get_nowait()
        self._backlog.put_nowait(None)

    def register(self, connection: "MemoryConnection") -> None:
        self._connections[connection] = None

    def unregister(self, connection: "MemoryConnection") -> None:
        self._connections.pop(connection, None)


class MemoryConnection:
    """Connection of transport/base.py: one end of a pair."""

    def __init__(self, endpoint: MemoryEndpoint, remote_id: bytes, latency_s: float) -> None:
        self.peer: MemoryConnection = self  # the other end, set by _connection_pair
        self._endpoint = endpoint
        self._remote_id = remote_id
        self._latency_s = latency_s
        self._incoming: asyncio.Queue[Stream | None] = asyncio.Queue()  # bounded by the opener's slots
        self._slots = asyncio.Semaphore(STREAMS_PER_CONNECTION_MAX)
        self._streams: dict[_OpenStream, None] = {}
        self._closed = asyncio.Event()
        endpoint.register(self)

    @property
    def remote_id(self) -> bytes:
        return self._remote_id

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def rtt_s(self) -> float | None:
        return 2 * self._latency_s

    async def open_stream(self) -> Stream:
        await self._slots.acquire()
        if self.is_closed:
            self._slots.release()  # the next of several that wait
            raise UnavailableError("the connection is closed")
        stream = _OpenStream(self, self._latency_s)
        self._streams[stream] = None
        return stream.for_opener()

    async def accept_stream(self) -> Stream:
        while not self.is_closed:
            stream = await self._incoming.get()
            if stream is not None:
                return stream
        self._incoming.put_nowait(None)  # the next of several that wait
        raise UnavailableError("the connection is closed")

    def offer(self, stream: Stream) -> None:
        """The other end opened `stream`."""
        self._incoming.put_nowait(stream)

    def release(self, stream: "_OpenStream") -> None:
        """A stream that we opened is over in both directions."""
        if stream in self._streams:
            del self._streams[stream]
            self._slots.release()

    async def close(self) -> None:
        self.end()

    def end(self) -> None:
        """Close both ends at once and wake all that wait on them."""
        for end in (self, self.peer):
            if end._closed.is_set():
                continue
            end._closed.set()
            end._endpoint.unregister(end)
            end._incoming.put_nowait(None)
            for stream in tuple(end._streams):
                stream.there.lose()
                stream.back.lose()
            end._slots.release()


def _connection_pair(
    opener: MemoryEndpoint, acceptor: MemoryEndpoint, latency_s: float
) -> tuple[MemoryConnection, MemoryConnection]:
    near = MemoryConnection(opener, acceptor.endpoint_id, latency_s)
    far = MemoryConnection(acceptor, opener.endpoint_id, latency_s)
    near.peer, far.peer = far, near
    return near, far


class _OpenStream:
    """A stream that one side opened: both directions, counted as long as one of them lives."""

    def __init__(self, opener: MemoryConnection, latency_s: float) -> None:
        self._opener = opener
        self._announced = False
        self.there = Pipe(latency_s, self._check_over)
        self.back = Pipe(latency_s, self._check_over)

    def for_opener(self) -> Stream:
        return Stream(PipeSender(self.there, self._announce), PipeReceiver(self.back, self._announce))

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            known = Stream(PipeSender(self.back, _known), PipeReceiver(self.there, _known))
            self.there.later(lambda: self._opener.peer.offer(known))

    def _check_over(self) -> None:
        if self.there.is_over and self.back.is_over:
            self._opener.release(self)


def _known() -> None:
    """The acceptor's halves have nobody to announce the stream to."""
