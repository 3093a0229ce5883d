"""Many who want to shake hands at once: invented addresses, silence, and the honest among them."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from typing import Any, Self

import pytest

from nearcast.errors import UnavailableError
from nearcast.keys import new_identity
from nearcast.transport import handshakes as places
from nearcast.transport.base import PeerAddress
from nearcast.transport.handshakes import ASK_BACK_FROM, HANDSHAKES_MAX, Handshakes, network_of
from nearcast.transport.iroh import IrohEndpoint

SOON_S = 20.0
FLOOD = HANDSHAKES_MAX + 8  # first packets of dials that nobody goes on with


def full_of(networks: list[str]) -> Handshakes[int]:
    handshakes: Handshakes[int] = Handshakes()
    for number in range(HANDSHAKES_MAX):
        handshakes.begin(number, networks[number % len(networks)])
    return handshakes


def test_a_newcomer_proves_its_address_when_many_are_under_way() -> None:
    handshakes: Handshakes[int] = Handshakes()
    for number in range(ASK_BACK_FROM):
        assert not handshakes.asks_back
        handshakes.begin(number, "192.0.2.1")
    assert handshakes.asks_back
    handshakes.end(0)
    handshakes.end(0)
    assert (len(handshakes), handshakes.asks_back) == (ASK_BACK_FROM - 1, False)


def test_nobody_goes_while_there_is_room() -> None:
    handshakes = full_of(["192.0.2.1"])
    handshakes.end(7)
    assert handshakes.has_place("192.0.2.1")
    assert handshakes.one_to_end("192.0.2.1") is None


def test_the_network_with_the_most_gives_up_its_oldest() -> None:
    handshakes = full_of(["192.0.2.1", "192.0.2.2", "192.0.2.2"])
    assert handshakes.has_place("192.0.2.3")
    assert handshakes.one_to_end("192.0.2.3") == 1
    assert not handshakes.has_place("192.0.2.2")
    assert handshakes.one_to_end("192.0.2.2") is None


def test_networks_with_equal_shares_do_not_push_each_other_out() -> None:
    networks = [f"192.0.2.{number}" for number in range(HANDSHAKES_MAX // 2)]
    handshakes = full_of(networks)
    assert not handshakes.has_place(networks[0])
    assert handshakes.has_place("198.51.100.1")  # one against two
    assert not full_of([*networks, *(f"198.51.100.{number}" for number in range(32))]).has_place("203.0.113.1")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1:4433", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:4433", "192.0.2.1"),
        ("[2001:db8:1:2::3]:4433", "2001:db8:1::/48"),
        ("[fe80::1%3]:4433", "fe80::/48"),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network


class Flood:
    """Somebody who only ever sends first packets, those of real dials: no answer is read. A context manager."""

    def __init__(self, target: str, source: str = "127.0.0.1") -> None:
        host, port = target.split(":")
        self._target = (host, int(port))
        self._hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # where the dials go
        self._hole.bind(("127.0.0.1", 0))
        self._hole.setblocking(False)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._out.bind((source, 0))

    async def __aenter__(self) -> Self:
        self._dialler = await IrohEndpoint.bind(new_identity())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._dialler.close()
        self._hole.close()
        self._out.close()

    async def send(self, endpoint_id: bytes, count: int) -> None:
        hole = PeerAddress(endpoint_id, (f"127.0.0.1:{self._hole.getsockname()[1]}",))
        async with asyncio.TaskGroup() as tasks:
            dials = [tasks.create_task(self._dial(hole)) for _ in range(count)]
            for _ in range(count):
                self._out.sendto(await asyncio.get_running_loop().sock_recv(self._hole, 2048), self._target)
            for dial in dials:
                dial.cancel()

    async def _dial(self, hole: PeerAddress) -> None:
        with contextlib.suppress(UnavailableError):
            await self._dialler.connect(hole, SOON_S)


async def dial_from_anew(listener: PeerAddress) -> None:
    dialler = await IrohEndpoint.bind(new_identity())
    connection = await dialler.connect(listener)
    assert connection.remote_id == listener.endpoint_id
    await dialler.close()


def test_first_packets_with_invented_addresses_close_the_door_for_nobody() -> None:
    async def main() -> None:
        listener = await IrohEndpoint.bind(new_identity())
        accepting = asyncio.create_task(accept_all(listener))
        here = next(place for place in listener.address().addresses if place.startswith("127."))
        async with Flood(here) as flood:
            await flood.send(listener.endpoint_id, FLOOD)
            for _ in range(3):
                await dial_from_anew(PeerAddress(listener.endpoint_id, (here,)))
                assert len(listener._handshakes) >= ASK_BACK_FROM - 1  # the silent ones still have theirs
            assert len(listener._handshakes) <= ASK_BACK_FROM + 1
        await listener.close()
        await asyncio.wait({accepting})

    run(main())


def test_silence_from_one_address_makes_way_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ASK_BACK_FROM", FLOOD)  # as if the silent ones had proven where they are

    async def main() -> None:
        listener = await IrohEndpoint.bind(new_identity())
        accepting = asyncio.create_task(accept_all(listener))
        here = next(place for place in listener.address().addresses if place.startswith("127."))
        async with Flood(here, "127.0.0.2") as flood:
            await flood.send(listener.endpoint_id, FLOOD)
            for _ in range(3):
                await dial_from_anew(PeerAddress(listener.endpoint_id, (here,)))
            assert len(listener._handshakes) >= HANDSHAKES_MAX - 3
        await listener.close()
        await asyncio.wait({accepting})

    run(main())


def test_many_who_dial_from_one_address_at_once_all_get_in() -> None:
    async def main() -> None:
        listener = await IrohEndpoint.bind(new_identity())
        accepting = asyncio.create_task(accept_all(listener))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(24):
                tasks.create_task(dial_from_anew(listener.address()))
        await listener.close()
        await asyncio.wait({accepting})

    run(main())


async def accept_all(listener: IrohEndpoint) -> None:
    with contextlib.suppress(UnavailableError):
        while True:
            await listener.accept()


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SOON_S):
            await main

    asyncio.run(bounded())
