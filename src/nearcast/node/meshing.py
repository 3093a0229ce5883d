"""The overlay of a node, or of a command, and what the client's finder asks of it (client/discovery.py).

A node takes part from its start on. A command takes part as a client, and not before its finder has to look further:
most of what is asked for is found among the peers that are known. It is let in by whoever is known (configuration, LAN,
the link's holders, the registry, contacts remembered from earlier), answers nobody's lookups and leaves nothing behind.

Where there is nobody to ask, the answer comes at once; else within the time that the finder allows.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nearcast.client.discovery import NO_OUTLOOK, Far, Outlook
from nearcast.clock import Clock
from nearcast.config import OverlayConfig
from nearcast.content.cid import SHA2_256, Cid
from nearcast.keys import Identity, verify
from nearcast.overlay.gossip.announcement import NodeFacts
from nearcast.overlay.peers import PeerBook
from nearcast.overlay.remembered import read_contacts, write_contacts
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Connection, Endpoint, PeerAddress, Stream
from nearcast.transport.pool import ConnectionPool
from nearcast.wire import FrameReader

if TYPE_CHECKING:
    from nearcast.node.providing import Providing
    from nearcast.node.registered import RegisteredContacts
    from nearcast.overlay.mesh_service import MeshService

PROVIDERS_MAX: Final = 32  # asked for one root; as many as a search asks peers
SEEDS_S: Final = 5.0  # how often the peers that are known are told as seeds; guess: a LAN's node shows up within 3 s
REMEMBER_S: Final = 300.0  # how often contacts are kept; guess: what changes meanwhile is no loss
ENTER_S: Final = 5.0  # a node that started so lately may not be in yet, and a search waits for it


class Meshing:
    """Discovery of client/discovery.py. `run` it as a task; without that, it finds nothing."""

    def __init__(
        self,
        config: OverlayConfig,
        identity: Identity,
        pool: ConnectionPool,
        endpoint: Endpoint,
        peers: PeerBook,
        contacts_file: Path,
        clock: Clock,
        telemetry: Telemetry,
        *,
        is_client: bool,
        rng: random.Random | None = None,
    ) -> None:
        self._config = config
        self._identity = identity
        self._pool = pool
        self._endpoint = endpoint
        self._peers = peers
        self._contacts_file = contacts_file
        self._clock = clock
        self._telemetry = telemetry
        self._is_client = is_client
        self._rng = rng or random.Random(os.urandom(32))
        self.registry: RegisteredContacts | None = None
        self.facts: Callable[[], NodeFacts] = self._region_only
        self.providing: Providing | None = None
        self.service: MeshService | None = None
        self._since_s = 0.0
        self._told = set[bytes]()  # whom the overlay has as a door, as we last looked
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()
        if not is_client:
            self._wanted.set()

    # As the finder sees it

    async def providers(self, root: Cid, near: Sequence[PeerAddress], timeout_s: float) -> Far:
        if root.hash_code != SHA2_256:
            return Far()
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        service = await self._started(near)
        if service is None or not (service.can_ask or service.has_doors):
            return Far()
        is_new = self._is_client or loop.time() - self._since_s < ENTER_S
        if not await service.wait_for_others(deadline_s - loop.time() if is_new else 0.0):
            return Far(asked="no way into the overlay was found")
        found = await service.find_providers(root.digest, PROVIDERS_MAX, deadline_s - loop.time())
        return Far(found, f"the overlay names {len(found)}" if found else "the overlay was asked, and names nobody")

    async def _started(self, near: Sequence[PeerAddress]) -> "MeshService | None":
        if self._is_client:
            self._wanted.set()
            await self._ready.wait()
            if self.service is not None:
                self.service.seed(near)
        return self.service

    def registered(self) -> Far:
        nodes = [] if self.registry is None else self.registry.contacts()
        return Far(nodes, "the registry's nodes were asked" if nodes else "")

    def outlook(self, endpoint_id: bytes) -> Outlook:
        view = None if self.service is None else self.service.contact(endpoint_id)
        if view is None:
            return NO_OUTLOOK
        return Outlook(view.state == "dead", view.rtt_s, view.price, view.load)

    # As the serving end sees it (delivery/serve.py)

    def is_hello(self, first: Any) -> bool:
        return self.service is not None and self.service.links.is_hello(first)

    async def serve(self, connection: Connection, stream: Stream, frames: FrameReader, first: Any) -> None:
        if self.service is not None:
            await self.service.links.serve(connection, stream, frames, first)

    # As the node sees it

    def snapshot(self) -> dict[str, Any] | None:
        """For `status` and `peers`; None where there is no overlay (yet)."""
        return None if self.service is None else self.service.snapshot()

    async def run(self) -> None:
        """Take part until cancelled."""
        await self._wanted.wait()
        remembered = await in_thread(read_contacts, self._contacts_file)
        async with self._made() as service:
            self.service, self._since_s = service, asyncio.get_running_loop().time()
            service.mesh.recall(remembered)
            configured = self._peers.configured()
            service.seed(configured, "config")
            self._told = {each.endpoint_id for each in configured}
            others = {each.endpoint_id: each for each in remembered if each.endpoint_id not in self._told}
            others.update((each.endpoint_id, each) for each in self._new_seeds())
            service.seed(others.values())
            self._ready.set()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_seeding(service))
                    if self.registry is not None:
                        tasks.create_task(self.registry.run(self._is_known, self._config.region))
                    if not self._is_client:
                        tasks.create_task(self._keep_contacts(service))
                        if self.providing is not None:
                            tasks.create_task(self.providing.run(service.provide, service.stop_providing))
            finally:
                self.service = None
                if not self._is_client:
                    self._write(service)
                    await service.leave()

    def _made(self) -> "MeshService":
        from nearcast.overlay.mesh import Mesh
        from nearcast.overlay.mesh_service import MeshService
        from nearcast.overlay.settings import mesh_settings

        mesh = Mesh(
            self._said(),
            self.facts,
            sign=self._identity.sign,
            verify=verify,
            rng=self._rng,
            settings=mesh_settings(self._config),
            is_client=self._is_client,
        )
        return MeshService(mesh, self._pool, self._said, self._clock, self._telemetry, links_max=self._config.links_max)

    def _said(self) -> PeerAddress:
        """Where others are told to find this node; nobody dials a command."""
        return PeerAddress(self._identity.endpoint_id) if self._is_client else self._endpoint.address()

    def _region_only(self) -> NodeFacts:
        return NodeFacts(region=self._config.region)

    def _seeds(self) -> Iterable[PeerAddress]:
        known = self._peers.candidates(self._clock.monotonic_s())
        return known if self.registry is None else [*known, *self.registry.contacts()]

    def _is_known(self, endpoint_id: bytes) -> bool:
        """Whether the overlay knows where that node is."""
        view = None if self.service is None else self.service.contact(endpoint_id)
        return view is not None and bool(view.address.addresses or view.address.relay_url)

    async def _keep_seeding(self, service: "MeshService") -> None:
        """The LAN's nodes come and go, and the registry is read late."""
        while True:
            await asyncio.sleep(SEEDS_S)
            service.seed(self._new_seeds())

    def _new_seeds(self) -> list[PeerAddress]:
        """Whom we did not know when we looked last: a door that is told again would be knocked at again, at once."""
        seeds = list(self._seeds())
        new = [each for each in seeds if each.endpoint_id not in self._told]
        self._told = {each.endpoint_id for each in seeds}
        return new

    async def _keep_contacts(self, service: "MeshService") -> None:
        while True:
            await asyncio.sleep(REMEMBER_S)
            await in_thread(self._write, service)

    def _write(self, service: "MeshService") -> None:
        try:
            write_contacts(self._contacts_file, service.worth_remembering())
        except OSError as error:
            self._telemetry.event("contacts-unwritten", reason=str(error))
