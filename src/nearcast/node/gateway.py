"""The node's own doors: the HTTP gateway, and behind it the control door for commands in other terminals."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from nearcast.config import HttpConfig
from nearcast.gateways.control.door import ControlDoor, Operation
from nearcast.gateways.control.reading import contents, listing, look
from nearcast.gateways.control.running import Running, advertised, new_token
from nearcast.gateways.control.storing import StoreOperation, store_operations
from nearcast.gateways.http.app import HttpGateway
from nearcast.gateways.http.request import RequestLine
from nearcast.gateways.http.server import HttpServer
from nearcast.node.addresses import lan_hosts
from nearcast.overlay.peers import format_peer

if TYPE_CHECKING:
    from nearcast.gateways.http.payment import Payments
    from nearcast.node.earning import Earning
    from nearcast.node.running import Node

EVERY_INTERFACE = ("0.0.0.0", "::")


@asynccontextmanager
async def running_gateway(
    node: "Node", config: HttpConfig, on_request: Callable[[RequestLine], None] | None
) -> AsyncIterator[None]:
    """Open while the block runs; the node then knows its URLs. Raises AddressInUseError, UsageError."""
    earning = None if node.money is None else node.money.earning
    gateway = HttpGateway(
        node.client,
        fetch=config.fetch,
        on_request=on_request,
        clock=node.clock,
        blacklist=None if earning is None else earning.blacklist,
        payments=await _payments(node, earning),
    )
    if earning is not None:
        earning.blacklist.watch(gateway.forget)
    gateway.whereabouts = lambda: format_peer(node.address)
    token = new_token()
    gateway.control = ControlDoor(token, operations(node, gateway), {"cat": partial(contents, node.client)})
    host, _, port = config.listen.removesuffix("+").rpartition(":")
    server = HttpServer()
    await server.start(gateway, host.strip("[]"), int(port), next_free=config.listen.endswith("+"))
    try:
        is_open = server.host in EVERY_INTERFACE
        here = "127.0.0.1" if is_open else server.host
        node.http_url = http_url(here, server.port)
        node.lan_http_urls = tuple(http_url(lan, server.port) for lan in lan_hosts()) if is_open else ()
        running = Running(os.getpid(), f"{here}:{server.port}", token, format_peer(node.address))
        with advertised(node.config.data_dir, running):
            yield
    finally:
        node.http_url, node.lan_http_urls = None, ()
        await server.stop()


async def _payments(node: "Node", earning: "Earning | None") -> "Payments | None":
    """Who takes money over HTTP; None where nobody is asked for any. Raises UnavailableError without a chain."""
    if earning is None or not node.config.payments.http:
        return None
    from nearcast.chain.bindings.token import Token
    from nearcast.gateways.http.payment_desk import PaymentDesk

    chain = earning.chain
    contracts = chain.deployment.contracts
    return PaymentDesk(
        earning.till,
        earning.settlement,
        token=await Token(chain.rpc, contracts["TestUSDC"]).domain(),
        collector=contracts["ERC3009DepositCollector"],
        price=lambda: earning.price_units_per_gib,
        role=node.backends.role_of,
        sender=earning.deposits,
        clock=node.clock,
        confirmations=chain.confirmations,
    )


def http_url(host: str, port: int) -> str:
    """The address for a browser, without a slash at the end."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def operations(node: "Node", gateway: HttpGateway) -> Mapping[str, Operation]:
    """What the control door can do, by name. What works on the store runs in a thread."""

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        overlay = None if node.meshing is None else node.meshing.snapshot()
        return await asyncio.to_thread(node.status) | {"overlay": overlay}

    async def peers(_: dict[str, Any]) -> dict[str, Any]:
        return {"overlay": None if node.meshing is None else node.meshing.snapshot()}

    def stored(operation: StoreOperation) -> Operation:
        async def run(arguments: dict[str, Any]) -> dict[str, Any]:
            try:
                return await asyncio.to_thread(operation, node.store, arguments)
            finally:
                gateway.forget()  # an answer prepared before a removal must not outlive it
                node.content_changed()

        return run

    return {
        "status": status,
        "peers": peers,
        "look": partial(look, node.client),
        "ls": partial(listing, node.client),
        **{name: stored(operation) for name, operation in store_operations(node.refuse).items()},
    }
