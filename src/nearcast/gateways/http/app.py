"""The HTTP gateway: content by name, for browsers and for programs (https://specs.ipfs.tech/http-gateways/path-gateway/).

A request is answered at once from hot.py if that is possible, else by `answer` in the event loop. Whatever goes wrong
becomes a status and a line that says what happened, and never more than that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nearcast.client import Client
from nearcast.clock import Clock, SystemClock
from nearcast.errors import NearcastError
from nearcast.gateways.http.content import Contents
from nearcast.gateways.http.errors import error_response, told
from nearcast.gateways.http.headers import preflight_headers
from nearcast.gateways.http.hot import HotFiles
from nearcast.gateways.http.landing import health_response, icon_response, landing_response, whereabouts_response
from nearcast.gateways.http.listed import Blacklist
from nearcast.gateways.http.payment import Payments
from nearcast.gateways.http.pipe import ClientGoneError, Pipes
from nearcast.gateways.http.pouring import POURING_THREADS
from nearcast.gateways.http.request import Request, RequestLine, Scope, checked, client_host, is_local, read_request
from nearcast.gateways.http.response import Response
from nearcast.gateways.http.sending import Proto, Sending

CONTROL_PREFIX = "/api/v0/"
WHEREABOUTS_PATH = "/.well-known/nearcast"

_log = logging.getLogger("nearcast.http")


class HttpGateway:
    """The application that server.HttpServer serves.

    `fetch` says who may make this node fetch what it lacks: "local" (clients on this machine), "always" or "never".
    `on_request` is called in the event loop after each answer. `control`, if set, answers what is below /api/v0/:
    commands of the node's owner, which are neither counted nor shown as requests. `blacklist`: what is on it is
    answered with 451, whoever asks. `payments`: clients on other machines pay for content by it (402); None: nobody.
    """

    def __init__(
        self,
        client: Client,
        *,
        fetch: str = "local",
        on_request: Callable[[RequestLine], None] | None = None,
        clock: Clock | None = None,
        blacklist: Blacklist | None = None,
        payments: Payments | None = None,
    ) -> None:
        self.control: Callable[[Scope, Any], Awaitable[None]] | None = None
        self.whereabouts: Callable[[], str] | None = None  # how to connect to this node, for other nodes
        self._client = client
        self._on_request = on_request
        self._clock = clock or SystemClock()
        self._hot = HotFiles(self._clock)
        self._contents = Contents(client, self._hot, fetch, blacklist, payments)
        self._payments = payments
        self._pipes = Pipes()
        self._threads = ThreadPoolExecutor(POURING_THREADS, thread_name_prefix="nearcast-http")
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by the server before the first request."""
        self._loop = loop

    def close(self) -> None:
        """Forgets what is hot, ends the threads and removes the pipes. Called by the server after the last answer."""
        self._hot.clear()
        self._threads.shutdown()
        self._pipes.close()

    def forget(self) -> None:
        """Drops every prepared answer: call it when something was removed from the store and must be gone now."""
        self._hot.clear()

    def answer_now(self, scope: Scope, proto: Proto) -> bool:
        """Answers if nothing has to be waited for, from whatever thread this is; False when it did nothing."""
        if self._payments is not None and not is_local(scope):
            return False
        if self._on_request is None:
            return self._hot.answer(scope, proto) is not None
        started_s = self._clock.monotonic_s()
        answered = self._hot.answer(scope, proto)
        if answered is None:
            return False
        line = self._line(scope, *answered, started_s, "hit")
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_request, line)
        return True

    async def answer(self, scope: Scope, proto: Proto) -> None:
        """Answers, whatever it takes."""
        if self.control is not None and scope.path.startswith(CONTROL_PREFIX):
            await self.control(scope, proto)
            return
        started_s = self._clock.monotonic_s()
        sending = Sending(proto, self._pipes, self._threads)
        request = read_request(scope)
        cache = "-"
        try:
            response = await self._response(checked(request))
            cache = response.cache
            await sending.send(response, head=request.is_head)
        except ClientGoneError:
            pass
        except NearcastError as error:
            await self._tell(error, request, sending)
        finally:
            if not sending.is_started:  # a defect, or cancelled: the traceback goes to the log, not to the client
                await sending.send(told(500, "Something went wrong", "internal error", None, None), head=False)
            if self._on_request is not None:
                self._on_request(self._line(scope, sending.status, sending.sent_bytes, started_s, cache))

    async def _tell(self, error: NearcastError, request: Request, sending: Sending) -> None:
        if sending.is_started:
            _log.warning("an answer was cut short: %s", error.message)
            return
        response = error_response(error, request, about=self._contents.name_of(request))
        await sending.send(response, head=request.is_head)

    async def _response(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(204, preflight_headers())
        if request.method not in ("GET", "HEAD"):
            refused = told(
                405, "Only for reading", f"{request.method} is not possible here: GET and HEAD are", None, request
            )
            return Response(405, [*refused.headers, ("allow", "GET, HEAD, OPTIONS")], refused.body)
        if request.path.startswith("/ipfs/"):
            return await self._contents.response(request)
        if request.path == "/":
            return await landing_response(self._client.store, request)
        if request.path == "/favicon.ico":
            return icon_response()
        if request.path == "/health":
            return health_response()
        if request.path == WHEREABOUTS_PATH and self.whereabouts is not None:
            return whereabouts_response(self.whereabouts())
        return told(404, "Not found", "there is nothing at this address", "content is at /ipfs/CID", request)

    def _line(self, scope: Scope, status: int, size_bytes: int, started_s: float, cache: str) -> RequestLine:
        duration_s = self._clock.monotonic_s() - started_s
        return RequestLine(client_host(scope.client), scope.method, scope.path, status, size_bytes, duration_s, cache)
