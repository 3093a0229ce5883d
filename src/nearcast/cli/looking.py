"""Looking into content that may be anywhere: with a client of our own, or through the node that has the store open."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from nearcast.cli.asking import ask, ask_for_bytes
from nearcast.cli.options import Call
from nearcast.client import Client
from nearcast.config import Config
from nearcast.errors import StoreLockedError
from nearcast.gateways.control.arguments import Arguments
from nearcast.gateways.control.reading import contents, listing, look
from nearcast.node import run_node

_OPERATIONS: dict[str, Callable[[Client, Arguments], Awaitable[dict[str, Any]]]] = {"look": look, "ls": listing}


class View:
    """Asks a client, or the running node when there is no client."""

    def __init__(self, config: Config, client: Client | None, locked: StoreLockedError | None) -> None:
        self._config = config
        self._client = client
        self._locked = locked

    async def ask(self, name: str, arguments: Arguments) -> dict[str, Any]:
        """`look` or `ls`."""
        if self._locked is not None:
            return ask(self._config.data_dir, self._locked, name, arguments)
        assert self._client is not None
        return await _OPERATIONS[name](self._client, arguments)

    async def contents(self, arguments: Arguments) -> AsyncIterator[bytes]:
        """The bytes from `start` to `end` of the file at `link`."""
        if self._locked is not None:
            for piece in ask_for_bytes(self._config.data_dir, self._locked, "cat", arguments):
                yield piece
            return
        assert self._client is not None
        async for piece in contents(self._client, arguments):
            yield piece


@asynccontextmanager
async def viewing(call: Call, flags: dict[str, Any]) -> AsyncIterator[View]:
    """A view of everything that can be found from here."""
    config = call.config(flags)
    async with AsyncExitStack() as stack:
        try:
            node = await stack.enter_async_context(run_node(unannounced(config), http=False, announce=False))
        except StoreLockedError as locked:
            yield View(config, None, locked)
        else:
            yield View(config, node.client, None)


def unannounced(config: Config) -> Config:
    """For commands that only fetch: any free port, since nobody needs to find it."""
    host = config.quic.listen.rpartition(":")[0]
    return replace(config, quic=replace(config.quic, listen=f"{host}:0"))
