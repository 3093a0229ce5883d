"""A node that may listen at any port is found again at the one it had."""

import asyncio
import gc
import socket
from pathlib import Path

import pytest

from nearcast.config import Config, HttpConfig, PeersConfig, QuicConfig
from nearcast.node import run_node
from nearcast.node.port import FILE_NAME


def config(folder: Path, listen: str = "127.0.0.1:0") -> Config:
    return Config(
        folder,
        http=HttpConfig(listen="127.0.0.1:0"),
        quic=QuicConfig(listen=listen),
        peers=PeersConfig(lan=False),
    )


def ports(folder: Path, listen: str = "127.0.0.1:0") -> set[int]:
    """Those of a node that was up for a moment."""

    async def main() -> set[int]:
        async with run_node(config(folder, listen), http=False) as node:
            return {int(place.rpartition(":")[2]) for place in node.address.addresses}

    try:
        return asyncio.run(main())
    finally:
        gc.collect()  # within one process iroh's sockets live as long as what Python has of them


def test_a_node_comes_back_at_its_port(tmp_path: Path) -> None:
    first = ports(tmp_path)
    assert ports(tmp_path) & first


def test_a_port_that_somebody_else_has_is_given_up(tmp_path: Path) -> None:
    assert ports(tmp_path)
    (port,) = ports(tmp_path)  # in both address families, from the second start on
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        moved = ports(tmp_path)
        assert port not in moved
    assert moved & ports(tmp_path), "and the new one is kept"


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "1e3", "x" * 100_000, "\u0663\u0663\u0663"])
def test_a_damaged_file_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert ports(tmp_path) & ports(tmp_path)


def test_a_port_that_the_operator_names_is_not_overruled(tmp_path: Path) -> None:
    ports(tmp_path)
    (port,) = ports(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
    assert free in ports(tmp_path, f"127.0.0.1:{free}")
    assert (tmp_path / FILE_NAME).read_text().strip() == str(port)
