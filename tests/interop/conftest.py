"""What every interop test needs: somebody with a node of their own, and at the end which clients took part."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.nearcasts import Nearcast
from tests.interop.programs import versions


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Nearcast]:
    """Makes somebody with an empty data folder."""

    def make(name: str) -> Nearcast:
        return Nearcast(tmp_path_factory.mktemp(name) / "data")

    return make


@pytest.fixture(scope="module")
def publisher(people: Callable[[str], Nearcast]) -> Nearcast:
    return people("publisher")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For samples that several tests of a file share."""
    return tmp_path_factory.mktemp("samples")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which versions of whose programs the results are about."""
    if versions:
        terminalreporter.section("clients of others that took part")
        for name, version in sorted(versions.items()):
            terminalreporter.write_line(f"{name:<24} {version}")
