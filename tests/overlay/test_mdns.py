"""Finding nodes on the LAN: two real instances over multicast on the loopback, and announcements that lie."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day

from nearcast.keys import new_identity
from nearcast.overlay.mdns import (
    ADDRESSES_MAX,
    SERVICE_TYPE,
    LanDiscovery,
    announceable,
    announced_peer,
    service_info,
)
from nearcast.transport.base import PeerAddress

LOOPBACK = ["127.0.0.1"]
SOON_S = 20.0
ID = bytes(range(32))
ID_TEXT = ID.hex().encode()


def loopback_multicasts() -> str | None:
    """None when multicast on the loopback arrives; otherwise why not."""
    group = socket.inet_aton("224.0.0.251")
    loopback = socket.inet_aton("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(2)
        try:
            receiver.bind(("", 0))
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + loopback)
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
            receiver.sendto(b"probe", ("224.0.0.251", receiver.getsockname()[1]))
            receiver.recvfrom(16)
        except OSError as error:
            return f"this machine's loopback does not multicast: {error}"
    return None


@pytest.fixture(scope="module", name="multicast")
def require_multicast() -> None:
    reason = loopback_multicasts()
    if reason is not None:
        pytest.skip(reason)


class Witness:
    """What one node hears."""

    def __init__(self, own: PeerAddress) -> None:
        self.peers: dict[bytes, PeerAddress] = {}
        self.changed = asyncio.Event()
        self.discovery = LanDiscovery(own, found=self.found, lost=self.lost, interfaces=LOOPBACK)

    def found(self, peer: PeerAddress) -> None:
        self.peers[peer.endpoint_id] = peer
        self.changed.set()

    def lost(self, endpoint_id: bytes) -> None:
        del self.peers[endpoint_id]
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.changed.clear()
            await self.changed.wait()


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SOON_S):
            await main

    asyncio.run(bounded())


@pytest.mark.usefixtures("multicast")
def test_two_nodes_find_each_other_and_notice_a_goodbye() -> None:
    async def main() -> None:
        left_own = PeerAddress(new_identity().endpoint_id, ("127.0.0.1:4001",))
        right_own = PeerAddress(new_identity().endpoint_id, ("127.0.0.1:4002",))
        left, right = Witness(left_own), Witness(right_own)
        async with asyncio.TaskGroup() as tasks:
            left_task = tasks.create_task(left.discovery.run())
            right_task = tasks.create_task(right.discovery.run())
            await left.until(lambda: right_own.endpoint_id in left.peers)
            await right.until(lambda: left_own.endpoint_id in right.peers)
            assert left.peers[right_own.endpoint_id] == right_own
            assert right.peers[left_own.endpoint_id] == left_own
            assert left_own.endpoint_id not in left.peers
            right_task.cancel()
            await left.until(lambda: right_own.endpoint_id not in left.peers)
            left_task.cancel()

    run(main())


@pytest.mark.usefixtures("multicast")
def test_a_nonsensical_announcement_is_passed_over() -> None:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    async def main() -> None:
        own = PeerAddress(new_identity().endpoint_id, ("127.0.0.1:4003",))
        witness = Witness(own)
        honest = PeerAddress(new_identity().endpoint_id, ("127.0.0.1:4004",))
        stranger = AsyncZeroconf(interfaces=LOOPBACK)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(witness.discovery.run())
            for number, text in enumerate([b"", b"zz" * 32, b"00" * 31, b"\xff" * 64, b"0" * 200]):
                lie = AsyncServiceInfo(
                    SERVICE_TYPE,
                    f"liar-{number}.{SERVICE_TYPE}",
                    port=1,
                    properties={b"id": text, b"more": b"x" * 200},
                    parsed_addresses=["127.0.0.1"],
                    server=f"liar-{number}.local.",
                )
                await (await stranger.async_register_service(lie, cooperating_responders=True))
            truth = service_info(honest.endpoint_id, 4004, ["127.0.0.1"])
            await (await stranger.async_register_service(truth, cooperating_responders=True))
            await witness.until(lambda: honest.endpoint_id in witness.peers)
            watching.cancel()
        await stranger.async_close()
        assert witness.peers == {honest.endpoint_id: honest}

    run(main())


def test_what_is_announced() -> None:
    lan = PeerAddress(ID, ("cdn.example:1", "192.0.2.2:4001", "127.0.0.1:4001", "[2001:db8::1]:4001", "192.0.2.9:7"))
    assert announceable(lan) == (4001, ["192.0.2.2", "2001:db8::1"])
    assert announceable(PeerAddress(ID, ("127.0.0.1:5", "[::1]:6"))) == (5, ["127.0.0.1"])
    assert announceable(PeerAddress(ID, ("cdn.example:1",))) == (0, [])


def test_what_is_believed() -> None:
    assert announced_peer({b"id": ID_TEXT}, 7, ["192.0.2.2", "2001:db8::1"]) == PeerAddress(
        ID, ("192.0.2.2:7", "[2001:db8::1]:7")
    )
    many = announced_peer({b"id": ID_TEXT}, 7, ["192.0.2.2"] * 100)
    assert many is not None
    assert len(many.addresses) == ADDRESSES_MAX
    for properties, port, addresses in (
        ({}, 7, ["192.0.2.2"]),
        ({b"id": None}, 7, ["192.0.2.2"]),
        ({b"id": b"  " + ID_TEXT[:60] + b"  "}, 7, ["192.0.2.2"]),  # spaces: fromhex alone would skip them
        ({b"id": ID_TEXT}, 0, ["192.0.2.2"]),
        ({b"id": ID_TEXT}, None, ["192.0.2.2"]),
        ({b"id": ID_TEXT}, 7, []),
        ({b"id": ID_TEXT}, 7, ["not an address"]),
    ):
        assert announced_peer(properties, port, addresses) is None


@by_day(100)
@given(
    st.dictionaries(st.sampled_from([b"id", b"x"]), st.none() | st.binary(max_size=100)),
    st.none() | st.integers(-1, 70_000),
    st.lists(st.text(max_size=20) | st.ip_addresses().map(str), max_size=20),
)
def test_no_announcement_breaks_the_parser(
    properties: dict[bytes, bytes | None], port: int | None, addresses: list[str]
) -> None:
    peer = announced_peer(properties, port, addresses)
    assert peer is None or (len(peer.endpoint_id) == 32 and 0 < len(peer.addresses) <= ADDRESSES_MAX)
