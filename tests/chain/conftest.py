"""Fixtures of the chain's tests: a development chain behind RPC, new for each test."""

import time
from collections.abc import Iterator

import pytest
from tests.chain.devchains import Rpc, engine, running

from nearcast.chain.devchain.node import DevChain


@pytest.fixture
def devchain() -> Iterator[DevChain]:
    """A chain with all contracts, in memory, on the machine's clock; a block for each transaction."""
    chain = DevChain(engine(), time.time, None, automine=True)
    yield chain
    chain.close()


@pytest.fixture
def rpc(devchain: DevChain) -> Iterator[Rpc]:
    """A client of `devchain` on a real port; `rpc.url` is for other clients."""
    with running(devchain) as client:
        yield client
