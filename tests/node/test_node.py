"""Whole nodes in one loop: content goes from one to the other by name, over real sockets."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from nearcast.config import Config, HttpConfig, PeersConfig, QuicConfig
from nearcast.content.cid import raw_cid
from nearcast.content.nodes import FileNode
from nearcast.errors import AddressInUseError, ChangedError, NotFoundError, StoreLockedError, UnavailableError
from nearcast.naming.link import Link
from nearcast.node import Node, run_node
from nearcast.overlay.peers import format_peer

FILM_BYTES = 5 * (1 << 20) + 17


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def config(data_dir: Path, *known: str) -> Config:
    return Config(
        data_dir,
        http=HttpConfig(listen="127.0.0.1:0"),
        quic=QuicConfig(listen="127.0.0.1:0"),
        peers=PeersConfig(known=known, lan=False),
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "films").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>films</h1>")
    (folder / "films" / "one.webm").write_bytes(Random(1).randbytes(FILM_BYTES))
    return folder


@asynccontextmanager
async def publisher_and_reader(tmp_path: Path, site: Path) -> AsyncIterator[tuple[Node, Node, Link]]:
    async with run_node(config(tmp_path / "publisher")) as publisher:
        imported = await publisher.add(site, in_place=True, hidden=False, wrap=False)
        async with run_node(config(tmp_path / "reader")) as reader:
            yield publisher, reader, publisher.link(imported.root)


async def drained(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def test_a_whole_folder_goes_from_node_to_node(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with publisher_and_reader(tmp_path, site) as (publisher, reader, link):
            report = await reader.client.fetch(link)
            assert report.target == link.root
            assert list(report.bytes_by_source) == [publisher.identity.endpoint_id.hex()[:8]]
            assert report.bytes_verified > FILM_BYTES
            film = await reader.client.resolve(link.root, "films/one.webm", fetch=False)
            data = await drained(reader.client.read(film.cid, 0, FILM_BYTES, fetch=False))
            assert data == (site / "films" / "one.webm").read_bytes()

    run(main())


def test_a_range_is_read_while_the_rest_is_elsewhere(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with publisher_and_reader(tmp_path, site) as (_, reader, link):
            reader.client.remember(link)
            film = await reader.client.resolve(link.root, "films/one.webm", fetch=True)
            assert isinstance(film.node, FileNode)
            start, end = (3 << 20) - 5, (3 << 20) + 5
            data = await drained(reader.client.read(film.cid, start, end, fetch=True))
            assert data == (site / "films" / "one.webm").read_bytes()[start:end]
            assert reader.client.extent(film.cid) is None, "only two leaves were wanted"
            whole = await drained(reader.client.read(film.cid, 0, FILM_BYTES, fetch=True))
            assert whole == (site / "films" / "one.webm").read_bytes()
            assert reader.client.extent(film.cid) is not None

    run(main())


def test_many_readers_of_one_missing_thing_share_one_fetch(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with publisher_and_reader(tmp_path, site) as (_, reader, link):
            reader.client.remember(link)
            found = await asyncio.gather(
                *(reader.client.resolve(link.root, "index.html", fetch=True) for _ in range(20))
            )
            assert len({resolved.cid for resolved in found}) == 1
            assert reader.telemetry.counters["fetches"] == 1

    run(main())


def test_a_browser_reads_through_a_node_that_has_nothing(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with publisher_and_reader(tmp_path, site) as (_, reader, link):
            reader.client.remember(link)
            url = f"{reader.http_url}/ipfs/{link.root}/films/one.webm"

            def get() -> bytes:
                with urllib.request.urlopen(url) as response:
                    return bytes(response.read())

            assert await asyncio.to_thread(get) == (site / "films" / "one.webm").read_bytes()

    run(main())


def test_what_nobody_has_is_missing_at_once_and_the_answer_names_who_was_asked(tmp_path: Path) -> None:
    async def main() -> None:
        nowhere = raw_cid(bytes(32))
        async with run_node(config(tmp_path / "other")) as other:
            name = other.identity.endpoint_id.hex()[:8]
            async with run_node(config(tmp_path / "reader", format_peer(other.address))) as reader:
                with pytest.raises(NotFoundError, match=f"{name}: does not have it"):
                    await reader.client.resolve(nowhere, "", fetch=True)
                with pytest.raises(NotFoundError, match="is not on this node"):
                    await reader.client.resolve(nowhere, "", fetch=False)
        async with run_node(config(tmp_path / "alone")) as alone:
            with pytest.raises(NotFoundError, match="no other node is known"):
                await alone.client.resolve(nowhere, "", fetch=True)

    run(main())


def test_a_reader_that_goes_away_ends_its_fetch(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with publisher_and_reader(tmp_path, site) as (_, reader, link):
            reader.client.remember(link)
            film = await reader.client.resolve(link.root, "films/one.webm", fetch=True)
            pieces = reader.client.read(film.cid, 0, FILM_BYTES, fetch=True)
            first = await anext(pieces)
            assert first == (site / "films" / "one.webm").read_bytes()[: len(first)]
            await pieces.aclose()  # type: ignore[attr-defined] # an async generator has it
        # Leaving the nodes would hang here if the fetch were still running.

    run(main())


def test_a_file_that_changed_after_it_was_shared_is_not_served(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with publisher_and_reader(tmp_path, site) as (publisher, reader, link):
            film = await publisher.client.resolve(link.root, "films/one.webm", fetch=False)
            with (site / "films" / "one.webm").open("r+b") as file:
                file.write(b"another beginning")
            with pytest.raises(ChangedError, match=r"one\.webm"):
                publisher.client.extent(film.cid)
            with pytest.raises((NotFoundError, UnavailableError)):
                await reader.client.fetch(link)

    run(main())


def test_a_command_finds_a_node_of_the_lan_by_a_bare_cid(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        alone = config(tmp_path / "publisher")  # it listens on the loopback, so that is all the LAN there is
        async with run_node(replace(alone, peers=PeersConfig(lan=True))) as publisher:
            imported = await publisher.add(site, in_place=True, hidden=False, wrap=False)
            seeking = replace(config(tmp_path / "reader"), peers=PeersConfig(lan=True))
            async with run_node(seeking, http=False, announce=False) as reader:
                report = await reader.client.fetch(Link(imported.root))
                assert list(report.bytes_by_source) == [publisher.identity.endpoint_id.hex()[:8]]

    run(main())


def test_a_node_tells_how_it_is_doing(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with publisher_and_reader(tmp_path, site) as (publisher, _, _):
            status = json.loads(json.dumps(publisher.status()))
            assert status["endpoint_id"] == publisher.identity.endpoint_id.hex()
            assert status["pins"] == 1
            assert status["http"] == publisher.http_url

    run(main())


def test_a_second_node_on_the_same_folder_is_told_who_has_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "one")):
            with pytest.raises(StoreLockedError, match=r"process \d+"):
                async with run_node(config(tmp_path / "one")):
                    pass

    run(main())


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "one")) as first:
            assert first.http_url is not None
            port = first.http_url.rpartition(":")[2]
            second = config(tmp_path / "two")
            taken = Config(second.data_dir, http=HttpConfig(f"127.0.0.1:{port}"), quic=second.quic, peers=second.peers)
            with pytest.raises(AddressInUseError, match=port):
                async with run_node(taken):
                    pass
            moved = Config(second.data_dir, http=HttpConfig(f"127.0.0.1:{port}+"), quic=second.quic, peers=second.peers)
            async with run_node(moved) as node:
                assert node.http_url is not None
                assert node.http_url != first.http_url

    run(main())


def test_the_control_door_is_shut_without_the_token(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "one")) as node:
            request = urllib.request.Request(f"{node.http_url}/api/v0/status", data=b"{}", method="POST")
            with pytest.raises(urllib.error.HTTPError, match="403"):
                await asyncio.to_thread(urllib.request.urlopen, request)
            running = json.loads((tmp_path / "one" / "running.json").read_text())
            assert (tmp_path / "one" / "running.json").stat().st_mode & 0o777 == 0o600
            request.add_header("authorization", f"Bearer {running['token']}")
            with await asyncio.to_thread(urllib.request.urlopen, request) as answer:
                assert json.load(answer)["pid"] == running["pid"]
        assert not (tmp_path / "one" / "running.json").exists()

    run(main())
