"""Where the registry's nodes are: the chain says who they are and names their web addresses; there they say the rest.

A node answers `GET URL/.well-known/nearcast` with `{"peer": "ID@host:port,…"}`. What it says is believed as far as its
endpoint id is the one in the registry; that it holds that key, the connection proves. A few nodes are asked, those of
our region first, and only those that the overlay does not know: one that answers is enough to be let in.
"""

import asyncio
import json
import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nearcast.errors import NearcastError, UsageError
from nearcast.overlay.peers import parse_peer
from nearcast.telemetry import Telemetry
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from nearcast.chain.node_records import NodeRecord
    from nearcast.payments.known_nodes import KnownNodes

PATH: Final = "/.well-known/nearcast"
CONTACTS_MAX: Final = 8  # found this way and kept; guess: one is enough, some may be gone
ASKED_MAX: Final = 16  # in one round; guess
ANSWER_TIMEOUT_S: Final = 5.0  # guess: as for a dial; nobody waits for it
ANSWER_BYTES_MAX: Final = 4096
ROUND_S: Final = 300.0  # as often as the registry is read again
EMPTY_ROUND_S: Final = 2.0  # while nothing was read of it yet; guess


class RegisteredContacts:
    """`run` it as a task."""

    def __init__(self, nodes: "KnownNodes", telemetry: Telemetry) -> None:
        self._nodes = nodes
        self._telemetry = telemetry
        self._rng = random.Random(os.urandom(32))  # everybody asking the same ones would be a crowd
        self._contacts: dict[bytes, PeerAddress] = {}

    def contacts(self) -> list[PeerAddress]:
        """Those that have said where they are."""
        return list(self._contacts.values())

    async def run(self, is_known: Callable[[bytes], bool], region: str) -> None:
        """Ask now and then until cancelled. `is_known`: who need not be asked."""
        while True:
            try:
                await self._nodes.lookup(())
            except NearcastError as error:
                self._telemetry.event("registry-unread", reason=error.message)
            await self._ask(is_known, region)
            await asyncio.sleep(ROUND_S if self._nodes.all() else EMPTY_ROUND_S)

    async def _ask(self, is_known: Callable[[bytes], bool], region: str) -> None:
        nodes = [node for node in self._nodes.all() if node.active and node.urls and not is_known(node.endpoint_id)]
        self._rng.shuffle(nodes)
        nodes.sort(key=lambda node: node.region.lower() != region)
        async with asyncio.TaskGroup() as group:
            for node in nodes[:ASKED_MAX]:
                group.create_task(self._ask_one(node))

    async def _ask_one(self, node: "NodeRecord") -> None:
        contact = await told_by(node.urls[0], node.endpoint_id)
        if contact is not None:
            self._contacts.pop(node.endpoint_id, None)
            self._contacts[node.endpoint_id] = contact
            while len(self._contacts) > CONTACTS_MAX:
                del self._contacts[next(iter(self._contacts))]


async def told_by(url: str, endpoint_id: bytes) -> PeerAddress | None:
    """Where the node at that web address says that its endpoint is. None: it says nothing, or is another one."""
    import aiohttp  # loaded where there is a registry

    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url.rstrip("/") + PATH, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                return None
            told = json.loads(await answer.content.read(ANSWER_BYTES_MAX))
        contact = parse_peer(told["peer"]) if isinstance(told, dict) and isinstance(told.get("peer"), str) else None
    except (aiohttp.ClientError, TimeoutError, ValueError, UsageError):
        return None
    return contact if contact is not None and contact.endpoint_id == endpoint_id else None
