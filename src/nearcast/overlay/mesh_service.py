"""The overlay of one node as the rest of it sees it: the mesh on the transport, its verbs as awaitables with timeouts.

What a lookup has found when its time is over is what it brings. The round trips that the transport measures go to the
mesh now and then, and with them what it needs to know of the world outside: seeds, and whom to remember.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from nearcast.clock import Clock
from nearcast.errors import NearcastError
from nearcast.overlay import codec
from nearcast.overlay.directory import ContactView
from nearcast.overlay.kademlia.events import Found, ProviderFound, Stored
from nearcast.overlay.links import Links
from nearcast.overlay.mesh import Mesh
from nearcast.overlay.peers import Origin
from nearcast.overlay.service import Service
from nearcast.telemetry import Telemetry
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

ROUND_TRIPS_S: Final = 10.0  # how often the transport's estimates are passed on; guess: they change slowly
FAREWELL_S: Final = 0.1  # for goodbyes to leave; guess: what is in the queue is in the network by then
GRACE_S: Final = 0.2  # guess: two round trips; enough for others to be named who are as near
SHOWN_MAX: Final = 256  # nodes in a snapshot, the nearest ones


class MeshService:
    """Use as an async context manager."""

    def __init__(
        self,
        mesh: Mesh,
        pool: ConnectionPool,
        own: Callable[[], PeerAddress],
        clock: Clock,
        telemetry: Telemetry,
        *,
        links_max: int,
    ) -> None:
        self.mesh = mesh
        self.has_doors = False
        self._telemetry = telemetry
        self._service = Service(
            mesh,
            pool,
            own,
            codec.frame,
            codec.parse_payload,
            clock,
            telemetry,
            links_max=links_max,
            address_of=self._address_of,
        )
        self._service.listen(self._heard)
        self._changed = asyncio.Event()
        self._measuring: asyncio.Task[None] | None = None
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._service.__aenter__()
        await self._tasks.__aenter__()
        self._measuring = self._tasks.create_task(self._measure())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._measuring is not None:
            self._measuring.cancel()
        await self._tasks.__aexit__(kind, error, traceback)
        await self._service.__aexit__(kind, error, traceback)

    @property
    def links(self) -> Links:
        """For the streams that others open."""
        return self._service.links

    def seed(self, contacts: Iterable[PeerAddress], origin: Origin = "lan") -> None:
        """These may be a way in; the operator's own ("config") are kept whatever else comes."""
        seeds = [each for each in contacts if each.addresses or each.relay_url]
        if seeds:
            self.has_doors = True
            self._service.act(partial(self.mesh.add_seeds, seeds, origin=origin))

    @property
    def can_ask(self) -> bool:
        """Whether there is anybody to ask who has a content."""
        return len(self.mesh.parts.kademlia.table) > 0

    async def wait_for_others(self, timeout_s: float) -> bool:
        """Whether there is anybody to ask; waits so long for the first one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self.can_ask:
                    self._changed.clear()
                    await self._changed.wait()
        return self.can_ask

    async def find_providers(self, key: bytes, limit: int, timeout_s: float) -> list[PeerAddress]:
        """Who says that it has the content with this 32-byte key, within `timeout_s`; those who were found first first.

        Once one is found, the lookup has as long again as that took, at least GRACE_S: whoever it would ask after that
        is slow, or dead. Never raises for what others do.
        """
        found: dict[bytes, PeerAddress] = {}
        is_over, is_found = asyncio.Event(), asyncio.Event()
        lookup_id: int | None = None

        def heard(event: Any) -> None:
            match event:
                case ProviderFound(lookup_id=told, record=record) if told == lookup_id:
                    found.setdefault(record.owner, record.provider)
                case Found(lookup_id=told, providers=providers) if told == lookup_id:
                    for record in providers:
                        found.setdefault(record.owner, record.provider)
                    is_over.set()
                case _:
                    pass
            if found or is_over.is_set():
                is_found.set()
            if len(found) >= limit:
                is_over.set()

        self._service.listen(heard)
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        try:
            lookup_id, effects = self.mesh.find_providers(key, limit, self._service.now_s)
            self._service.perform(list(effects))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s) as limit_s:
                    await is_found.wait()
                    grace_s = max(GRACE_S, loop.time() - start_s)
                    limit_s.reschedule(min(start_s + timeout_s, loop.time() + grace_s))
                    await is_over.wait()
        except NearcastError:  # too many at once: as if nobody were known
            return []
        finally:
            self._service.unlisten(heard)
            if lookup_id is not None and not is_over.is_set():
                self.mesh.cancel(lookup_id)
        return list(found.values())[:limit]

    def provide(self, keys: Iterable[bytes]) -> None:
        """Tell others from now on that this node has the content with these keys."""
        for key in keys:
            self._service.act(partial(self.mesh.provide, key))

    def stop_providing(self, keys: Iterable[bytes]) -> None:
        """Not any more; what was told expires."""
        for key in keys:
            self.mesh.stop_providing(key)

    def contact(self, endpoint_id: bytes) -> ContactView | None:
        """What is known of this node."""
        return self.mesh.known(endpoint_id, self._service.now_s)

    def worth_remembering(self) -> list[PeerAddress]:
        """Nodes that were alive lately, for the next start."""
        alive = [view.address for view in self.mesh.nearest(SHOWN_MAX, self._service.now_s) if view.state == "alive"]
        return list({each.endpoint_id: each for each in [*self.mesh.remembered(), *alive]}.values())

    def snapshot(self) -> dict[str, Any]:
        """For `status` and `peers`: JSON-ready."""
        now_s = self._service.now_s
        nearest = [view.as_json(now_s) for view in self.mesh.nearest(SHOWN_MAX, now_s)]
        return self.mesh.snapshot(now_s) | {"nodes": nearest, "links": self.links.snapshot()}

    def _address_of(self, endpoint_id: bytes) -> PeerAddress | None:
        view = self.contact(endpoint_id)
        return None if view is None else view.address

    def _heard(self, event: Any) -> None:
        self._changed.set()
        if isinstance(event, Stored) and event.holders:
            self._telemetry.count("overlay_records_published")

    async def leave(self) -> None:
        """Say goodbye to the neighbours, and let it reach them."""
        self._service.act(self.mesh.leave)
        if any(link["open"] for link in self.links.snapshot()):
            await asyncio.sleep(FAREWELL_S)

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(ROUND_TRIPS_S)
            for peer, rtt_s in list(self.links.round_trips()):
                self._service.act(partial(self.mesh.measured, peer, rtt_s))
