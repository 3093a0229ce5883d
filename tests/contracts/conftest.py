"""One world for all tests of contracts: built once, and as new for each."""

from collections.abc import Iterator

import pytest
from tests.contracts.world import World


@pytest.fixture(scope="session")
def shared_world() -> World:
    """Built once. Not for tests: they would leave traces in it."""
    return World()


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """A world as it was in the beginning."""
    with shared_world.fork():
        yield shared_world
