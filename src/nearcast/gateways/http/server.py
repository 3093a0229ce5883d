"""granian in the node's own event loop.

granian's `embed.Server` would start a coroutine for every request. This file talks to the worker below it, so that a
request which can be answered at once is answered in granian's own thread, without a hop to the event loop and back:
measured on 2 cores 55 k requests/s of 1 KiB instead of 33 k, 24 k of 100 KiB instead of 15 k. The price is that
names are used here which granian does not document; the version is held to 2.8, and every test of the gateway fails
when they change.

The socket is our own too: granian would open it with SO_REUSEPORT, and a second node on the same port would take half
of the first one's clients instead of being told that the port is taken.
"""

import asyncio
import errno
import logging
import socket
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import granian._granian as _untyped
from granian.http import HTTP1Settings

from nearcast.errors import AddressInUseError, UsageError
from nearcast.gateways.http.request import Scope
from nearcast.gateways.http.sending import Proto

BACKLOG = 1024
CONNECTIONS_MAX = 1024  # at once; the next ones wait in the backlog
STOP_GRACE_S = 1.0
HEADER_READ_TIMEOUT_MS = 30_000  # how long a client may take to say what it wants
PORTS_TRIED_MAX = 100  # guess: nobody runs more nodes on one machine without choosing ports
_FILE_THREADS = 512  # granian's own default; each waits for a disk or for one pipe

_granian: Any = _untyped  # its type stub lags behind what it is
ProtocolClosed: type[Exception] = _granian.RSGIProtocolClosed

_log = logging.getLogger("nearcast.http")


class Application(Protocol):
    """What is served. See app.HttpGateway."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None: ...

    def close(self) -> None: ...

    def answer_now(self, scope: Scope, proto: Proto) -> bool: ...

    async def answer(self, scope: Scope, proto: Proto) -> None: ...


class _Watcher(Protocol):
    """granian's handle of one request."""

    scope: Scope
    proto: Proto

    def done(self) -> None: ...


class _Scheduler(_granian.CallbackScheduler):  # type: ignore[misc]  # untyped, see above
    """What granian calls, in its own thread, for every request."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *_: Any) -> None:
        super().__init__()

    def serve(self, application: Application, tasks: "_Tasks") -> None:
        def schedule(watcher: _Watcher) -> None:
            try:
                if application.answer_now(watcher.scope, watcher.proto):
                    watcher.done()
                    return
            except ProtocolClosed:  # the client went away meanwhile
                watcher.done()
                return
            tasks.start_soon(watcher)

        self._schedule_fn = schedule


class _Tasks:
    """The answers that are being made in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, application: Application) -> None:
        self._loop = loop
        self._application = application
        self._running: set[asyncio.Task[None]] = set()

    def start_soon(self, watcher: _Watcher) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._start, watcher)

    async def cancel(self) -> None:
        for task in self._running:
            task.cancel()
        while self._running:
            await asyncio.wait(self._running)
            await asyncio.sleep(0)  # let the callbacks below run

    def _start(self, watcher: _Watcher) -> None:
        task = self._loop.create_task(self._application.answer(watcher.scope, watcher.proto))
        self._running.add(task)
        task.add_done_callback(partial(self._finish, watcher))

    def _finish(self, watcher: _Watcher, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        watcher.done()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ProtocolClosed):
            _log.error("an answer failed", exc_info=error)


class HttpServer:
    """An HTTP/1.1 server for one application. `host` and `port` are the real ones once it has started."""

    def __init__(self) -> None:
        self.host = ""
        self.port = 0
        self._application: Application | None = None
        self._tasks: _Tasks | None = None
        self._signal: Any = None

    @property
    def url(self) -> str:
        """The address for a browser, without a slash at the end."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def start(self, application: Application, host: str, port: int, *, next_free: bool = False) -> None:
        """Opens the port (0: any) and serves. With `next_free` a port that is taken is skipped.

        Raises AddressInUseError naming the port, UsageError when the address cannot be used at all.
        """
        listener = bind(host, port, next_free=next_free)
        self.host, self.port = listener.getsockname()[:2]
        loop = asyncio.get_running_loop()
        application.start(loop)
        # granian's own lines go nowhere: what is worth saying is said here, as the node says things.
        logging.getLogger("_granian").setLevel(logging.CRITICAL + 1)
        self._application = application
        self._tasks = _Tasks(loop, application)
        scheduler = _Scheduler(loop, None, None, None, None)
        scheduler.serve(application, self._tasks)
        self._signal = _granian.WorkerSignal()
        holder = _granian.SocketHolder(listener.detach(), False, BACKLOG)
        _worker(holder).serve_async(scheduler, loop, self._signal)

    async def stop(self) -> None:
        """Closes the port, ends the answers that are still being made, and returns when all is quiet.

        Clients that are still taking an answer have STOP_GRACE_S to finish; then they are left to granian's thread,
        which ends with the process.
        """
        if self._application is None or self._tasks is None:
            return
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop may be over when the last client lets go
                loop.call_soon_threadsafe(_resolve, stopped)

        self._signal.add_cb(tell)
        self._signal.set()
        await self._tasks.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                await stopped
        self._application.close()
        self._application = None


def _resolve(stopped: asyncio.Future[None]) -> None:
    if not stopped.done():  # it is cancelled when the grace is over
        stopped.set_result(None)


def bind(host: str, port: int, *, next_free: bool) -> socket.socket:
    """A listening socket. Raises AddressInUseError, UsageError."""
    last = min(port + PORTS_TRIED_MAX, 65536) if next_free and port else port + 1
    for candidate in range(port, last):
        try:
            return _listen(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or str(error)
                fix = "ports below 1024 are for the system" if error.errno == errno.EACCES else None
                raise UsageError(f"cannot listen on {host}:{candidate}: {reason}", fix=fix) from error
    tried = f"port {port}" if last == port + 1 else f"every port from {port} to {last - 1}"
    raise AddressInUseError(
        f"{tried} on {host} is taken by another program",
        fix="stop that program, or choose another port: --http HOST:PORT",
    )


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _worker(holder: Any) -> Any:
    settings = HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS)
    return _granian.RSGIWorker(
        1, (None, holder), None, 1, _FILE_THREADS, 1, 30, CONNECTIONS_MAX, "1", settings, None, False, None,
        False, None, None, None, "1.3", None, [], False, (None, None),
    )  # fmt: skip
