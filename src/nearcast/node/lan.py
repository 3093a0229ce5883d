"""Finding nodes on the local network, and being found."""

from typing import TYPE_CHECKING

from nearcast.errors import UnavailableError
from nearcast.overlay.mdns import LanDiscovery
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from nearcast.node.running import Node


async def watch_lan(node: "Node", *, announce: bool) -> None:
    """Until cancelled, nodes of the LAN come and go in the peer book. `announce`: they see us, too."""

    def found(address: PeerAddress) -> None:
        node.peers.add(address, "lan", node.clock.monotonic_s())
        node.finder.lan_found()

    def lost(endpoint_id: bytes) -> None:
        node.peers.gone(endpoint_id, "lan")

    own = node.address if announce else PeerAddress(node.identity.endpoint_id)
    try:
        await LanDiscovery(own, found=found, lost=lost).run()
    except UnavailableError as error:  # a machine without a network is no reason not to run
        node.telemetry.event("lan-unavailable", reason=error.message)
        node.finder.lan_found()
