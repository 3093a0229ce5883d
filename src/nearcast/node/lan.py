"""Finding nodes on the local network, and being found."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from nearcast.node.running import Node


@asynccontextmanager
async def watched_lan(node: "Node", *, announce: bool) -> AsyncIterator[None]:
    """While the block runs, nodes of the LAN come and go in the peer book. `announce`: they see us, too."""
    from nearcast.overlay.mdns import LanDiscovery  # zeroconf takes 10 MB: only where it is used

    def found(address: PeerAddress) -> None:
        node.peers.add(address, "lan", node.clock.monotonic_s())
        node.finder.lan_found()

    def lost(endpoint_id: bytes) -> None:
        node.peers.gone(endpoint_id, "lan")

    async with LanDiscovery(node.address, found, lost, announce=announce):
        yield
