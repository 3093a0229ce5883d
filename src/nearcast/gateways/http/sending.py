"""How an answer's body reaches the client: bytes at once, a file of ours by granian, everything else through a pipe."""

from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Protocol

from nearcast.gateways.http.headers import Headers
from nearcast.gateways.http.pipe import Pipe, Pipes
from nearcast.gateways.http.pouring import pour_file
from nearcast.gateways.http.response import SMALL_BYTES, GuardedBody, Response, StoredBody, StreamBody, body_bytes

BODILESS = (204, 304)  # RFC 9110 8.6: no Content-Length, or that of a body which is not sent


class Proto(Protocol):
    """The answering half of RSGI."""

    def response_bytes(self, status: int, headers: Headers, body: bytes | bytearray) -> None: ...

    def response_file(self, status: int, headers: Headers, file: str) -> None: ...

    def response_file_range(self, status: int, headers: Headers, file: str, start: int, end: int) -> None: ...


class Sending:
    """One answer on its way. While nothing `is_started`, a failure can still be told with an answer of its own."""

    def __init__(self, proto: Proto, pipes: Pipes, threads: Executor) -> None:
        self._proto = proto
        self._pipes = pipes
        self._threads = threads
        self.is_started = False
        self.status = 0
        self.sent_bytes = 0  # handed on; granian still sends a StoredBody when this counts it

    async def send(self, response: Response, *, head: bool) -> None:
        """Sends the answer. Raises what its body raises; after the start the connection is broken off by that."""
        size_bytes = body_bytes(response)
        headers = response.headers
        if size_bytes is not None and response.status not in BODILESS:
            headers = [*headers, ("content-length", str(size_bytes))]
        match response.body:
            case _ if head:
                self._bytes(response.status, headers, b"", 0)
            case bytes() as body:
                self._bytes(response.status, headers, body, len(body))
            case StoredBody() as body:
                self._start(response.status)
                self.sent_bytes = body.end - body.start
                self._proto.response_file_range(response.status, headers, str(body.path), body.start, body.end)
            case GuardedBody() as body:
                async with self._pipe(response.status, headers) as pipe:
                    await pour_file(pipe, body.file, body.start, body.end, self._threads)
            case StreamBody() as body:
                await self._stream(response.status, headers, body)

    async def _stream(self, status: int, headers: Headers, body: StreamBody) -> None:
        first, is_all = await _gathered(body.pieces)
        if is_all:
            self._bytes(status, headers, first, len(first))
            return
        async with self._pipe(status, headers) as pipe:
            await pipe.write(first)
            async for piece in body.pieces:
                await pipe.write(piece)

    @asynccontextmanager
    async def _pipe(self, status: int, headers: Headers) -> AsyncGenerator[Pipe, None]:
        """An answer whose body is what is written into the pipe."""
        async with self._pipes.pipe() as pipe:
            self._start(status)
            self._proto.response_file(status, headers, str(pipe.path))
            try:
                yield pipe
                await pipe.finished()
            finally:
                self.sent_bytes = pipe.written_bytes

    def _bytes(self, status: int, headers: Headers, body: bytes, sent_bytes: int) -> None:
        self._start(status)
        self._proto.response_bytes(status, headers, body)
        self.sent_bytes = sent_bytes

    def _start(self, status: int) -> None:
        self.is_started = True
        self.status = status


async def _gathered(pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The first pieces, joined, and whether they are all: a small body needs no pipe."""
    first: list[bytes] = []
    gathered_bytes = 0
    async for piece in pieces:
        first.append(piece)
        gathered_bytes += len(piece)
        if gathered_bytes > SMALL_BYTES:
            return b"".join(first), False
    return b"".join(first), True
