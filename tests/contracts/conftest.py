"""One world for all tests of contracts: built once, and as new for each."""

from collections.abc import Iterator

import pytest
from tests.contracts.world import World, shared


@pytest.fixture
def world() -> Iterator[World]:
    """A world as it was in the beginning."""
    with shared().fork() as fork:
        yield fork
