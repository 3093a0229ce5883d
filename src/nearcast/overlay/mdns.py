"""Finding nodes on the local network without any server: DNS-SD over multicast DNS (RFC 6762, RFC 6763).

A node announces the service `_nearcast._udp.local.`: its endpoint id in the TXT record, its UDP port in SRV, its IP
addresses in A and AAAA. It watches for the same from others and reports who comes and who goes. Nothing announced is
believed beyond "somebody may be there": the connection proves the key.

A node that listens on the loopback only is announced on the loopback only. All that is heard is bounded: ids, ports and
addresses are parsed strictly, at most PEERS_MAX nodes are followed, at most PENDING_MAX names wait to be looked up.
`zeroconf` is loaded when the search starts, since it costs a node that does not use it 10 MB.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from nearcast.errors import UnavailableError
from nearcast.overlay.peers import ENDPOINT_ID_BYTES
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

SERVICE_TYPE = "_nearcast._udp.local."
ID_KEY = b"id"  # TXT: the endpoint id in 64 hexadecimal digits
PEERS_MAX = 256  # nodes of one network that are followed; guess: a large office
PENDING_MAX = 256  # names heard and not yet looked up; more are dropped, and heard again when they are repeated
LOOKUPS_AT_ONCE = 4  # one that never answers takes LOOKUP_TIMEOUT_MS from one of them
LOOKUP_TIMEOUT_MS = 1500  # guess: usually everything came with the announcement and it takes no time at all
ADDRESSES_MAX = 8  # of one node
STOP_TIMEOUT_S = 2.0  # the goodbye is sent three times, 125 ms apart


class LanDiscovery:
    """One node's part in it: `run` until cancelled. `found` and `lost` are called in the event loop."""

    def __init__(
        self,
        own: PeerAddress,
        *,
        found: Callable[[PeerAddress], None],
        lost: Callable[[bytes], None],
        interfaces: Sequence[str] | None = None,
    ) -> None:
        self._own = own
        self._found = found
        self._lost = lost
        self._interfaces = interfaces
        self._pending: asyncio.Queue[str] = asyncio.Queue(PENDING_MAX)
        self._names: dict[str, bytes] = {}
        self.announced = asyncio.Event()

    async def run(self) -> None:
        """Announce ourselves and watch, until cancelled; then say goodbye.

        Raises UnavailableError when this machine has no network that multicasts.
        """
        from zeroconf import InterfaceChoice
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        port, addresses = announceable(self._own)
        local_only = all(ipaddress.ip_address(address).is_loopback for address in addresses)
        chosen = list(self._interfaces or (["127.0.0.1"] if local_only and addresses else []))
        try:
            responder = AsyncZeroconf(interfaces=chosen or InterfaceChoice.All)
        except OSError as error:
            raise UnavailableError(
                f"the local network cannot be searched: {error}", fix="set peers.lan = false"
            ) from error
        try:
            if addresses:
                # No probing for the name's uniqueness, which takes most of a second: the name is made of our key.
                info = service_info(self._own.endpoint_id, port, addresses)
                await (await responder.async_register_service(info, cooperating_responders=True))
            self.announced.set()
            browser = AsyncServiceBrowser(responder.zeroconf, SERVICE_TYPE, handlers=[self._heard])
            try:
                async with asyncio.TaskGroup() as lookups:
                    for _ in range(LOOKUPS_AT_ONCE):
                        lookups.create_task(self._look_up_names(responder))
            finally:
                await browser.async_cancel()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await responder.async_close()

    def _heard(self, zeroconf: "Zeroconf", service_type: str, name: str, state_change: "ServiceStateChange") -> None:
        """Called by zeroconf for each announcement, change and goodbye."""
        if state_change.name == "Removed":
            self._forget(name)
        elif name in self._names or len(self._names) < PEERS_MAX:
            with contextlib.suppress(asyncio.QueueFull):
                self._pending.put_nowait(name)

    async def _look_up_names(self, responder: "AsyncZeroconf") -> None:
        from zeroconf import Error
        from zeroconf.asyncio import AsyncServiceInfo

        while True:
            name = await self._pending.get()
            try:
                info = AsyncServiceInfo(SERVICE_TYPE, name)
                answered = await info.async_request(responder.zeroconf, LOOKUP_TIMEOUT_MS)
            except (Error, OSError):  # a name that cannot be asked for, or the network has gone
                continue
            peer = announced_peer(info.properties, info.port, info.parsed_addresses()) if answered else None
            room = name in self._names or len(self._names) < PEERS_MAX
            if peer is not None and peer.endpoint_id != self._own.endpoint_id and room:
                self._names[name] = peer.endpoint_id
                self._found(peer)

    def _forget(self, name: str) -> None:
        endpoint_id = self._names.pop(name, None)
        if endpoint_id is not None and endpoint_id not in self._names.values():
            self._lost(endpoint_id)


def announceable(own: PeerAddress) -> tuple[int, list[str]]:
    """The port and the IP addresses to announce: SRV has room for one port, so the first address decides it. Loopback
    addresses are left out unless there are no others. (0, []) when there is nothing to announce."""
    places: list[tuple[str, int]] = []
    for address in own.addresses:
        host, _, port = address.rpartition(":")
        with contextlib.suppress(ValueError):  # a host name: mDNS announces addresses
            places.append((str(ipaddress.ip_address(host.strip("[]"))), int(port)))
    outside = [place for place in places if not ipaddress.ip_address(place[0]).is_loopback]
    chosen = outside or places
    if not chosen:
        return 0, []
    port_announced = chosen[0][1]
    return port_announced, [host for host, port in chosen if port == port_announced][:ADDRESSES_MAX]


def service_info(endpoint_id: bytes, port: int, addresses: Sequence[str]) -> "AsyncServiceInfo":
    """What is announced. A DNS label has at most 63 bytes, so half of the id names the service; TXT has all of it."""
    from zeroconf.asyncio import AsyncServiceInfo

    label = endpoint_id.hex()[:32]
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{label}.{SERVICE_TYPE}",
        port=port,
        properties={ID_KEY: endpoint_id.hex().encode()},
        server=f"nearcast-{label}.local.",
        parsed_addresses=list(addresses),
    )


def announced_peer(
    properties: Mapping[bytes, bytes | None], port: int | None, addresses: Sequence[str]
) -> PeerAddress | None:
    """Whom an announcement names, or None when it makes no sense. Everything in it comes from strangers."""
    text = properties.get(ID_KEY) or b""
    if len(text) != 2 * ENDPOINT_ID_BYTES or not port or not 0 < port <= 0xFFFF:
        return None
    try:
        endpoint_id = bytes.fromhex(text.decode("ascii"))
        hosts = [ipaddress.ip_address(address) for address in addresses[:ADDRESSES_MAX]]
    except ValueError:
        return None
    places = tuple(f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}" for host in hosts)
    usable = len(endpoint_id) == ENDPOINT_ID_BYTES and bool(places)
    return PeerAddress(endpoint_id, places) if usable else None
