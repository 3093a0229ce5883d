"""A running node, as its operator sees it: what it has, how it is reached, how it is doing."""

import asyncio
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearcast import __version__
from nearcast.client import Client, Finder
from nearcast.clock import Clock
from nearcast.config import Config
from nearcast.content.cid import Cid
from nearcast.content.importer import Imported, import_path
from nearcast.content.progress import ProgressCallback
from nearcast.content.store import Store
from nearcast.delivery.serve_gate import ServeGate
from nearcast.gateways.control.storing import state
from nearcast.keys import Identity
from nearcast.naming.link import Link
from nearcast.node.backends import BackendSources
from nearcast.node.meshing import Meshing
from nearcast.node.relaying import Relay
from nearcast.overlay.gossip.announcement import NodeFacts
from nearcast.overlay.peers import PeerBook
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Endpoint, PeerAddress

if TYPE_CHECKING:
    from nearcast.node.money import Money
    from nearcast.payments.list_on_disk import ListOnDisk


@dataclass
class Node:
    """The parts of a node that runs. Made by assembly.run_node; `http_url` is set while its gateway is open."""

    config: Config
    identity: Identity
    store: Store
    client: Client
    finder: Finder
    endpoint: Endpoint
    peers: PeerBook
    telemetry: Telemetry
    clock: Clock
    backends: BackendSources
    money: "Money | None" = None
    relay: Relay | None = None
    meshing: Meshing | None = None
    http_url: str | None = None
    lan_http_urls: tuple[str, ...] = ()
    gate: ServeGate = field(default_factory=ServeGate)

    def __post_init__(self) -> None:
        self._started_s = self.clock.monotonic_s()
        self._listed = _listed(self.config)

    @property
    def address(self) -> PeerAddress:
        """Where other nodes reach this one."""
        return self.endpoint.address()

    def serves(self, cid: Cid) -> bool:
        """Whether other nodes may have this: what is in the store, since all of it was put or asked for by its user;
        what a backend of this node has; and whatever can be brought, by a node that is paid for bringing it."""
        return self.brings or self.store.has(cid) or self.backends.knows(cid)

    @property
    def brings(self) -> bool:
        """Whether it fetches for others what it lacks."""
        is_paid = self.money is not None and self.money.earning is not None
        return is_paid and self.relay is not None and self.config.payments.relay

    @property
    def refuse(self) -> Callable[[Cid], None] | None:
        """Raises RefusedError for what the chain's blacklist forbids to take in: the list that is followed, or the one
        that an earlier node left on disk; None without either."""
        if self.money is not None and self.money.earning is not None:
            return self.money.earning.blacklist.refuse
        return None if self._listed is None else self._listed.refuse

    def facts(self) -> NodeFacts:
        """What is announced of it to all others."""
        earning = None if self.money is None else self.money.earning
        region = self.config.overlay.region or ("" if earning is None else earning.record.region.lower())
        return NodeFacts(
            price_per_gib=0 if earning is None else earning.price_units_per_gib,
            load_permille=round(1000 * self.gate.load),
            mbps=0 if earning is None else earning.record.mbps,
            region=region,
        )

    def link(self, root: Cid, path: str = "", name: str = "") -> Link:
        """A link to content, with this node as its holder. Its own loopback is named once, the IPv4 one."""
        own = self.address
        places = tuple(place for place in own.addresses if not place.startswith("[::1]"))
        return Link(root, path, name, peers=(replace(own, addresses=places or own.addresses),))

    async def add(
        self, path: Path, *, in_place: bool, hidden: bool, wrap: bool, progress: ProgressCallback | None = None
    ) -> Imported:
        """Import a file or a folder and pin it. Raises StoreError, ChangedError, DiskFullError."""
        importing = functools.partial(
            import_path,
            self.store,
            path,
            in_place=in_place,
            hidden=hidden,
            wrap=wrap,
            progress=progress,
            refuse=self.refuse,
        )
        imported = await asyncio.to_thread(importing)
        self.content_changed()
        return imported

    def content_changed(self) -> None:
        """Something was added or removed: others are told soon."""
        if self.meshing is not None and self.meshing.providing is not None:
            self.meshing.providing.look_soon()

    def status(self) -> dict[str, Any]:
        """How it is doing; JSON-ready, sizes in bytes, times in seconds."""
        return {
            "version": __version__,
            "pid": os.getpid(),
            "endpoint_id": self.identity.endpoint_id.hex(),
            "addresses": list(self.address.addresses),
            "http": self.http_url,
            "uptime_s": round(self.clock.monotonic_s() - self._started_s, 1),
            "data_dir": str(self.config.data_dir),
            **state(self.store),
            "peers": [peer.as_json() for peer in self.peers.known()],
            "backends": self.backends.status(),
            "counters": dict(self.telemetry.counters),
        }


def _listed(config: Config) -> "ListOnDisk | None":
    """The blacklist that an earlier node of this folder followed."""
    if not (config.data_dir / "chain").is_dir():  # what reads it takes 40 ms to load, and most never need it
        return None
    from nearcast.payments.list_on_disk import list_on_disk

    return list_on_disk(config)
