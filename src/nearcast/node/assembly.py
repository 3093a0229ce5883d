"""From a configuration to a running node, and back down in the opposite order.

identity, store → endpoint → connection pool → money → overlay → finder, fetcher → client → relay → LAN, serving, upkeep
→ HTTP gateway
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.client import Client, Finder
from nearcast.client.discovery import NOBODY_FAR
from nearcast.clock import Clock, SystemClock
from nearcast.config import Config
from nearcast.content.store import Store
from nearcast.delivery.events import FetchEvent
from nearcast.delivery.fetch import Fetcher
from nearcast.errors import one_error
from nearcast.gateways.http.request import RequestLine
from nearcast.keys import load_or_create_identity
from nearcast.node.backends import BackendSources
from nearcast.node.gateway import running_gateway
from nearcast.node.lan import watch_lan
from nearcast.node.limits import raise_descriptor_limit
from nearcast.node.meshing import Meshing
from nearcast.node.money_wish import MoneyWish
from nearcast.node.outside import REAL, Outside
from nearcast.node.port import FILE_NAME as PORT_FILE
from nearcast.node.port import bind_as_before
from nearcast.node.providing import Providing
from nearcast.node.registered import RegisteredContacts
from nearcast.node.relaying import Relay
from nearcast.node.running import Node
from nearcast.node.serving import accept_connections
from nearcast.node.upkeep import keep_up
from nearcast.overlay.peers import PeerBook, parse_peer
from nearcast.overlay.remembered import FILE_NAME as CONTACTS_FILE
from nearcast.telemetry import Telemetry
from nearcast.transport.pool import ConnectionPool

if TYPE_CHECKING:
    from nearcast.node.money import Money

IDENTITY_FILE = "identity.key"


def _recognition(money: "Money | None") -> Callable[[], bool]:
    """Whether governance recognises this node as an origin; nobody does without a chain."""
    if money is None or money.earning is None:
        return lambda: False
    return money.earning.recognition.is_recognised


def _ignore_event(_: FetchEvent) -> None:
    """For nodes whose own fetches nobody watches."""


@asynccontextmanager
async def run_node(
    config: Config,
    *,
    http: bool = True,
    announce: bool = True,
    on_request: Callable[[RequestLine], None] | None = None,
    on_event: Callable[[FetchEvent], None] = _ignore_event,
    clock: Clock | None = None,
    money: MoneyWish | None = None,
    outside: Outside = REAL,
    contacts_file: Path | None = None,
) -> AsyncIterator[Node]:
    """A node with everything started; on leaving, everything is stopped and durable.

    `http=False, announce=False` makes a client only: it fetches, serves nobody, and nobody is told that it is there.
    `money`: with it the node may pay, and is paid if its configuration names a price. `outside`: its sockets.
    `contacts_file`: the contacts to be recalled, where they are not the data folder's own.
    Raises StoreLockedError, StoreError, AddressInUseError, UsageError.
    """
    raise_descriptor_limit()
    with one_error():
        async with AsyncExitStack() as stack:
            told = clock or SystemClock()
            contacts_file = contacts_file or config.data_dir / CONTACTS_FILE
            node = await _assembled(
                config, told, on_event, money, outside, contacts_file, stack, is_command=not announce
            )
            if http:
                await stack.enter_async_context(running_gateway(node, config.http, on_request))
            async with asyncio.TaskGroup() as tasks:
                endless = [accept_connections(node)] if announce else []
                endless += [keep_up(node.store, config.store.scrub_bytes_per_s, node.telemetry)] if announce else []
                endless += [node.meshing.run()] if node.meshing is not None else []
                endless += [watch_lan(node, announce=announce)] if config.peers.lan else []
                running = [tasks.create_task(each) for each in endless]
                try:
                    yield node
                finally:
                    for task in running:
                        task.cancel()


async def _assembled(
    config: Config,
    clock: Clock,
    on_event: Callable[[FetchEvent], None],
    wish: MoneyWish | None,
    outside: Outside,
    contacts_file: Path,
    stack: AsyncExitStack,
    *,
    is_command: bool,
) -> Node:
    """The parts, each closed by `stack` after those that stand on it. A command lives too shortly to meet the LAN in
    passing: it waits for it; a node that stays does not, so that what nobody has is missing at once."""
    known = [parse_peer(text) for text in config.peers.known]
    identity = load_or_create_identity(config.data_dir / IDENTITY_FILE)
    opening = functools.partial(Store.open, config.data_dir, quota_bytes=config.store.quota_bytes, clock=clock)
    store = stack.enter_context(await asyncio.to_thread(opening))
    if is_command:  # it may run beside a node of the same folder, and nobody comes back to it
        endpoint = await outside.endpoint(identity, config.quic)
    else:
        endpoint = await bind_as_before(outside.endpoint, identity, config.quic, config.data_dir / PORT_FILE)
    stack.push_async_callback(endpoint.close)
    telemetry = Telemetry()
    pool = ConnectionPool(endpoint, telemetry)
    stack.push_async_callback(pool.close)
    money: Money | None = None
    if wish is not None and not wish.is_idle:
        from nearcast.node.money import running_money  # it brings all of the chain's room

        money = await stack.enter_async_context(running_money(wish, identity, clock, telemetry, outside.rpc))
    peers = PeerBook()
    for address in known:
        peers.add(address, "config", clock.monotonic_s())
    backends = stack.enter_context(BackendSources(config.data_dir, telemetry, is_recognised=_recognition(money)))
    meshing = None
    if config.overlay.enabled:
        meshing = Meshing(
            config.overlay, identity, pool, endpoint, peers, contacts_file, clock, telemetry, is_client=is_command
        )
    discovery = NOBODY_FAR if meshing is None else meshing
    expects_lan = config.peers.lan and is_command
    finder = Finder(peers, pool, clock, expects_lan=expects_lan, own=backends.sources, discovery=discovery)
    fetcher = Fetcher(store, clock, telemetry)
    client = await stack.enter_async_context(Client(store, fetcher, finder, on_event=on_event))
    relay = None
    if not is_command:
        spend = None if money is None else money.spend
        listed = None if money is None or money.earning is None else money.earning.is_listed
        relaying = Relay(finder, store, clock, telemetry, config.payments, spend=spend, listed=listed)
        relay = await stack.enter_async_context(relaying)
    if money is not None:
        client.spend = money.spend
    node = Node(
        config, identity, store, client, finder, endpoint, peers, telemetry, clock, backends, money, relay, meshing
    )
    if meshing is not None:
        meshing.facts = node.facts
        meshing.registry = None if money is None else RegisteredContacts(money.nodes, telemetry)
        if not is_command:
            meshing.providing = Providing(node, config.overlay.provided_max)
    return node
