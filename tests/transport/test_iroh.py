"""What only the QUIC transport can get wrong: sockets, foreign errors, hostile packets, Rust's threads at the end."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any

import iroh
import pytest

from nearcast.errors import AddressInUseError, UnavailableError, UsageError
from nearcast.keys import new_identity
from nearcast.transport import iroh as transport
from nearcast.transport.base import PeerAddress
from nearcast.transport.iroh import IrohEndpoint

SOON_S = 15.0


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SOON_S):
            await main

    asyncio.run(bounded())


def udp_port(endpoint: IrohEndpoint) -> int:
    return int(next(place for place in endpoint.address().addresses if place.startswith("127.")).rpartition(":")[2])


def test_loopback_stays_on_loopback() -> None:
    async def main() -> None:
        endpoint = await IrohEndpoint.bind(new_identity(), advertise=("cdn.example:4433",))
        address = endpoint.address()
        assert address.addresses[0] == "cdn.example:4433"
        assert all(place.startswith(("127.0.0.1:", "[::1]:")) for place in address.addresses[1:])
        assert address.relay_url is None
        await endpoint.close()

    run(main())


def test_every_interface_includes_the_loopback() -> None:
    async def main() -> None:
        listener = await IrohEndpoint.bind(new_identity(), listen="0.0.0.0:0")
        assert any(place.startswith("127.0.0.1:") for place in listener.address().addresses)
        assert not any("0.0.0.0" in place for place in listener.address().addresses)
        dialler = await IrohEndpoint.bind(new_identity(), listen="localhost:0")
        local = PeerAddress(listener.endpoint_id, (f"localhost:{udp_port(listener)}",))
        near, far = await asyncio.gather(dialler.connect(local), listener.accept())
        assert (near.remote_id, far.remote_id) == (listener.endpoint_id, dialler.endpoint_id)
        await dialler.close()
        await listener.close()

    run(main())


def test_a_taken_port_and_a_foreign_address_are_told_apart() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            with pytest.raises(AddressInUseError):
                await IrohEndpoint.bind(new_identity(), listen=f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(UsageError, match=r"192\.0\.2\.77"):
            await IrohEndpoint.bind(new_identity(), listen="192.0.2.77:0")
        with pytest.raises(UsageError, match="no such address"):
            await IrohEndpoint.bind(new_identity(), listen="no.such.host.invalid:0")
        with pytest.raises(UsageError):
            await IrohEndpoint.bind(new_identity(), relay="https://[not a url")

    run(main())


def test_a_relay_that_is_away_does_not_keep_neighbours_apart() -> None:
    async def main() -> None:
        relay = "https://127.0.0.1:9"
        listener = await IrohEndpoint.bind(new_identity(), relay=relay)
        dialler = await IrohEndpoint.bind(new_identity(), relay=relay)
        near, far = await asyncio.gather(dialler.connect(listener.address()), listener.accept())
        assert far.remote_id == dialler.endpoint_id
        await near.close()
        await dialler.close()
        await listener.close()

    run(main())


def test_hostile_packets_and_silent_diallers_hold_up_nobody() -> None:
    """Garbage, a half-open handshake, a wrong protocol, and one who connects and says nothing; then a real peer."""

    async def main() -> None:
        listener = await IrohEndpoint.bind(new_identity())
        target = ("127.0.0.1", udp_port(listener))
        stranger = await iroh.Endpoint.bind(
            iroh.EndpointOptions(preset=iroh.preset_minimal(), alpns=[b"other/1"], relay_mode=iroh.RelayMode.disabled())
        )
        place = iroh.EndpointAddr(iroh.EndpointId.from_bytes(listener.endpoint_id), None, [f"127.0.0.1:{target[1]}"])
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(listener.accept())
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
                for size in (0, 1, 20, 1200, 65_000):
                    noise.sendto(b"\xc3" * size, target)
                    noise.sendto(bytes(size), target)
            with pytest.raises(iroh.IrohError):
                await stranger.connect(place, b"other/1")
            dialler = await IrohEndpoint.bind(new_identity())
            silent = await dialler.connect(listener.address())
            assert (await accepting).remote_id == dialler.endpoint_id
            another = await IrohEndpoint.bind(new_identity())
            near, far = await asyncio.gather(another.connect(listener.address()), listener.accept())
            assert far.remote_id == another.endpoint_id
            assert not silent.is_closed
            assert not near.is_closed
        await stranger.close()
        for endpoint in (dialler, another, listener):
            await endpoint.close()

    run(main())


def test_more_connections_than_anyone_accepts_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ACCEPT_BACKLOG_MAX", 2)

    async def main() -> None:
        listener = await IrohEndpoint.bind(new_identity())
        dialler = await IrohEndpoint.bind(new_identity())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listener.accept(), 0.01)  # the accept loop runs from here on
        opened = [await dialler.connect(listener.address()) for _ in range(4)]
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await opened.pop().accept_stream()
        assert not any(connection.is_closed for connection in opened)
        await dialler.close()
        await listener.close()

    run(main())


ABRUPT_END = """
import asyncio, sys
from nearcast.keys import new_identity
from nearcast.transport.iroh import IrohEndpoint

async def main(tidy):
    listener = await IrohEndpoint.bind(new_identity())
    dialler = await IrohEndpoint.bind(new_identity())
    near, far = await asyncio.gather(dialler.connect(listener.address()), listener.accept())
    async with asyncio.TaskGroup() as tasks:
        kept, waiting = [], []
        for _ in range(5):
            opened = await near.open_stream()
            await opened.send.write(b".")
            accepted = await far.accept_stream()
            kept += [opened, accepted]
            for wait in (accepted.send.write(bytes(8 << 20)), opened.send.write(bytes(8 << 20)), listener.accept()):
                waiting.append(tasks.create_task(wait))
            opened = await near.open_stream()
            await opened.send.write(b".")
            accepted = await far.accept_stream()
            kept += [opened, accepted]
            for wait in (accepted.receive.read_exactly(100), opened.receive.read(9)):
                waiting.append(tasks.create_task(wait))
        waiting += [tasks.create_task(far.accept_stream()) for _ in range(3)]
        await asyncio.sleep(0.05)
        if tidy:
            for task in waiting:
                task.cancel()
    if tidy:
        await dialler.close()
        await listener.close()

async def cut(tidy):
    async with asyncio.timeout(None if tidy else 0.5):
        await main(tidy)

try:
    asyncio.run(cut(sys.argv[1] == "tidy"), debug=True)
except TimeoutError:
    pass
print("ended")
"""


@pytest.mark.parametrize("how", ["tidy", "cut"])
def test_the_end_of_a_program_is_quiet(how: str) -> None:
    """Neither cancelled reads nor a loop that closes under pending ones leave a word on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", ABRUPT_END, how], capture_output=True, text=True, timeout=20
    )
    noise = [line for line in done.stderr.splitlines() if "took" not in line]  # debug mode reports slow steps
    assert (done.returncode, done.stdout, noise) == (0, "ended\n", [])
