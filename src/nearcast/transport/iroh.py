"""Connections over QUIC to a public key, by the `iroh` wheel. The only file that knows it (with iroh_patch).

The other end's key is proven by TLS 1.3 during the handshake. With relay="none" nothing but the given UDP sockets is
used: no relay, no DNS, no discovery. "default" uses the public relays of iroh's makers for hole punching, a URL uses
that relay.

What a user of it should know:
- QUIC announces a stream with its first bytes: the acceptor sees it only once the opener has written (or finished or
  reset) something on it.
- `finish` does not wait: closing the connection right after it loses what is still on its way. Let the receiver close.
- One operation at a time on each half of a stream; a second one waits for the first.
- The accept loop runs from the first accept() on; before it, nobody who dials us gets through. Who may shake hands
  when many want to is in handshakes.py.

Every IrohError is translated here, once.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Sequence

import iroh

from nearcast.errors import AddressInUseError, NearcastError, RemoteError, UnavailableError, UsageError
from nearcast.keys import Identity
from nearcast.transport import iroh_patch
from nearcast.transport.base import ALPN, STREAMS_PER_CONNECTION_MAX, Connection, PeerAddress, Stream
from nearcast.transport.handshakes import Handshakes, network_of
from nearcast.transport.resolving import resolve

iroh_patch.apply()

# Unread bytes of all streams of one connection together: what a peer can make us hold. One stream holds up to 1.25 MB
# (iroh's default, not settable from Python), so 26 streams that nobody reads stall every other one of that connection.
RECEIVE_WINDOW_BYTES = 32 << 20
# One call into Rust. Measured with bench/quic.py on two cores that other work kept busy, sender and receiver together:
# CPU a byte is 9 ns with 1 MiB writes and exact 1 MiB reads, 9 with 256 or 512 KiB, 10 with 128 KiB, 13 with 32 KiB
# writes, 11 with 4 MiB. It is CPU alone that limits: 200 MB/s for one stream, 222 for four (the ceiling of two cores is
# 223), no packet lost, asyncio and uvloop alike, malloc's thresholds without effect. A third of it is uniffi's (see
# iroh_patch). One stream also waits for its 1.25 MB window, so a bulk transfer should use two to four.
WRITE_BYTES = 1 << 20
HANDSHAKE_TIMEOUT_S = 5.0  # guess: two round trips over the worst link, twice
ACCEPT_BACKLOG_MAX = 64  # connections that nobody has accepted yet; more are closed
# The goodbyes leave in the first millisecond. iroh then waits 3 s if a dial to a dead address was under way (measured).
CLOSE_TIMEOUT_S = 0.5
_BUSY = 1  # application close code: this node has too many connections waiting
_RELAYED = "relayed"  # one network: a relay knows whom it speaks for, so nobody is asked back over it


class IrohEndpoint:
    """Endpoint of transport/base.py. Made by `bind`, ended by `close`."""

    def __init__(self, endpoint: iroh.Endpoint, identity: Identity, advertise: Sequence[str]) -> None:
        self._endpoint = endpoint
        self._endpoint_id = identity.endpoint_id
        self._advertise = tuple(advertise)
        self._accepted: asyncio.Queue[IrohConnection | None] = asyncio.Queue(ACCEPT_BACKLOG_MAX + 1)
        self._acceptor: asyncio.Task[None] | None = None
        self._handshakes: Handshakes[asyncio.Task[None]] = Handshakes()
        self._closed = False

    @classmethod
    async def bind(
        cls, identity: Identity, *, listen: str = "127.0.0.1:0", relay: str = "none", advertise: Sequence[str] = ()
    ) -> "IrohEndpoint":
        """Listen on UDP `listen` (host:port, port 0 = any).

        Raises AddressInUseError when the port is taken, UsageError when this machine has no such address or the
        relay's URL is none.
        """
        addresses = await resolve([listen])
        if not addresses:
            raise UsageError(f"cannot listen on {listen}: no such address")
        try:
            endpoint = await _builder(identity, addresses[0], relay).bind()
        except iroh.IrohError as error:
            raise _bind_error(error, addresses[0]) from error
        return cls(endpoint, identity, advertise)

    @property
    def endpoint_id(self) -> bytes:
        return self._endpoint_id

    def address(self) -> PeerAddress:
        """The advertised addresses, then those iroh knows, then the loopback if we listen on every interface."""
        known = self._endpoint.addr()
        found = [*self._advertise, *known.direct_addresses()]
        bound = self._endpoint.bound_sockets()
        found += [place.replace("0.0.0.0", "127.0.0.1") for place in bound if place.startswith("0.0.0.0:")]
        return PeerAddress(self._endpoint_id, tuple(dict.fromkeys(found)), known.relay_url())

    async def connect(self, address: PeerAddress, timeout_s: float = 5.0) -> Connection:
        who = address.endpoint_id.hex()[:16]
        if self._closed:
            raise UnavailableError("this endpoint is closed")
        try:
            async with asyncio.timeout(timeout_s):
                places = await resolve(address.addresses)
                target = iroh.EndpointAddr(iroh.EndpointId.from_bytes(address.endpoint_id), address.relay_url, places)
                return IrohConnection(await self._endpoint.connect(target, ALPN))
        except TimeoutError:
            raise UnavailableError(f"no answer from {who} in {timeout_s:g} s") from None
        except iroh.IrohError as error:
            raise UnavailableError(f"cannot connect to {who}: {_reason(error)}") from error

    async def accept(self) -> Connection:
        if self._acceptor is None and not self._closed:
            # The one task that has no TaskGroup around it: this endpoint owns it, close() ends and awaits it.
            self._acceptor = asyncio.get_running_loop().create_task(self._accept_all(), name="iroh accept")
        while not self._closed:
            connection = await self._accepted.get()
            if connection is None:
                self._closed = True
            elif not connection.is_closed:
                return connection
        self._wake_acceptors()
        raise UnavailableError("this endpoint is closed")

    async def close(self) -> None:
        self._closed = True
        self._wake_acceptors()
        if self._acceptor is not None:
            self._acceptor.cancel()
            await asyncio.wait({self._acceptor})
        with contextlib.suppress(iroh.IrohError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._endpoint.close()

    async def _accept_all(self) -> None:
        """Take every dial as it comes, so that a slow or silent one does not hold up the others."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while (incoming := await self._endpoint.accept_next()) is not None:
                    with contextlib.suppress(iroh.IrohError):  # it has gone away by itself
                        await self._let_in(incoming, tasks)
        finally:
            self._wake_acceptors()

    async def _let_in(self, incoming: iroh.Incoming, tasks: asyncio.TaskGroup) -> None:
        """Begin the handshake, ask for the dial again from an address that is proven then, or refuse."""
        origin = await incoming.remote_addr()
        network = network_of(origin.addr) if isinstance(origin, iroh.IncomingAddr.IP) else _RELAYED
        if network is not _RELAYED and self._handshakes.asks_back and not await incoming.remote_addr_validated():
            await incoming.retry()
            return
        if not self._handshakes.has_place(network):
            await incoming.refuse()
            return
        if (other := self._handshakes.one_to_end(network)) is not None:
            self._handshakes.end(other)
            other.cancel()
        task = tasks.create_task(self._shake_hands(incoming))
        self._handshakes.begin(task, network)
        task.add_done_callback(self._handshakes.end)

    async def _shake_hands(self, incoming: iroh.Incoming) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                accepting = await incoming.accept()
                connection = IrohConnection(await accepting.connect())
        except (iroh.IrohError, TimeoutError):
            return  # a wrong protocol, a broken handshake or silence: their loss
        if self._accepted.qsize() < ACCEPT_BACKLOG_MAX:
            self._accepted.put_nowait(connection)
        else:
            connection.end(_BUSY)

    def _wake_acceptors(self) -> None:
        """One None in the queue: whoever takes it puts another for the next."""
        while not self._accepted.empty():
            connection = self._accepted.get_nowait()
            if connection is not None:
                connection.end(_BUSY)
        self._accepted.put_nowait(None)


class IrohConnection:
    """Connection of transport/base.py."""

    def __init__(self, connection: iroh.Connection) -> None:
        self._connection = connection
        self._remote_id = connection.remote_id().to_bytes()
        connection.set_max_concurrent_bi_streams(STREAMS_PER_CONNECTION_MAX)
        connection.set_max_concurrent_uni_streams(0)  # we use none, so nobody may fill memory with them
        connection.set_receive_window(RECEIVE_WINDOW_BYTES)

    @property
    def remote_id(self) -> bytes:
        return self._remote_id

    @property
    def is_closed(self) -> bool:
        return self._connection.close_reason() is not None

    def remote_address(self) -> str | None:
        direct = [path for path in self._connection.paths() if path.is_ip]
        used = next((path for path in direct if path.is_selected), direct[0] if direct else None)
        return None if used is None else used.remote_addr

    def rtt_s(self) -> float | None:
        rtt_ms = self._connection.rtt()
        return None if rtt_ms is None else rtt_ms / 1000

    async def open_stream(self) -> Stream:
        try:
            return _stream(await self._connection.open_bi())
        except iroh.IrohError as error:
            raise _translate(error) from error

    async def accept_stream(self) -> Stream:
        try:
            return _stream(await self._connection.accept_bi())
        except iroh.IrohError as error:
            raise _translate(error) from error

    async def close(self) -> None:
        self.end(0)

    def end(self, code: int) -> None:
        """Close at once, telling the other side `code`."""
        with contextlib.suppress(iroh.IrohError):
            self._connection.close(code, b"")


class IrohSendStream:
    """SendStream of transport/base.py."""

    def __init__(self, stream: iroh.SendStream) -> None:
        self._stream = stream

    async def write(self, data: bytes) -> None:
        try:
            if len(data) <= WRITE_BYTES:
                await self._stream.write_all(data)
                return
            view = memoryview(data)
            for start in range(0, len(view), WRITE_BYTES):
                await self._stream.write_all(view[start : start + WRITE_BYTES])  # type: ignore[arg-type] # any buffer
        except iroh.IrohError as error:
            raise _translate(error) from error

    async def finish(self) -> None:
        with contextlib.suppress(iroh.IrohError):  # it is over already: finished, reset, or the connection is gone
            await self._stream.finish()

    async def reset(self, code: int) -> None:
        with contextlib.suppress(iroh.IrohError):
            await self._stream.reset(code)


class IrohReceiveStream:
    """ReceiveStream of transport/base.py."""

    def __init__(self, stream: iroh.RecvStream) -> None:
        self._stream = stream
        self._failure: str | None = None  # iroh tells a reset once and then calls it a clean end: we remember

    async def read(self, limit_bytes: int) -> bytes:
        self._check()
        try:
            return await self._stream.read(limit_bytes)
        except iroh.IrohError as error:
            raise self._failed(error) from error

    async def read_exactly(self, count_bytes: int) -> bytes:
        self._check()
        try:
            return await self._stream.read_exact(count_bytes)
        except iroh.IrohError as error:
            raise self._failed(error) from error

    def _check(self) -> None:
        if self._failure is not None:
            raise UnavailableError(self._failure)

    def _failed(self, error: iroh.IrohError) -> NearcastError:
        ours = _translate(error)
        if isinstance(ours, UnavailableError):
            self._failure = ours.message
        return ours

    async def stop(self, code: int) -> None:
        self._failure = self._failure or "this stream was stopped by us"
        with contextlib.suppress(iroh.IrohError):
            await self._stream.stop(code)


def _stream(pair: iroh.BiStream) -> Stream:
    return Stream(IrohSendStream(pair.send()), IrohReceiveStream(pair.recv()))


def _builder(identity: Identity, listen: str, relay: str) -> iroh.EndpointBuilder:
    builder = iroh.EndpointBuilder()  # type: ignore[no-untyped-call] # the wheel left its types out
    if relay == "default":
        builder.apply_n0()
        builder.relay_mode(iroh.RelayMode.default_mode())
    else:
        builder.apply_minimal()
        disabled = relay == "none"
        builder.relay_mode(iroh.RelayMode.disabled() if disabled else iroh.RelayMode.custom_from_urls([relay]))
    builder.secret_key(identity.secret)
    builder.alpns([ALPN])
    for address in _sockets(listen):
        builder.bind_addr(address)
    return builder


def _sockets(listen: str) -> list[str]:
    """What to bind for `listen`: iroh opens a socket on every interface for the address family that is not named, so
    a listener on one address names the other family's loopback.

    The other family gets the same port where that is free. At a port of chance a node would be elsewhere after each
    restart, and whoever still has a connection to it would look for it at the old one (see transport/pool.py).
    """
    host, port = ipaddress.ip_address(listen.rpartition(":")[0].strip("[]")), int(listen.rpartition(":")[2])
    if host.version == 6:
        other = "0.0.0.0" if host.is_unspecified else "127.0.0.1"
    else:
        other = "[::]" if host.is_unspecified else "[::1]"
    for place in dict.fromkeys((port, 0)):
        if _is_free(other.strip("[]"), place):
            return [listen, f"{other}:{place}"]
    return [listen]


def _is_free(host: str, port: int) -> bool:
    """Whether this machine has that address family, and nobody this UDP port in it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True


def _reason(error: iroh.IrohError) -> str:
    """The innermost cause, without the file names of the Rust build."""
    return error.message().splitlines()[-1].strip().partition(" (/")[0]


def _bind_error(error: iroh.IrohError, listen: str) -> NearcastError:
    """iroh does not always say why: we ask the operating system."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host.strip("[]"), int(port)))
    except OSError as cause:
        if cause.errno == errno.EADDRINUSE:
            return AddressInUseError(
                f"the UDP port of {listen} is taken by another program", fix="set quic.listen to another, or to port 0"
            )
        return UsageError(
            f"cannot listen on {listen}: {cause.strerror}", fix="set quic.listen to an address of this machine"
        )
    return UsageError(f"cannot listen on {listen} with this relay: {_reason(error)}")


def _translate(error: iroh.IrohError) -> NearcastError:
    """Ours for one that a connection or stream raised."""
    reason = _reason(error)
    name, _, rest = reason.partition("(")
    if name == "FinishedEarly":
        return RemoteError(f"the stream ended after {rest.rstrip(')')} bytes, more were due")
    if name in ("Reset", "Stopped"):
        return UnavailableError(f"the peer ended the stream ({reason})")
    if error.kind() == iroh.IrohErrorKind.CLOSED:
        return UnavailableError("this stream was already ended")
    return UnavailableError(f"the connection is gone: {reason}")
