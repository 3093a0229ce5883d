"""JSON-RPC 2.0 over HTTP to one endpoint: one session, bounded answers, every failure a typed error.

Here is only the exchange: an answer that is no JSON-RPC, has another id or is too long is a ChainError, no answer is an
UnavailableError, an error object is an RpcError. What the answers mean is rpc.py's. The endpoint is named in messages
without its path, which is where providers put the customer's secret. aiohttp takes 0.3 s to import: only when asked.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from nearcast.chain.reverts import printable
from nearcast.errors import ChainError, UnavailableError, UsageError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

RESPONSE_BYTES_MAX: Final = 32 << 20  # guess: a page of logs is below 10 MB with every provider
BATCH_MAX: Final = 100  # requests in one HTTP request; the lowest limit of the large providers
CONNECTIONS_MAX: Final = 8  # guess; more are throttled by free endpoints anyway
BUSY_STATUSES: Final = (429, 502, 503, 504)
BUSY_CODES: Final = (-32005, 429)  # "limit exceeded" of EIP-1474, and what some say instead
FIX: Final = "set another endpoint with --rpc URL, or chain.rpc in config.toml"

Request = tuple[str, Sequence[Any]]


class RpcError(ChainError):
    """The endpoint answered with an error. `code` and `data` are the error object's."""

    def __init__(self, message: str, *, code: int = 0, data: Any = None, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.code = code
        self.data = data


class BusyError(UnavailableError):
    """The endpoint asks to be left alone for a while."""


class Wire:
    """The HTTP session to one endpoint. `close` it; requests may run at the same time."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Raises UsageError when `url` is not http or https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"an endpoint is an http or https URL, not {printable(url)!r}", fix=FIX)
        self.place = parts.netloc.rpartition("@")[2]
        self._url = url
        self._timeout_s = timeout_s
        self._session: ClientSession | None = None
        self._last_id = 0

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(self, requests: Sequence[Request]) -> list[Any]:
        """The results in the order of `requests` (at most BATCH_MAX); an RpcError stands where one failed."""
        first = self._last_id + 1
        self._last_id += len(requests)
        bodies = [
            {"jsonrpc": "2.0", "id": first + index, "method": method, "params": list(parameters)}
            for index, (method, parameters) in enumerate(requests)
        ]
        answer = self._parsed(await self._post(bodies[0] if len(bodies) == 1 else bodies))
        if len(bodies) == 1:
            return [self._result(answer, first)]
        if isinstance(answer, dict):  # a refusal of the whole batch
            refusal = self._result(answer, None)
            raise refusal if isinstance(refusal, RpcError) else self._nonsense("one answer to several questions")
        return self._in_order(answer, first, len(bodies))

    async def _post(self, body: Any) -> bytes:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            )
        try:
            async with self._session.post(self._url, json=body, allow_redirects=False) as response:
                if response.status in BUSY_STATUSES:
                    raise BusyError(f"the endpoint {self.place} is busy ({response.status})", fix=FIX)
                if response.status in (401, 403):
                    raise ChainError(f"the endpoint {self.place} refuses us ({response.status})", fix=FIX)
                return await self._bounded(response)
        except TimeoutError as error:
            late = f"the endpoint {self.place} did not answer in {self._timeout_s:g} s"
            raise UnavailableError(late, fix=FIX) from error
        except aiohttp.ClientConnectorError as error:
            nobody = f"nobody answers at {self.place}: {error.os_error.strerror}"
            raise UnavailableError(nobody, fix=self._start()) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnavailableError(
                f"the connection to {self.place} broke: {printable(repr(error))}", fix=FIX
            ) from error

    async def _bounded(self, response: "ClientResponse") -> bytes:
        parts, size_bytes = [], 0
        async for part in response.content.iter_chunked(1 << 16):
            size_bytes += len(part)
            if size_bytes > RESPONSE_BYTES_MAX:
                raise ChainError(f"the endpoint {self.place} answers more than {RESPONSE_BYTES_MAX:,} bytes", fix=FIX)
            parts.append(part)
        return b"".join(parts)

    def _parsed(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            kind = "a web page" if text.lstrip()[:1] == b"<" else "something else"
            raise ChainError(f"{self.place} answers with {kind}, not with JSON-RPC", fix=FIX) from error

    def _result(self, answer: Any, request_id: int | None) -> Any:
        """The result in one answer, or its error. `request_id` None: an error may have any."""
        if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
            raise self._nonsense("an answer without a result")
        told_id = answer.get("id")
        is_error = answer.get("error") is not None
        # An error may come without an id, when the endpoint could not read what it was asked.
        if isinstance(told_id, bool) or (told_id != request_id and not (is_error and told_id is None)):
            raise self._nonsense("the answer to another question")
        return self._error(answer["error"]) if is_error else answer.get("result")

    def _error(self, told: Any) -> RpcError:
        if not isinstance(told, dict):
            raise self._nonsense("an error that says nothing")
        code = told.get("code")
        number = code if isinstance(code, int) and not isinstance(code, bool) else 0
        if number in BUSY_CODES:
            raise BusyError(f"the endpoint {self.place} is busy", fix=FIX)
        return RpcError(printable(str(told.get("message", ""))), code=number, data=told.get("data"))

    def _in_order(self, answers: Any, first: int, count: int) -> list[Any]:
        if not isinstance(answers, list) or len(answers) != count:
            raise self._nonsense(f"not {count} answers to {count} questions")
        by_id: dict[int, Any] = {}
        for answer in answers:
            told_id = answer.get("id") if isinstance(answer, dict) else None
            if not isinstance(told_id, int) or isinstance(told_id, bool) or told_id in by_id:
                raise self._nonsense("the answer to another question")
            by_id[told_id] = answer
        if set(by_id) != set(range(first, first + count)):
            raise self._nonsense("the answer to another question")
        return [self._result(by_id[first + index], first + index) for index in range(count)]

    def _nonsense(self, what: str) -> ChainError:
        return ChainError(f"the endpoint {self.place} gives {what}", fix=FIX)

    def _start(self) -> str:
        is_here = urlsplit(self._url).hostname in ("127.0.0.1", "localhost", "::1")
        return "start one with `nearcast devchain`, or " + FIX if is_here else FIX
