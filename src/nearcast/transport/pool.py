"""One connection per peer, kept while it lives and shared by everybody who wants to talk to that peer.

Callers that want the same peer at once share one dial. At most CONNECTIONS_MAX are kept; the one used longest ago is
closed to make room. The pool owns the dials: one goes on when nobody waits for it any more, so that a peer that takes
longer to reach than anybody's patience is reached the next time. `close` ends them, and `abandon` one.

A connection that is silent is given up: the next caller gets a new one, and whoever uses the old one goes on with it.
It may be alive after all, and counts as one of ours at its other end; so of each peer one such is left open, and the
one before it is closed. Where the new dial gets no answer in AGAIN_S, it is closed, too: as long as iroh has one
connection to a peer, it sends the packets of others to where that one's went, so that a peer which was killed and
listens at another port now would be out of reach until QUIC takes notice (iroh's pull request 3650).
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Container
from typing import Any

from nearcast.errors import UnavailableError
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Endpoint, PeerAddress

CONNECTIONS_MAX = 256  # guess: more peers than one download or one LAN has
DIAL_TIMEOUT_S = 5.0  # guess: two round trips over the worst link, twice
# A peer that was killed, or whose machine lost its power, says no goodbye, and QUIC finds out after half a minute only.
# Without an answer to anything that was asked. Guess: a busy machine answers something by then; and it is less than a
# relay's look takes (delivery/relay.py), so that the next one after the back-off dials.
SILENCE_S = 1.5

AGAIN_S = 1.5  # guess: longer than a handshake takes over the worst link; within a relay's look (delivery/relay.py)


class ConnectionPool:
    """Connections that we dialled, by endpoint id."""

    def __init__(self, endpoint: Endpoint, telemetry: Telemetry, *, limit: int = CONNECTIONS_MAX) -> None:
        self._endpoint = endpoint
        self._telemetry = telemetry
        self._limit = limit
        self._connections: OrderedDict[bytes, Connection] = OrderedDict()
        self._dials: dict[bytes, asyncio.Task[Connection]] = {}  # awaited in close()
        self._waiting: Counter[bytes] = Counter()  # how many callers wait for each
        self._is_closed = False
        self._given_up: OrderedDict[bytes, tuple[Connection, float]] = (
            OrderedDict()
        )  # the newest of each peer, and when
        self._ending: set[asyncio.Task[Any]] = set()  # dials and connections; awaited in close()
        self._silent_since_s: dict[bytes, float] = {}
        self._used_s: dict[bytes, float] = {}  # when each was asked for last, by the loop's clock
        self._uses: Counter[bytes] = Counter()  # how often each was asked for

    @property
    def endpoint_id(self) -> bytes:
        """Of the node that dials."""
        return self._endpoint.endpoint_id

    @property
    def count(self) -> int:
        """How many connections are kept."""
        return len(self._connections)

    async def get(self, address: PeerAddress, timeout_s: float = DIAL_TIMEOUT_S) -> Connection:
        """A live connection to that peer. Raises UnavailableError when it cannot be reached."""
        live = self._live(address.endpoint_id)
        if live is not None:
            self._use(address.endpoint_id)
            return live
        dial = self._dials.get(address.endpoint_id)
        if dial is None:
            if self._is_closed:
                raise UnavailableError("this node is stopping")
            dial = asyncio.get_running_loop().create_task(self._dial(address, timeout_s))
            self._dials[address.endpoint_id] = dial
            dial.add_done_callback(lambda done: self._dialled(address.endpoint_id, done))
        self._waiting[address.endpoint_id] += 1
        try:
            await asyncio.wait([dial])
        finally:
            self._waiting[address.endpoint_id] -= 1
            if not self._waiting[address.endpoint_id]:
                del self._waiting[address.endpoint_id]
        if dial.cancelled():
            raise UnavailableError("this node is stopping")
        connection = dial.result()
        self._use(address.endpoint_id)
        return connection

    def _use(self, endpoint_id: bytes) -> None:
        if endpoint_id in self._connections:
            self._used_s[endpoint_id] = asyncio.get_running_loop().time()
            self._uses[endpoint_id] += 1

    def _dialled(self, endpoint_id: bytes, dial: asyncio.Task[Connection]) -> None:
        if self._dials.get(endpoint_id) is dial:
            del self._dials[endpoint_id]
        if not dial.cancelled():
            dial.exception()  # looked at: there may be nobody who waits any more

    def _live(self, endpoint_id: bytes) -> Connection | None:
        connection = self._connections.get(endpoint_id)
        if connection is None:
            return None
        if connection.is_closed:
            self._forget(endpoint_id)
            return None
        self._connections.move_to_end(endpoint_id)
        return connection

    def _forget(self, endpoint_id: bytes) -> None:
        del self._connections[endpoint_id]
        self._silent_since_s.pop(endpoint_id, None)
        self._used_s.pop(endpoint_id, None)
        self._uses.pop(endpoint_id, None)

    async def _dial(self, address: PeerAddress, timeout_s: float) -> Connection:
        connection = await self._connect(address, timeout_s)
        self._telemetry.count("connections_dialled")
        self._connections[address.endpoint_id] = connection
        self._connections.move_to_end(address.endpoint_id)
        self._silent_since_s.pop(address.endpoint_id, None)
        self._used_s[address.endpoint_id] = asyncio.get_running_loop().time()
        await self._make_room()
        return connection

    async def _connect(self, address: PeerAddress, timeout_s: float) -> Connection:
        if address.endpoint_id in self._given_up:
            try:
                return await self._endpoint.connect(address, min(timeout_s, AGAIN_S))
            except UnavailableError:
                given_up = self._given_up.pop(address.endpoint_id, None)
                if given_up is not None:
                    await given_up[0].close()
        return await self._endpoint.connect(address, timeout_s)

    async def _make_room(self) -> None:
        while len(self._connections) > self._limit:
            endpoint_id, oldest = next(iter(self._connections.items()))
            self._forget(endpoint_id)
            await oldest.close()

    def has(self, endpoint_id: bytes) -> bool:
        """Whether there is a live connection to that peer; looking does not count as use."""
        connection = self._connections.get(endpoint_id)
        return connection is not None and not connection.is_closed

    def uses(self, endpoint_id: bytes) -> int:
        """How often the connection to that peer was asked for since it is there."""
        return self._uses[endpoint_id]

    async def close_idle(self, idle_s: float, held: Container[bytes]) -> None:
        """Close what nobody has asked for that long; those to the `held` peers stay, and count as used now."""
        now_s = asyncio.get_running_loop().time()
        for endpoint_id, connection in list(self._connections.items()):
            if endpoint_id in held:
                self._connections.move_to_end(endpoint_id)
            elif now_s - self._used_s.get(endpoint_id, now_s) >= idle_s or connection.is_closed:
                self._forget(endpoint_id)
                await connection.close()
        for endpoint_id, (connection, since_s) in list(self._given_up.items()):
            if now_s - since_s >= idle_s or connection.is_closed:
                del self._given_up[endpoint_id]
                await connection.close()

    def answered(self, connection: Connection) -> None:
        """Something came on it that was asked for: it lives."""
        self._silent_since_s.pop(connection.remote_id, None)

    def unanswered(self, connection: Connection, waited_s: float) -> None:
        """A question on it was waited for so long in vain. After SILENCE_S of that the next `get` dials anew.

        Whoever uses the connection still goes on with it: if it is alive after all, nothing is cut off.
        """
        key, now_s = connection.remote_id, asyncio.get_running_loop().time()
        if self._connections.get(key) is not connection:
            return
        since_s = min(now_s - waited_s, self._silent_since_s.get(key, now_s))
        self._silent_since_s[key] = since_s
        if now_s - since_s >= SILENCE_S:
            self._forget(key)
            self._give_up(connection)

    def _give_up(self, connection: Connection) -> None:
        """Leave it to whoever uses it; the one of this peer before it, or the oldest of too many, is closed."""
        loop = asyncio.get_running_loop()
        before = self._given_up.pop(connection.remote_id, None)
        self._given_up[connection.remote_id] = connection, loop.time()
        if before is None and len(self._given_up) > self._limit:
            _, before = self._given_up.popitem(last=False)
        if before is not None and not self._is_closed:
            closing = loop.create_task(before[0].close())
            self._ending.add(closing)
            closing.add_done_callback(self._ending.discard)

    def abandon(self, endpoint_id: bytes) -> None:
        """That peer need not be dialled any more: end the dial that is under way, unless somebody waits for it."""
        if endpoint_id in self._dials and not self._waiting[endpoint_id]:
            dial = self._dials.pop(endpoint_id)
            dial.cancel()
            self._ending.add(dial)
            dial.add_done_callback(self._ending.discard)

    async def drop(self, endpoint_id: bytes) -> None:
        """Close the connection to that peer, if there is one."""
        given_up = self._given_up.pop(endpoint_id, None)
        connection = self._connections.get(endpoint_id)
        if connection is not None:
            self._forget(endpoint_id)
            await connection.close()
        if given_up is not None:
            await given_up[0].close()

    async def close(self) -> None:
        """Close every connection, and dial none any more."""
        self._is_closed = True
        dials = list(self._dials.values())
        for dial in dials:
            dial.cancel()
        if dials or self._ending:
            await asyncio.wait([*dials, *self._ending])
        for connection in [*self._connections.values(), *(given_up for given_up, _ in self._given_up.values())]:
            await connection.close()
        self._connections.clear()
        self._given_up.clear()
