"""An endpoint that is honest about a development chain until it is told to lie, forget or break off."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from tests.chain.devchains import CHAIN_ID, engine

from nearcast.chain.devchain.node import DevChain
from nearcast.chain.devchain.protocol import answer
from nearcast.chain.rpc import JsonRpc

Honest = Callable[[], Any]
Twist = Callable[[list[Any], Honest], Any]


class HangUpError(Exception):
    """Raised by a twist: the connection ends without an answer."""


@dataclass(frozen=True)
class RefuseError(Exception):
    """Raised by a twist: an error object."""

    message: str
    code: int = -32000
    data: Any = None


@dataclass
class Endpoint:
    """`twists[method]` gets the parameters and a function that asks the chain, and returns what is told instead."""

    chain: DevChain
    twists: dict[str, Twist] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    whole: Callable[[Any], web.Response | None] = lambda request: None  # an HTTP answer instead of JSON-RPC
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        instead = self.whole(body)
        if instead is not None:
            return instead
        try:
            told = [self._one(each) for each in body] if isinstance(body, list) else self._one(body)
        except HangUpError:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return web.json_response(told)

    def _one(self, request: dict[str, Any]) -> Any:
        method = request["method"]
        self.asked.append(method)
        head = {"jsonrpc": "2.0", "id": request["id"]}
        twist = self.twists.get(method)
        if twist is None:
            return self._answer(request)

        def honest() -> Any:
            told = self._answer(request)
            if "error" in told:
                raise RefuseError(told["error"]["message"], told["error"]["code"], told["error"].get("data"))
            return told["result"]

        try:
            return head | {"result": twist(request["params"], honest)}
        except RefuseError as refusal:
            error = {"code": refusal.code, "message": refusal.message, "data": refusal.data}
            return head | {"error": error}

    def _answer(self, request: dict[str, Any]) -> Any:
        return json.loads(answer(self.chain, json.dumps(request).encode()))


@asynccontextmanager
async def endpoint(*, automine: bool = True) -> AsyncIterator[Endpoint]:
    """A new chain behind a new endpoint, in this loop."""
    chain = DevChain(engine(), lambda: 1_760_000_000.0, None, automine=automine)
    served = Endpoint(chain)
    app = web.Application()
    app.router.add_post("/", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    try:
        await site.start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield served
    finally:
        await runner.cleanup()
        chain.close()


async def no_sleep(delay_s: float) -> None:
    """Time is not waited for."""
    await asyncio.sleep(0)


def run(
    test: Callable[[Endpoint, JsonRpc], Awaitable[None]], *, automine: bool = True, chain_id: int = CHAIN_ID
) -> None:
    """Run a test with a client of a fresh endpoint."""

    async def whole() -> None:
        async with (
            endpoint(automine=automine) as served,
            JsonRpc(served.url, chain_id, timeout_s=5, sleep=no_sleep) as rpc,
        ):
            await test(served, rpc)

    asyncio.run(whole())
