"""One world for all tests of contracts: built once, and as new for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.effort import NIGHTLY_TIMEOUT_S
from tests.contracts.world import World, shared
from tests.depth import is_nightly


@pytest.fixture
def world() -> Iterator[World]:
    """A world as it was in the beginning."""
    with shared().fork() as fork:
        yield fork


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has two minutes by day has an hour at night."""
    if is_nightly():
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(NIGHTLY_TIMEOUT_S))
