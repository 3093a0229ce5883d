"""Fixtures of the store's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.content.store.suite import Shelf

from nearcast.content.store import Store


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def store(shelf: Shelf) -> Iterator[Store]:
    with shelf.open() as opened:
        yield opened
