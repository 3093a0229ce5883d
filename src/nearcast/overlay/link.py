"""One link: an `overlay` stream with one peer, written and read at the same time.

    opener → {"type": "overlay", "v": 1, "contact": its own}, then frames
    both   → frames, each one message of one protocol (codec.py)

What is to be sent waits in a queue of QUEUE_BYTES_MAX; when it is full the oldest goes, because in every protocol of
the overlay newer news is better news. All that waits leaves in one write: a packet costs more than its bytes. Whoever
takes nothing for WRITE_TIMEOUT_S is gone.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from nearcast.errors import LimitError, RemoteError, UnavailableError
from nearcast.overlay.contact_fields import contact_fields, parse_contact
from nearcast.overlay.flood import Conduct
from nearcast.overlay.peers import ADDRESSES_MAX
from nearcast.tasks import leading_error
from nearcast.telemetry import Telemetry
from nearcast.transport.base import PeerAddress, ReceiveStream, Stream
from nearcast.wire import FrameReader, decode_message, encode_message

TYPE: Final = "overlay"
VERSION: Final = 1
FRAME_BYTES_MAX: Final = 64 << 10  # the largest message of any protocol is a snapshot of announcements, 512 B each
QUEUE_BYTES_MAX: Final = 128 << 10  # two of the largest; guess: seconds of traffic of a busy member
WRITE_TIMEOUT_S: Final = 10.0  # guess: as long as a reader of content may take nothing
READ_BYTES: Final = 8 << 10  # one read: the transport sets so much memory aside for each stream that waits
RESET_CODE: Final = 3

Decode = Callable[[bytes], Any]
"""From a frame's payload to a message; RemoteError when it is none (codec.py)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a link needs for what it receives."""

    decode: Decode
    received: Callable[[PeerAddress, Any], None]
    conduct: Conduct
    telemetry: Telemetry


class SmallReads:
    """ByteSource of wire.py that asks the transport for little at a time."""

    def __init__(self, receive: ReceiveStream) -> None:
        self._receive = receive

    async def read(self, limit_bytes: int) -> bytes:
        return await self._receive.read(min(limit_bytes, READ_BYTES))

    async def read_exactly(self, count_bytes: int) -> bytes:
        return await self._receive.read_exactly(count_bytes)


def hello(own: PeerAddress) -> bytes:
    """The first frame of an overlay stream."""
    return encode_message({"type": TYPE, "v": VERSION, "contact": contact_fields(own)})


def is_hello(fields: Any) -> bool:
    """Whether a stream's first message says that it is an overlay stream."""
    return isinstance(fields, dict) and fields.get("type") == TYPE


def parse_hello(fields: Any, remote_id: bytes) -> PeerAddress:
    """Who opened the stream, and where it says that it can be reached. Raises RemoteError."""
    if fields.get("v") != VERSION:
        raise RemoteError(f"this node speaks version {VERSION} of the overlay")
    if sorted(fields) != ["contact", "type", "v"]:
        raise RemoteError("malformed hello: it has a type, a version and a contact")
    contact = parse_contact(fields["contact"])
    if contact.endpoint_id != remote_id:
        raise RemoteError("malformed hello: the contact is of somebody else")
    return contact


def seen_at(peer: PeerAddress, address: str | None) -> PeerAddress:
    """The peer with the address that its packets come from: of all that it says of itself, that one is proven."""
    if address is None or address in peer.addresses:
        return peer
    return replace(peer, addresses=(address, *peer.addresses)[:ADDRESSES_MAX])


class Link:
    """Made before its stream is there, so that what is sent meanwhile can wait in it."""

    def __init__(self, peer: PeerAddress, now_s: float, *, is_dialled: bool) -> None:
        self.peer = peer
        self.is_dialled = is_dialled
        self.is_dialling = is_dialled  # until there is a connection
        self.is_open = False
        self.was_open = False
        self.was_ended = False  # by us, on purpose
        self.used_s = now_s  # when something was sent or received last
        self.sent_bytes = 0
        self.received_bytes = 0
        self.dropped = 0
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()

    @property
    def queued_bytes(self) -> int:
        """What waits to be sent."""
        return self._queued_bytes

    def put(self, frame: bytes, now_s: float) -> None:
        """Send it as soon as may be; the oldest that waits makes room."""
        while self._queue and self._queued_bytes + len(frame) > QUEUE_BYTES_MAX:
            self._queued_bytes -= len(self._queue.popleft())
            self.dropped += 1
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self.used_s = now_s
        self._wake.set()

    def take_over(self, other: "Link", now_s: float) -> None:
        """What waits in another link with this peer waits here from now on."""
        for frame in other._queue:
            self.put(frame, now_s)
        other._queue.clear()
        other._queued_bytes = 0

    def end(self) -> None:
        """Let `run` come to an end soon."""
        self.was_ended = True
        self._wake.set()

    async def run(self, stream: Stream, frames: FrameReader, reading: Reading) -> None:
        """Write and read until either side ends it. Raises RemoteError for what the peer broke, UnavailableError when
        it is gone; returns when it or we ended it in order."""
        self.is_open = self.was_open = True
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(frames, reading))
                writer = group.create_task(self._write(stream))
                reader.add_done_callback(lambda _: writer.cancel())
                writer.add_done_callback(lambda _: reader.cancel())
        except BaseExceptionGroup as errors:
            raise leading_error(errors) from None
        finally:
            self.is_open = False

    async def _write(self, stream: Stream) -> None:
        while not self.was_ended:
            await self._wake.wait()
            self._wake.clear()
            if not self._queue:
                continue
            data = b"".join(self._queue)
            self._queue.clear()
            self._queued_bytes = 0
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await stream.send.write(data)
            except TimeoutError:
                raise UnavailableError(f"the peer has taken nothing for {WRITE_TIMEOUT_S:g} s") from None
            self.sent_bytes += len(data)

    async def _read(self, frames: FrameReader, reading: Reading) -> None:
        loop, endpoint_id = asyncio.get_running_loop(), self.peer.endpoint_id
        while (frame := await frames.next()) is not None:
            is_block, payload = frame
            if is_block:
                raise RemoteError("a block came on an overlay stream")
            if len(payload) > FRAME_BYTES_MAX:
                raise LimitError(f"a message of {len(payload)} bytes is over the limit of {FRAME_BYTES_MAX}")
            if not self.received_bytes and self.is_dialled and _is_refusal(payload):
                raise UnavailableError("the peer does not speak the overlay")
            self.used_s = loop.time()
            self.received_bytes += len(payload)
            reading.received(self.peer, reading.decode(payload))
            wait_s = reading.conduct.received(endpoint_id, len(payload), self.used_s)
            if wait_s:
                reading.telemetry.count("overlay_throttled")
                await asyncio.sleep(wait_s)


def _is_refusal(payload: bytes) -> bool:
    """Whether a node answered that it does not know such streams (an End of delivery/messages.py)."""
    value = decode_message(payload)
    return isinstance(value, dict) and "p" not in value
