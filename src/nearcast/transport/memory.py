"""Connections within one process: the same behaviour as transport/iroh.py with no sockets, threads or clock of its own.

For tests, and for simulations on a loop whose time is virtual: whatever waits here waits on asyncio, so the same seed
gives the same order of events. One MemoryNetwork is the world; endpoints of different networks do not see each other.
What is sent takes the network's Way (memory_way.py), which a simulation may make long, narrow and unsafe.

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
from nearcast.transport.memory_way import FixedWay, Way

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
        self.put(endpoint)
        return endpoint

    def put(self, endpoint: "MemoryEndpoint") -> None:
        """It can be reached from now on."""
        self._endpoints[endpoint.location] = endpoint

    def endpoints(self) -> "tuple[MemoryEndpoint, ...]":
        """All that can be reached."""
        return tuple(self._endpoints.values())

    def way(self, sender: "MemoryEndpoint", receiver: "MemoryEndpoint") -> Way:
        """How what one sends gets to the other."""
        return FixedWay(self.latency_s)

    def rtt_s(self, one: "MemoryEndpoint", other: "MemoryEndpoint") -> float:
        """What the transport of one would measure as the round-trip time to the other."""
        return 2 * self.latency_s

    async def handshake(self, dialler: "MemoryEndpoint", remote: "MemoryEndpoint") -> None:
        """Until the one that dials has the other's first answer, or for ever. Raises UnavailableError."""
        await asyncio.sleep(2 * self.latency_s)

    def find(self, address: PeerAddress) -> "MemoryEndpoint | None":
        """The living endpoint with that key at one of those places."""
        for location in address.addresses:
            endpoint = self._endpoints.get(location)
            if endpoint is not None and endpoint.endpoint_id == address.endpoint_id:
                return endpoint
        return None

    def forget(self, endpoint: "MemoryEndpoint") -> None:
        """It is not to be found any more, unless another one has taken its place."""
        if self._endpoints.get(endpoint.location) is endpoint:
            del self._endpoints[endpoint.location]


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
        await self._network.handshake(self, remote)
        await remote._accepting.wait()
        near, far = _connection_pair(self._network, self, remote)
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

    @property
    def connections(self) -> "tuple[MemoryConnection, ...]":
        """Those that are open."""
        return tuple(self._connections)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._network.forget(self)
        for connection in self.connections:
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

    def __init__(self, network: MemoryNetwork, endpoint: MemoryEndpoint, remote: MemoryEndpoint) -> None:
        self.peer: MemoryConnection = self  # the other end, set by _connection_pair
        self.endpoint = endpoint
        self.way = network.way(endpoint, remote)
        self._network = network
        self._remote = remote
        self._incoming: asyncio.Queue[Stream | None] = asyncio.Queue()  # bounded by the opener's slots
        self._slots = asyncio.Semaphore(STREAMS_PER_CONNECTION_MAX)
        self._streams: dict[_OpenStream, None] = {}
        self._closed = asyncio.Event()
        endpoint.register(self)

    @property
    def remote_id(self) -> bytes:
        return self._remote.endpoint_id

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def remote_address(self) -> str | None:
        return self._remote.location

    def rtt_s(self) -> float | None:
        return self._network.rtt_s(self.endpoint, self._remote)

    async def open_stream(self) -> Stream:
        await self._slots.acquire()
        if self.is_closed:
            self._slots.release()  # the next of several that wait
            raise UnavailableError("the connection is closed")
        stream = _OpenStream(self)
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
        """A stream that we opened is over in both directions. Once one end is lost, the other still has to hear."""
        if stream in self._streams and not self.is_closed and not self.peer.is_closed:
            del self._streams[stream]
            self._slots.release()

    def load(self) -> tuple[int, int]:
        """How many streams we have open on it, and the unread bytes of the fullest one, in both directions."""
        held_bytes = [pipe.held_bytes for stream in self._streams for pipe in (stream.there, stream.back)]
        return len(self._streams), max(held_bytes, default=0)

    async def close(self) -> None:
        self.end()

    def end(self) -> None:
        """Close this end, and the other as soon as it hears of it."""
        if not self.is_closed:
            self.lose("the connection is closed")
            self.way.send(lambda: self.peer.lose("the connection is closed"), 0, 0.0)

    def lose(self, reason: str) -> None:
        """This end is over, and all that wait on it wake; the other end is not told."""
        if self.is_closed:
            return
        self._closed.set()
        self.endpoint.unregister(self)
        self._incoming.put_nowait(None)
        for stream in tuple(self._streams):
            stream.there.lose_sender(reason)
            stream.back.lose_receiver(reason)
        for stream in tuple(self.peer._streams):
            stream.there.lose_receiver(reason)
            stream.back.lose_sender(reason)
        self._slots.release()


def _connection_pair(
    network: MemoryNetwork, opener: MemoryEndpoint, acceptor: MemoryEndpoint
) -> tuple[MemoryConnection, MemoryConnection]:
    near = MemoryConnection(network, opener, acceptor)
    far = MemoryConnection(network, acceptor, opener)
    near.peer, far.peer = far, near
    return near, far


class _OpenStream:
    """A stream that one side opened: both directions, counted as long as one of them lives."""

    def __init__(self, opener: MemoryConnection) -> None:
        self._opener = opener
        self._announced = False
        self.there = Pipe(opener.way, opener.peer.way, self._check_over)
        self.back = Pipe(opener.peer.way, opener.way, self._check_over)

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
