"""The links of one node: whom it has an overlay stream with, and how a message gets to a peer.

A message goes over a link that exists, whoever opened it; else the peer is dialled. What is known to have failed comes
back as `unreachable`: a dial, a kept link that ended, a link that ended with messages waiting. When two peers dial each
other at once, as many do who join together, the dial that is not through yet is given up for the link that is there;
if both were, both send on the one that the smaller endpoint id opened, and the other one ends when it is idle.
What this node had no room to dial for, or ended itself, says nothing of the peer: unless that one is kept the message
is lost without a word, and whoever waits for an answer has a timer. So a node that is full asks less, not more.

What a link costs decides how long it stays. Measured with iroh 1.2 on the loopback, both directions together: a dial
35 kB and 13 kB more in the seconds after it (the search for the largest packet, which cannot be set), 22 kB in all
where there is IPv4 alone; an idle connection 49 B/s of keep-alives (nor can that be set). So a connection that is not
needed is worth holding for DIAL_BYTES / IDLE_BYTES_PER_S, a quarter of an hour, and UNKEPT_MAX of them at most; the
ones used longest ago go first.

Bounded: LINKS_MAX links, three quarters of them accepted, so that strangers who come do not end our dialling; of the
dialled ones UNKEPT_MAX that nobody keeps; dials at a time (dialling.py) and their rate, since contacts come from
strangers who may want us to dial around; a queue per link (link.py), so 32 MiB when all of them stand still at once.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from nearcast.errors import NearcastError, RemoteError, UnavailableError
from nearcast.overlay.dialling import DialSlots
from nearcast.overlay.flood import Bucket, Conduct
from nearcast.overlay.link import RESET_CODE, Decode, Link, Reading, SmallReads, hello, is_hello, parse_hello, seen_at
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, PeerAddress, Stream
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import FrameReader

DIAL_BYTES: Final = 48_000  # measured, see above
IDLE_BYTES_PER_S: Final = 49.0  # measured, see above
IDLE_S: Final = DIAL_BYTES / IDLE_BYTES_PER_S  # then holding it has cost as much as dialling again would
ACCEPTED_IDLE_S: Final = 1.5 * IDLE_S  # the opener decides; who has forgotten to is helped
DUPLICATE_IDLE_S: Final = 10.0  # guess: whatever was on its way when the second link came is there by then
UNKEPT_MAX: Final = 48  # with 12 kept ones 60 * 49 / 2 = 1.5 kB/s for a node's half: three quarters of its idle traffic
LINKS_MAX: Final = 256  # accepted and dialled, kept ones too; as many as the pool holds
ACCEPTED_SHARE: Final = 0.75  # of them; the quarter that is left: UNKEPT_MAX, and 16 that are kept or under way
DIALS_WAITING_MAX: Final = 128  # more are not sent; guess: the fan-out of ten lookups
DIALS_PER_S: Final = 8.0  # for ever; a lookup dials some twenty peers. Guess
DIALS_BURST: Final = 64.0  # guess: three lookups, or a node that has just started
DIAL_TIMEOUT_S: Final = 5.0  # as the pool's
SWEEP_S: Final = 5.0  # how often idle links are looked for; guess: small against IDLE_S


AddressOf = Callable[[bytes], PeerAddress | None]
"""Where a peer is that a message names without an address."""


def nowhere(_: bytes) -> None:
    """For machines that always say where."""


@dataclass(frozen=True, slots=True)
class Events:
    """Whom the links tell. Called in the event loop."""

    received: Callable[[PeerAddress, Any], None]
    unreachable: Callable[[bytes], None]


class Links:
    """Use as an async context manager: it owns the tasks of the links that it dials."""

    def __init__(
        self,
        pool: ConnectionPool,
        own: Callable[[], PeerAddress],
        encode: Callable[[Any], bytes],
        decode: Decode,
        events: Events,
        telemetry: Telemetry,
        *,
        conduct: Conduct | None = None,
        links_max: int = LINKS_MAX,
        unkept_max: int = UNKEPT_MAX,
        idle_s: float = IDLE_S,
        address_of: AddressOf = nowhere,
    ) -> None:
        """`own`: what others are told of where this node is. `encode`: from a message to a frame."""
        self._pool = pool
        self._own = own
        self._encode = encode
        self._events = events
        self._telemetry = telemetry
        self._conduct = conduct or Conduct()
        self._reading = Reading(decode, events.received, self._conduct, telemetry)
        self._links_max = links_max
        self._unkept_max = unkept_max
        self._idle_s = idle_s
        self._address_of = address_of
        self._dialled: dict[bytes, Link] = {}
        self._accepted: dict[bytes, Link] = {}
        self._connections: dict[Link, Connection] = {}
        self._kept: dict[bytes, None] = {}
        self._tasks = asyncio.TaskGroup()
        self._running: dict[Link, asyncio.Task[None]] = {}
        self._slots = DialSlots()
        self._dial_rate = Bucket(DIALS_PER_S, DIALS_BURST)
        self._is_closed = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._sweeping = self._tasks.create_task(self._sweep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_closed = True
        self._sweeping.cancel()
        for task in self._running.values():
            task.cancel()
        for link in self._accepted.values():
            link.end()
        await self._tasks.__aexit__(kind, error, traceback)

    # What the machine wants

    def send(self, to: PeerAddress, message: Any) -> None:
        """Give it to a link, or dial for it. Never waits, never raises."""
        if self._is_closed or to.endpoint_id == self._pool.endpoint_id:
            return
        frame = self._encode(message)
        link = self._link(to.endpoint_id) or self._dial(to)
        if link is not None:
            link.put(frame, self._now_s())

    def keep(self, peer: PeerAddress) -> None:
        """Hold a link to this peer open from now on; dial it if there is none."""
        if self._is_closed or peer.endpoint_id == self._pool.endpoint_id:
            return
        self._kept[peer.endpoint_id] = None
        if self._link(peer.endpoint_id) is None:
            self._dial(peer)

    def drop(self, endpoint_id: bytes) -> None:
        """No need to hold it any more."""
        self._kept.pop(endpoint_id, None)

    # What others want

    def is_hello(self, first: Any) -> bool:
        """Whether a stream with this first message is for `serve`."""
        return is_hello(first)

    async def serve(self, connection: Connection, stream: Stream, frames: FrameReader, first: Any) -> None:
        """A peer opened an overlay stream: read and write it to its end.

        Whatever the peer breaks ends this stream and is counted. Raises UnavailableError when it is gone, or not
        listened to.
        """
        endpoint_id, now_s = connection.remote_id, self._now_s()
        try:
            opener = seen_at(parse_hello(first, endpoint_id), connection.remote_address())
            link = Link(opener, now_s, is_dialled=False)
            self._admit(link)
            async with self._counted(link, connection):
                await link.run(stream, frames, self._reading)
        except RemoteError as error:
            self._faulty(endpoint_id, error)
        finally:
            await stream.send.reset(RESET_CODE)
            await stream.receive.stop(RESET_CODE)

    def _admit(self, link: Link) -> None:
        endpoint_id = link.peer.endpoint_id
        if self._is_closed or self._conduct.is_banned(endpoint_id, self._now_s()):
            raise UnavailableError("a peer that is not listened to")
        earlier = self._accepted.get(endpoint_id)
        if earlier is not None:  # a peer that restarted says no goodbye: the newest stream is the one that lives
            earlier.end()
        elif self._is_full(self._accepted) and not self._end_one(self._accepted):
            raise UnavailableError("this node has too many links")
        self._accepted[endpoint_id] = link
        dialled = self._dialled.get(endpoint_id)
        if dialled is not None and dialled.is_dialling:  # the peer does not give up its own, which is through
            del self._dialled[endpoint_id]
            link.take_over(dialled, self._now_s())
            dialled.end()
            self._running[dialled].cancel()

    # For people and for the machine to look at

    def is_linked(self, endpoint_id: bytes) -> bool:
        """Whether a message to this peer would leave at once."""
        link = self._link(endpoint_id)
        return link is not None and link.is_open

    def round_trips(self) -> Iterator[tuple[PeerAddress, float]]:
        """The transport's estimates, of the peers with a link now."""
        for link, connection in list(self._connections.items()):
            rtt_s = connection.rtt_s()
            if rtt_s is not None and link.is_open and self._link(link.peer.endpoint_id) is link:
                yield link.peer, rtt_s

    def snapshot(self) -> list[dict[str, Any]]:
        """Each link, JSON-ready."""
        now_s = self._now_s()
        return [
            {
                "endpoint_id": link.peer.endpoint_id.hex(),
                "dialled": link.is_dialled,
                "open": link.is_open,
                "kept": link.peer.endpoint_id in self._kept,
                "idle_s": round(now_s - link.used_s, 1),
                "sent_bytes": link.sent_bytes,
                "received_bytes": link.received_bytes,
                "dropped": link.dropped,
            }
            for link in self._all()
        ]

    # Within

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _all(self) -> list[Link]:
        return [*self._dialled.values(), *self._accepted.values()]

    def _link(self, endpoint_id: bytes) -> Link | None:
        """The one to send on: of two, the one that the smaller endpoint id opened, once it is open."""
        dialled, accepted = _living(self._dialled, endpoint_id), _living(self._accepted, endpoint_id)
        if accepted is None or dialled is None:
            return accepted or dialled
        ours, theirs = (dialled, accepted) if self._pool.endpoint_id < endpoint_id else (accepted, dialled)
        return ours if ours.is_open or not theirs.is_open else theirs

    def _dial(self, to: PeerAddress) -> Link | None:
        """A link that is being dialled. None: not now."""
        endpoint_id = to.endpoint_id
        if not (to.addresses or to.relay_url):
            to = self._address_of(endpoint_id) or to
        is_hopeless = not (to.addresses or to.relay_url) or self._conduct.is_banned(endpoint_id, self._now_s())
        if is_hopeless or not self._has_room():
            if is_hopeless or endpoint_id in self._kept:
                asyncio.get_running_loop().call_soon(self._events.unreachable, endpoint_id)
            else:
                self._telemetry.count("overlay_unsent")
            return None
        link = self._dialled[endpoint_id] = Link(to, self._now_s(), is_dialled=True)
        task = self._running[link] = self._tasks.create_task(self._run_dialled(link))
        task.add_done_callback(lambda _: self._running.pop(link, None))
        return link

    def _has_room(self) -> bool:
        """Whether one more may be dialled; another one may have to go for it."""
        waiting = sum(not link.is_open for link in self._dialled.values())
        return waiting < DIALS_WAITING_MAX and (not self._is_full(self._dialled) or self._end_one(self._dialled))

    def _is_full(self, links: dict[bytes, Link]) -> bool:
        """Whether one of these has to go for one more. Accepted ones that take their time to end cost us no dial."""
        accepted_max = int(self._links_max * ACCEPTED_SHARE)
        is_crowded = links is self._accepted and len(links) >= accepted_max
        return is_crowded or len(self._dialled) + min(len(self._accepted), accepted_max) >= self._links_max

    async def _run_dialled(self, link: Link) -> None:
        endpoint_id = link.peer.endpoint_id
        connection: Connection | None = None
        is_ours = not self._pool.has(endpoint_id)
        try:
            connection = await self._connected(link)
            link.peer = seen_at(link.peer, connection.remote_address())
            link.is_dialling = False
            stream = await connection.open_stream()
            await stream.send.write(hello(self._own()))
            try:
                async with self._counted(link, connection):
                    await link.run(stream, FrameReader(SmallReads(stream.receive)), self._reading)
            finally:
                await stream.send.reset(RESET_CODE)
                await stream.receive.stop(RESET_CODE)
        except RemoteError as error:
            self._faulty(endpoint_id, error)
        except NearcastError:
            self._telemetry.count("overlay_unsent" if link.was_ended else "overlay_unreachable")
        except asyncio.CancelledError:
            if link.was_ended:
                self._telemetry.count("overlay_dials_crossed")
                self._pool.abandon(endpoint_id)
            raise
        finally:
            self._forget(link)
        if connection is not None and is_ours and self._pool.uses(endpoint_id) == 1:
            await self._pool.drop(endpoint_id)  # nobody else has asked for it: no need to keep it alive

    async def _connected(self, link: Link) -> Connection:
        peer = link.peer
        async with self._slots:
            is_dial = not self._pool.has(peer.endpoint_id)
            if is_dial:
                wait_s = self._dial_rate.take(1, self._now_s())
                if wait_s > DIAL_TIMEOUT_S:
                    self._dial_rate.take(-1, self._now_s())
                    link.end()  # by us: it was not tried
                    raise UnavailableError("too many dials")
                await asyncio.sleep(wait_s)
            start_s = self._now_s()
            connection = await self._pool.get(peer, DIAL_TIMEOUT_S)
            if is_dial:
                self._slots.succeeded(self._now_s() - start_s)
            return connection

    @asynccontextmanager
    async def _counted(self, link: Link, connection: Connection) -> Any:
        self._connections[link] = connection
        self._telemetry.count("overlay_links")
        try:
            yield
        finally:
            del self._connections[link]
            if not link.is_dialled:
                self._forget(link)

    def _forget(self, link: Link) -> None:
        """It is over: who kept it, or had something to send when it failed, hears of that unless there is another."""
        table, endpoint_id = self._dialled if link.is_dialled else self._accepted, link.peer.endpoint_id
        if table.get(endpoint_id) is link:
            del table[endpoint_id]
        is_failed = not link.was_ended and (link.queued_bytes or not link.was_open)
        is_lost = is_failed or endpoint_id in self._kept
        if is_lost and not self._is_closed and self._link(endpoint_id) is None:
            self._events.unreachable(endpoint_id)

    def _faulty(self, endpoint_id: bytes, error: RemoteError) -> None:
        self._telemetry.count("overlay_faults")
        self._telemetry.event("overlay-fault", peer=endpoint_id.hex(), reason=error.message)
        self._conduct.fault(endpoint_id, self._now_s())

    # Ending what is not needed

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._end_idle()
            await self._pool.close_idle(self._idle_s, self._connections_held())

    def _end_idle(self) -> None:
        now_s = self._now_s()
        for link in self._all():
            if now_s - link.used_s >= self._patience_s(link):
                link.end()
        unkept = [link for link in self._dialled.values() if link.is_open and link.peer.endpoint_id not in self._kept]
        unkept.sort(key=lambda link: link.used_s)
        for link in unkept[: max(len(unkept) - self._unkept_max, 0)]:
            link.end()

    def _patience_s(self, link: Link) -> float:
        """How long it may be idle."""
        if link.is_dialled and self._link(link.peer.endpoint_id) is not link:
            return DUPLICATE_IDLE_S
        if link.peer.endpoint_id in self._kept:
            return float("inf")
        return self._idle_s if link.is_dialled else self._idle_s * ACCEPTED_IDLE_S / IDLE_S

    def _end_one(self, links: dict[bytes, Link]) -> bool:
        """Make room: of these the one that nobody keeps and that was used longest ago goes. False: there is none."""
        spare = [link for key, link in links.items() if key not in self._kept and not link.was_ended]
        if not spare:
            return False
        min(spare, key=lambda link: link.used_s).end()
        return True

    def _connections_held(self) -> set[bytes]:
        return {link.peer.endpoint_id for link in self._connections if link.is_dialled}


def _living(links: dict[bytes, Link], endpoint_id: bytes) -> Link | None:
    link = links.get(endpoint_id)
    return None if link is None or link.was_ended else link
