"""A peer that was killed and is back elsewhere is found again long before QUIC knows that its connection is dead."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nearcast.errors import UnavailableError
from nearcast.keys import Identity, new_identity
from nearcast.telemetry import Telemetry
from nearcast.transport import iroh as transport
from nearcast.transport.base import PeerAddress
from nearcast.transport.iroh import IrohEndpoint
from nearcast.transport.pool import AGAIN_S, SILENCE_S, ConnectionPool

LISTENER = """
import asyncio, json, sys
from nearcast.keys import identity_from_secret
from nearcast.transport.iroh import IrohEndpoint

async def listen():
    endpoint = await IrohEndpoint.bind(identity_from_secret(bytes.fromhex(sys.argv[1])), listen="127.0.0.1:0")
    print(json.dumps(endpoint.address().addresses), flush=True)
    held = []
    while True:
        held.append(await endpoint.accept())

asyncio.run(listen())
"""


@contextmanager
def listener(identity: Identity) -> Iterator[tuple[PeerAddress, subprocess.Popen[str]]]:
    command = [sys.executable, "-c", LISTENER, identity.secret.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield PeerAddress(identity.endpoint_id, tuple(json.loads(process.stdout.readline()))), process
        finally:
            process.kill()


def test_a_peer_that_was_killed_is_reached_at_its_new_port() -> None:
    identity = new_identity()

    async def main() -> float:
        endpoint = await IrohEndpoint.bind(new_identity())
        pool = ConnectionPool(endpoint, Telemetry())
        loop = asyncio.get_running_loop()
        with listener(identity) as (address, process):
            first = await pool.get(address)
            process.kill()
            process.wait()
            with listener(identity) as (moved, _):
                assert moved.addresses != address.addresses
                started_s = loop.time()
                pool.unanswered(first, SILENCE_S)
                second = await pool.get(moved)
                took_s = loop.time() - started_s
                assert first.is_closed
                assert not second.is_closed
                await pool.close()
        await endpoint.close()
        return took_s

    assert asyncio.run(main()) < AGAIN_S + 5.0  # not the half minute after which QUIC gives a connection up


def test_both_address_families_have_one_port_so_that_it_is_the_same_after_a_restart() -> None:
    async def main() -> list[str]:
        endpoint = await IrohEndpoint.bind(new_identity(), listen=f"127.0.0.1:{port}")
        try:
            return list(endpoint.address().addresses)
        finally:
            await endpoint.close()

    if not transport._is_free("::1", 0):
        pytest.skip("this machine has no IPv6")
    port = next(port for port in range(20_000, 60_000) if transport._is_free("127.0.0.1", port))
    assert {place.rpartition(":")[2] for place in asyncio.run(main())} == {str(port)}


def test_a_peer_that_is_gone_for_good_is_out_of_reach_in_the_usual_time() -> None:
    identity = new_identity()

    async def main() -> None:
        endpoint = await IrohEndpoint.bind(new_identity())
        pool = ConnectionPool(endpoint, Telemetry())
        with listener(identity) as (address, process):
            first = await pool.get(address)
            process.kill()
            process.wait()
            pool.unanswered(first, SILENCE_S)
            with pytest.raises(UnavailableError, match="no answer"):
                await pool.get(address, 0.5)
            assert first.is_closed
        await pool.close()
        await endpoint.close()

    asyncio.run(main())
