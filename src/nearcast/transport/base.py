"""A connection to a public key: the one interface, with two implementations (iroh: QUIC; memory: within a process).

Both pass tests/transport/test_suite.py. Errors are ours: UnavailableError when the other side is unreachable, gone, or
reset the stream; RemoteError when it ends a stream in the middle of what was due. Cancelling a read loses bytes: stop
the stream afterwards. The other side sees a stream once something was sent on it. Keep both halves until they are over:
one that is garbage collected tells the other side to stop. One operation at a time on each half.
"""

from dataclasses import dataclass, field
from typing import Protocol

ALPN = b"nearcast/1"
STREAMS_PER_CONNECTION_MAX = 256  # what one peer may have open towards us at once; guess


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Who (32-byte endpoint id) and where: `host:port` addresses, and the URL of its relay if it has one."""

    endpoint_id: bytes
    addresses: tuple[str, ...] = field(default=())
    relay_url: str | None = None


class SendStream(Protocol):
    """The outgoing half of a stream."""

    async def write(self, data: bytes) -> None:
        """Send all of `data`; waits while the receiver is slow (back-pressure)."""

    async def finish(self) -> None:
        """Say that no more follows; what was written is still delivered."""

    async def reset(self, code: int) -> None:
        """Abort: the receiver sees UnavailableError. A stream that is already over is left alone."""


class ReceiveStream(Protocol):
    """The incoming half of a stream."""

    async def read(self, limit_bytes: int) -> bytes:
        """Up to `limit_bytes` bytes; b"" at the end of the stream."""

    async def read_exactly(self, count_bytes: int) -> bytes:
        """Exactly `count_bytes` bytes. Raises RemoteError if the stream ends before."""

    async def stop(self, code: int) -> None:
        """Tell the sender that we read no more. A stream that is already over is left alone."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Both halves of a bidirectional stream."""

    send: SendStream
    receive: ReceiveStream


class Connection(Protocol):
    """An encrypted connection whose other end has proven its key."""

    @property
    def remote_id(self) -> bytes:
        """The other side's 32-byte endpoint id."""

    @property
    def is_closed(self) -> bool: ...

    def remote_address(self) -> str | None:
        """The `ip:port` that the other side's packets come from now; None: over a relay alone, or unknown."""

    async def open_stream(self) -> Stream: ...

    async def accept_stream(self) -> Stream:
        """The next stream that the other side opened. Raises UnavailableError when the connection has ended."""

    def rtt_s(self) -> float | None:
        """The transport's estimate of the round-trip time, in seconds."""

    async def close(self) -> None: ...


class Endpoint(Protocol):
    """Our side: one identity, many connections."""

    @property
    def endpoint_id(self) -> bytes: ...

    def address(self) -> PeerAddress:
        """Where we can be reached, as far as we know."""

    async def connect(self, address: PeerAddress, timeout_s: float = 5.0) -> Connection:
        """Raises UnavailableError when nobody with that key answers there in time."""

    async def accept(self) -> Connection:
        """The next incoming connection. Raises UnavailableError once the endpoint is closed."""

    async def close(self) -> None:
        """Ends every connection; never raises."""
