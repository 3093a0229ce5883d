"""GET over HTTP, as a download needs it: bounded, patient, and with errors of ours.

Redirects are followed REDIRECTS_MAX times; a body is read up to what was asked for and no further; silence is limited
by the stall timeout. Connections are kept alive while any request of the same source is under way (RFC 9112, 9.3), and
closed with the last, so that a source needs no closing. aiohttp takes 0.1 s to import: only when it is used.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nearcast.errors import NearcastError, NotFoundError, RefusedError, RemoteError, UnavailableError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

REDIRECTS_MAX = 5  # curl's is 50, browsers' 20; mirrors need one or two
READ_BUFFER_BYTES = 1 << 20  # what aiohttp holds of a body that nobody has read yet; a leaf
SKIP_BYTES_MAX = 64 << 20  # read and thrown away from a server that ignores Range; beyond that it is of no use
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class Body:
    """A response's bytes from some offset on."""

    def __init__(self, response: "ClientResponse", total_bytes: int | None) -> None:
        self._response = response
        self.total_bytes = total_bytes  # of the whole file, where the server told

    async def read_exactly(self, size_bytes: int) -> bytes:
        """The next so many bytes. Raises UnavailableError when the body ends before."""
        try:
            return await self._response.content.readexactly(size_bytes)
        except asyncio.IncompleteReadError as error:
            raise UnavailableError(f"its answer ended {size_bytes - len(error.partial)} bytes early") from error

    async def read_all(self, limit_bytes: int) -> bytes:
        """The rest. Raises RemoteError when that is over the limit."""
        pieces: list[bytes] = []
        size_bytes = 0
        async for piece in self._response.content.iter_any():
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                raise RemoteError(f"its answer is over {limit_bytes} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def skip(self, size_bytes: int) -> None:
        """Read and forget."""
        if size_bytes > SKIP_BYTES_MAX:
            raise UnavailableError("it ignores byte ranges, and the file is too large to start over each time")
        while size_bytes:
            size_bytes -= len(await self.read_exactly(min(size_bytes, READ_BUFFER_BYTES)))


class HttpExchange:
    """The GET requests of one source."""

    def __init__(self, stall_timeout_s: float) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._session: ClientSession | None = None
        self._users = 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator["ClientSession"]:
        """The shared session; stays open while anybody is inside."""
        if self._session is None:
            self._session = self._new_session()
        session = self._session
        self._users += 1
        try:
            yield session
        finally:
            self._users -= 1
            if not self._users:
                self._session = None
                await session.close()

    @asynccontextmanager
    async def get(self, url: str, *, first: int | None = None, end: int | None = None) -> AsyncIterator[Body]:
        """The body of `url`, or of its bytes first..end (not included), positioned at `first` even when the server
        ignores ranges. Raises NotFoundError, RefusedError, UnavailableError, RemoteError."""
        import aiohttp

        headers = {} if first is None or end is None else {"Range": f"bytes={first}-{end - 1}"}
        try:
            async with (
                self.session() as session,
                session.get(url, headers=headers, max_redirects=REDIRECTS_MAX) as response,
            ):
                body = self._checked(response, first)
                if first and response.status == 200:
                    await body.skip(first)
                yield body
        except aiohttp.TooManyRedirects as error:
            raise RemoteError(f"it redirects more than {REDIRECTS_MAX} times") from error
        except TimeoutError as error:
            raise UnavailableError(f"no bytes for {self._stall_timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise UnavailableError(f"HTTP failed: {str(error) or type(error).__name__}") from error

    def _new_session(self) -> "ClientSession":
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._stall_timeout_s, sock_read=self._stall_timeout_s)
        return aiohttp.ClientSession(
            timeout=timeout,
            headers={"Accept-Encoding": "identity", "User-Agent": "nearcast"},
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _checked(self, response: "ClientResponse", first: int | None) -> Body:
        error = _status_error(response.status)
        if error is not None:
            raise error
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise RemoteError("it compresses, though it was asked not to")
        if response.status != 206:
            return Body(response, response.content_length)
        place = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if first is None or place is None or int(place[1]) != first:
            raise RemoteError("it answers with another range than it was asked for")
        return Body(response, None if place[3] == "*" else int(place[3]))


def _status_error(status: int) -> NearcastError | None:
    """What an HTTP status means to a download (RFC 9110, 15)."""
    if status in (200, 206):
        return None
    if status in (404, 410, 416):
        return NotFoundError(f"it does not have it (HTTP {status})")
    if status in (401, 403, 451):
        return RefusedError(f"it will not serve this (HTTP {status})")
    return UnavailableError(f"it answers HTTP {status}")
