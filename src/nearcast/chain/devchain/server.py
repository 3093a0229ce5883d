"""The chain behind HTTP: JSON-RPC by POST on this machine's own address, one question at a time in a thread of its own.

A web page in a browser on this machine could send requests to any local port. It cannot here: what comes with an
Origin, or for a Host that is not this machine by number or as localhost, is refused.
"""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final, TypeVar

from aiohttp import web

from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.protocol import answer
from nearcast.errors import AddressInUseError, UsageError, one_error

BODY_SIZE_MAX_BYTES: Final = 4 << 20  # geth's is 5 MB
WAITING_MAX: Final = 256  # requests; each waits for the ones before
STACK_SIZE_BYTES: Final = 256 << 20  # py-evm recurses through a dozen frames for each of 1024 calls within calls
STOP_GRACE_S: Final = 2.0  # for answers on their way when the server stops

T = TypeVar("T")


class RpcServer:
    """Asks the chain in its thread, in order."""

    def __init__(self, chain: DevChain) -> None:
        self._chain = chain
        self._waiting = 0
        self._thread = _one_thread()
        self.url = ""

    async def run(self, act: Callable[[], T]) -> T:
        """Do something with the chain between two requests."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one HTTP request."""
        if "Origin" in request.headers or not _is_this_machine(request.host):
            return web.Response(status=403, text="this chain does not talk to web pages\n")
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"}, text="JSON-RPC by POST\n")
        body = await request.read()
        if self._waiting >= WAITING_MAX:
            return web.Response(status=503, headers={"Retry-After": "1"}, text="busy\n")
        self._waiting += 1
        try:
            found = await self.run(lambda: answer(self._chain, body))
        finally:
            self._waiting -= 1
        return web.Response(status=200 if found else 204, body=found, content_type="application/json")

    def close(self) -> None:
        """Wait for the request that runs; the ones behind it are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)


@asynccontextmanager
async def serving(
    chain: DevChain, host: str, port: int, *, block_time_s: float | None = None
) -> AsyncIterator[RpcServer]:
    """The server, listening while the block runs. Raises AddressInUseError, UsageError."""
    server = RpcServer(chain)
    application = web.Application(client_max_size=BODY_SIZE_MAX_BYTES)
    application.router.add_route("*", "/", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_GRACE_S)
    await runner.setup()
    try:
        server.url = await _listen(runner, host, port)
        with one_error():
            async with asyncio.TaskGroup() as tasks:
                miner = tasks.create_task(_mine(server, chain, block_time_s)) if block_time_s else None
                yield server
                if miner is not None:
                    miner.cancel()
    finally:
        await runner.cleanup()
        server.close()


async def _mine(server: RpcServer, chain: DevChain, block_time_s: float) -> None:
    while True:
        await asyncio.sleep(block_time_s)
        await server.run(chain.mine)


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(
                f"port {port} on {host} is taken by another program",
                fix="stop that program, or choose another port: --port PORT",
            ) from error
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    bound_host, bound_port = runner.addresses[0][:2]
    return f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"


def _is_this_machine(host: str) -> bool:
    """Whether a Host header names this machine in a way no foreign DNS name can."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name.lower() == "localhost":
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _one_thread() -> ThreadPoolExecutor:
    before = threading.stack_size(STACK_SIZE_BYTES)
    try:
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="devchain")
        pool.submit(int).result()  # starts the thread, with this stack
    finally:
        threading.stack_size(before)
    return pool
