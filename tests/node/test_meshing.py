"""Nodes in an overlay, over real sockets: content is found with no address in the link."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from nearcast.config import Config, HttpConfig, OverlayConfig, PeersConfig, QuicConfig
from nearcast.content.cid import raw_cid
from nearcast.errors import NotFoundError
from nearcast.naming.link import Link
from nearcast.node import Node, run_node
from nearcast.overlay.peers import format_peer
from nearcast.overlay.remembered import FILE_NAME, read_contacts

MISSING = raw_cid(bytes(32))


def config(data_dir: Path, *known: str, enabled: bool = True) -> Config:
    return Config(
        data_dir,
        http=HttpConfig(listen="127.0.0.1:0"),
        quic=QuicConfig(listen="127.0.0.1:0"),
        peers=PeersConfig(known=known, lan=False),
        overlay=OverlayConfig(enabled=enabled, region="de"),
    )


@asynccontextmanager
async def nodes(folder: Path, count: int) -> AsyncIterator[list[Node]]:
    """The first knows nobody, each other one knows the first."""
    async with AsyncExitStack() as stack:
        started: list[Node] = []
        for number in range(count):
            known = [format_peer(started[0].address)] if started else []
            started.append(await stack.enter_async_context(run_node(config(folder / f"node-{number}", *known))))
        yield started


async def until(true: Callable[[], bool], timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for happens in other nodes
            await asyncio.sleep(0.02)


def provided(node: Node) -> int:
    """How many roots it has told others of."""
    return node.telemetry.counters["overlay_records_published"]


def contacts(node: Node) -> int:
    assert node.meshing is not None
    return node.meshing.service.mesh.contacts_count if node.meshing.service is not None else 0


def a_file(folder: Path, seed: int = 1) -> Path:
    path = folder / f"{seed}.bin"
    path.write_bytes(Random(seed).randbytes(300_000))
    return path


async def share(node: Node, path: Path) -> Link:
    imported = await node.add(path, in_place=True, hidden=False, wrap=False)
    return Link(imported.root, "", "")


def test_a_command_with_one_known_peer_gets_what_a_third_node_has(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(tmp_path, 4) as (first, *_, provider):
            await until(lambda: contacts(provider) == 3)
            link = await share(provider, a_file(tmp_path))
            await until(lambda: provided(provider) > 0)
            command = config(tmp_path / "reader", format_peer(first.address))
            async with run_node(command, http=False, announce=False) as reader:
                report = await reader.client.fetch(link)
                assert list(report.bytes_by_source) == [provider.identity.endpoint_id.hex()[:8]]

    asyncio.run(main())


def test_a_killed_provider_is_not_used(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(tmp_path, 3) as (first, other, provider):
            path = a_file(tmp_path)
            async with run_node(config(tmp_path / "doomed", format_peer(first.address))) as doomed:
                await until(lambda: contacts(doomed) == 3)
                link = await share(doomed, path)
                await share(provider, path)
                await until(lambda: provided(doomed) > 0 and provided(provider) > 0)
            report = await other.client.fetch(link)
            assert list(report.bytes_by_source) == [provider.identity.endpoint_id.hex()[:8]]

    asyncio.run(main())


def test_a_newcomer_with_one_known_peer_sees_everybody(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(tmp_path, 6) as running:
            async with run_node(config(tmp_path / "newcomer", format_peer(running[0].address))) as newcomer:
                await until(lambda: contacts(newcomer) == 6)
                assert newcomer.meshing is not None

                def announced() -> set[str]:
                    assert newcomer.meshing is not None
                    view = newcomer.meshing.snapshot() or {}
                    return {each["endpoint_id"] for each in view["nodes"] if each["region"] == "de"}

                await until(lambda: announced() >= {each.identity.endpoint_id.hex() for each in running})
            kept = {each.endpoint_id for each in read_contacts(tmp_path / "newcomer" / FILE_NAME)}
            assert kept <= {each.identity.endpoint_id for each in running}
            assert kept
            async with run_node(config(tmp_path / "newcomer")) as again:  # nobody is configured any more
                await until(lambda: contacts(again) >= 1)

    asyncio.run(main())


def test_what_nobody_has_is_missing_within_the_bound_and_the_answer_says_that_the_overlay_was_asked(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with nodes(tmp_path, 3) as (_, second, _):
            await until(lambda: contacts(second) == 2)
            start_s = asyncio.get_running_loop().time()
            with pytest.raises(NotFoundError, match="the overlay was asked"):
                await second.client.fetch(Link(MISSING, "", ""))
            assert asyncio.get_running_loop().time() - start_s < 3.2

    asyncio.run(main())


def test_who_is_alone_knows_at_once_that_nobody_has_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "alone")) as alone:
            start_s = asyncio.get_running_loop().time()
            with pytest.raises(NotFoundError, match="no other node is known"):
                await alone.client.fetch(Link(MISSING, "", ""))
            assert asyncio.get_running_loop().time() - start_s < 1.0

    asyncio.run(main())


def test_a_node_without_the_overlay_speaks_none_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with run_node(config(tmp_path / "plain", enabled=False)) as plain:
            assert plain.meshing is None
            async with run_node(config(tmp_path / "other", format_peer(plain.address))) as other:
                await until(lambda: other.telemetry.counters["overlay_unreachable"] > 0)
                assert other.telemetry.counters["overlay_faults"] == 0

    asyncio.run(main())
