"""The control door: JSON over HTTP under /api/v0/ on the node's own gateway, for commands on the same machine.

    POST /api/v0/NAME   Authorization: Bearer TOKEN   body: a JSON object of arguments
    200                 a JSON object: the result      (`cat`: the bytes themselves)
    4xx, 5xx            {"error": {"type", "message", "fix"}}

Only loopback is heard, only the bearer of the token of running.json is obeyed, and the token is compared in constant
time. A page in a browser cannot reach it: it knows no token, and nothing here allows another origin. Bodies are
bounded. A stream that fails in the middle ends early; who asked for it knows how many bytes were due.
"""

import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from nearcast.errors import LimitError, NearcastError, NotFoundError, RefusedError, UsageError
from nearcast.gateways.control.faults import fault_of
from nearcast.gateways.http.request import is_loopback

PREFIX = "/api/v0/"
BODY_BYTES_MAX = 256 << 10  # the longest we send is a list of some CIDs and a path
_HEADERS = [("content-type", "application/json"), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
_STATUS_BY_EXIT_CODE = {2: 400, 3: 404, 4: 503, 5: 502}

Arguments = dict[str, Any]
Operation = Callable[[Arguments], Awaitable[dict[str, Any]]]
StreamedOperation = Callable[[Arguments], AsyncIterator[bytes]]


class StrangerError(RefusedError):
    """Whoever asks is not this node's owner."""


class Headers(Protocol):
    def get(self, key: str, default: Any = None) -> Any: ...


class Scope(Protocol):
    """What the door reads of an RSGI scope."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def headers(self) -> Headers: ...


class Outgoing(Protocol):
    async def send_bytes(self, data: bytes) -> None: ...


class Exchange(Protocol):
    """What the door uses of an RSGI HTTP protocol object."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Outgoing: ...


class ControlDoor:
    """Answers /api/v0/ requests with the operations it was given."""

    def __init__(
        self, token: str, operations: Mapping[str, Operation], streamed: Mapping[str, StreamedOperation]
    ) -> None:
        self._token = token
        self._operations = operations
        self._streamed = streamed

    async def __call__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request. Raises nothing but what the connection itself raises."""
        try:
            self._admit(scope)
            name, arguments = scope.path.removeprefix(PREFIX), await _arguments(exchange)
            if name in self._streamed:
                pieces = self._streamed[name](arguments)
                first = await anext(pieces, b"")  # before the status, so that what fails at once is said properly
            elif name in self._operations:
                result = await self._operations[name](arguments)
            else:
                raise NotFoundError(f"there is no operation {name!r}")
        except NearcastError as error:
            _refuse(exchange, error)
        else:
            if name in self._streamed:
                await _stream(exchange, first, pieces)
            else:
                exchange.response_bytes(200, _HEADERS, json.dumps(result).encode())

    def _admit(self, scope: Scope) -> None:
        scheme, _, token = str(scope.headers.get("authorization") or "").partition(" ")
        is_bearer = scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), self._token.encode())
        if not is_loopback(scope.client) or not is_bearer:
            raise StrangerError("the control door is for this machine's owner only")
        if scope.method != "POST":
            raise UsageError("the control door takes POST")


async def _arguments(exchange: Exchange) -> Arguments:
    body = bytearray()
    async for piece in exchange:
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise LimitError(f"the request is over the limit of {BODY_BYTES_MAX} bytes")
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise UsageError("the request is not JSON") from error
    if not isinstance(value, dict):
        raise UsageError("the request is not a JSON object")
    return value


async def _stream(exchange: Exchange, first: bytes, pieces: AsyncIterator[bytes]) -> None:
    outgoing = exchange.response_stream(200, [("content-type", "application/octet-stream"), *_HEADERS[1:]])
    if first:
        await outgoing.send_bytes(first)
    with contextlib.suppress(NearcastError):
        async for piece in pieces:
            await outgoing.send_bytes(piece)


def _refuse(exchange: Exchange, error: NearcastError) -> None:
    status = 403 if isinstance(error, StrangerError) else _STATUS_BY_EXIT_CODE.get(error.exit_code, 500)
    exchange.response_bytes(status, _HEADERS, json.dumps({"error": fault_of(error)}).encode())
