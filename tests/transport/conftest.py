"""The implementations that the suite runs against."""

from collections.abc import Awaitable, Callable

import pytest

from nearcast.keys import new_identity
from nearcast.transport.base import Endpoint
from nearcast.transport.iroh import IrohEndpoint
from nearcast.transport.memory import MemoryNetwork

MakeEndpoint = Callable[[], Awaitable[Endpoint]]


async def _iroh_endpoint() -> Endpoint:
    return await IrohEndpoint.bind(new_identity())


def _memory_endpoints(latency_s: float) -> MakeEndpoint:
    network = MemoryNetwork(latency_s)

    async def make() -> Endpoint:
        return network.endpoint(new_identity())

    return make


@pytest.fixture(params=["iroh", "memory", "memory with latency"])
def make_endpoint(request: pytest.FixtureRequest) -> MakeEndpoint:
    """Makes endpoints that can reach each other."""
    if request.param == "iroh":
        return _iroh_endpoint
    return _memory_endpoints(0.002 if "latency" in request.param else 0.0)
