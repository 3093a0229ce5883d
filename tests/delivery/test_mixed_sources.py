"""Web servers and peers in one download, and the whole of it over real QUIC."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.delivery.test_http_source import server
from tests.delivery.world import OFFER, STALL_S, World, file_dag, keep_file, keep_leaf, keep_tree, noise, run, world

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import parse_cid
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.reader import resolve
from nearcast.content.store import Store
from nearcast.delivery.events import LeafVerified, Wanted
from nearcast.delivery.http_source import HttpSource
from nearcast.delivery.source import Source
from nearcast.errors import NotFoundError, UnavailableError
from nearcast.keys import new_identity
from nearcast.transport.base import Endpoint, Stream
from nearcast.transport.iroh import IrohEndpoint
from nearcast.wire import block_header

CONTENT = noise(8 * LEAF_BYTES + 4321)


def gateway_over(store: Store) -> Any:
    async def answer(request: web.Request) -> web.Response:
        try:
            return web.Response(body=store.get_block(parse_cid(request.path.removeprefix("/ipfs/"))))
        except MissingBlockError:
            return web.Response(status=404)

    return answer


def file_of(content: bytes, folder: Path) -> Any:
    path = folder / "mirror"
    path.write_bytes(content)

    async def answer(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    return answer


def test_a_gateway_alone_is_enough(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            store, reader = place.store("origin"), place.reader()
            root = keep_tree(store, {"film": CONTENT, "d": {"note": b"note"}})
            async with server(gateway_over(store)) as url:
                source = HttpSource(f"{url}/ipfs/{root}", stall_timeout_s=STALL_S)
                report = await reader.fetcher.fetch(Wanted(root), [source], reader.events.append)
            film = resolve(reader.store.get_block, root, "film").cid
            assert reader.store.read_file(film, 0, len(CONTENT)) == CONTENT
            assert list(report.bytes_by_source) == [source.name]

    run(main())


def test_a_mirror_helps_a_peer(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("peer"), place.reader()
            dag = keep_file(peer.store, CONTENT)
            async with server(file_of(CONTENT, tmp_path)) as url:
                mirror = HttpSource(f"{url}/film.mp4")
                report = await reader.fetcher.fetch(
                    Wanted(dag.root), [mirror, reader.source(peer)], reader.events.append
                )
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert set(report.bytes_by_source) == {mirror.name, peer.name}
            assert sorted(event.index for event in reader.told(LeafVerified)) == list(range(9))

    run(main())


def test_a_mirror_carries_on_where_the_peer_with_the_nodes_died(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            dag, reader = file_dag(CONTENT), place.reader()

            async def nodes_and_then_nothing(stream: Stream, request: Any) -> None:
                if request["want"] != "nodes":
                    await stream.send.reset(1)
                    return
                await stream.send.write(OFFER)
                for _, data in dag.nodes:
                    await stream.send.write(block_header(len(data)) + data)
                await stream.send.reset(1)

            dying = reader.source(place.hostile(nodes_and_then_nothing))
            async with server(file_of(CONTENT, tmp_path)) as url:
                mirror = HttpSource(url)
                first: list[Source] = [dying, mirror]
                try:  # whether the reset overtakes the nodes is the network's choice
                    await reader.fetcher.fetch(Wanted(dag.root, nodes_only=True), first, reader.events.append)
                except UnavailableError:
                    keep_nodes = place.peer("other")
                    keep_file(keep_nodes.store, CONTENT)
                    first = [reader.source(keep_nodes), mirror]
                    await reader.fetcher.fetch(Wanted(dag.root, nodes_only=True), first, reader.events.append)
                report = await reader.fetcher.fetch(Wanted(dag.root), [mirror], reader.events.append)
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert report.bytes_by_source == {mirror.name: len(CONTENT)}

    run(main())


def test_a_mirror_with_other_bytes_is_a_liar_and_the_peer_finishes(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("peer"), place.reader()
            dag = keep_file(peer.store, CONTENT)
            async with server(file_of(noise(len(CONTENT), 5), tmp_path)) as url:
                mirror = HttpSource(url)
                sources: list[Source] = [mirror, reader.source(peer)]
                report = await reader.fetcher.fetch(Wanted(dag.root), sources, reader.events.append)
            assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
            assert report.liars == (mirror.name,)
            assert list(report.bytes_by_source) == [peer.name]

    run(main())


def test_a_mirror_alone_cannot_give_a_dag_but_can_give_a_lone_leaf(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            reader = place.reader()
            async with server(file_of(CONTENT, tmp_path)) as url:
                with pytest.raises(UnavailableError):
                    await reader.fetcher.fetch(Wanted(file_dag(CONTENT).root), [HttpSource(url)], reader.events.append)
            small = keep_leaf(place.store("elsewhere"), b"small")
            async with server(file_of(b"small", tmp_path)) as url:
                await reader.fetcher.fetch(Wanted(small), [HttpSource(url)], reader.events.append)
            assert reader.store.get_block(small) == b"small"

    run(main())


def test_a_mirror_is_not_asked_for_files_of_a_directory(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            peer, reader = place.peer("peer"), place.reader()
            root = keep_tree(peer.store, {"film": CONTENT})
            asked: list[str] = []

            async def counting(request: web.Request) -> web.Response:
                asked.append(request.path)
                return web.Response(body=b"whatever")

            async with server(counting) as url:
                sources: list[Source] = [HttpSource(url), reader.source(peer)]
                report = await reader.fetcher.fetch(Wanted(root), sources, reader.events.append)
            assert asked == []
            assert report.liars == ()

    run(main())


@asynccontextmanager
async def quic(count: int) -> AsyncIterator[list[Endpoint]]:
    endpoints = [await IrohEndpoint.bind(new_identity(), listen="127.0.0.1:0") for _ in range(count)]
    try:
        yield list(endpoints)
    finally:
        for endpoint in endpoints:
            await endpoint.close()


def test_over_quic_two_peers_give_a_tree_and_one_is_killed(tmp_path: Path) -> None:
    content = noise(24 * LEAF_BYTES)

    async def main(place: World, endpoints: list[Endpoint]) -> None:
        dying = place.peer("dying", endpoint=endpoints[0])
        living = place.peer("living", endpoint=endpoints[1])
        tree = {"film": content, "page": b"<html>", "more": {"x": b"x" * 70_000}}
        root = keep_tree(dying.store, tree)
        assert keep_tree(living.store, tree) == root
        reader = place.reader(endpoint=endpoints[2])
        half = asyncio.Event()

        def watch(event: object) -> None:
            reader.events.append(event)  # type: ignore[arg-type]  # only events of the union come here
            if len(reader.told(LeafVerified)) == 8:
                half.set()

        async with asyncio.TaskGroup() as group:
            sources: list[Source] = [reader.source(dying), reader.source(living)]
            fetching = group.create_task(reader.fetcher.fetch(Wanted(root), sources, watch))
            await half.wait()
            await dying.die()
        film = resolve(reader.store.get_block, root, "film").cid
        assert reader.store.read_file(film, 0, len(content)) == content
        assert fetching.result().liars == ()

    async def placed() -> None:
        async with quic(3) as endpoints, world(tmp_path) as place:
            await main(place, endpoints)

    run(placed())


def test_over_quic_a_liar_is_named_silence_ends_and_a_miss_is_quick(tmp_path: Path) -> None:
    async def main(place: World, endpoints: list[Endpoint]) -> None:
        honest = place.peer("honest", endpoint=endpoints[0])
        dag = keep_file(honest.store, CONTENT)

        async def lie(stream: Stream, _request: Any) -> None:
            await stream.send.write(OFFER + block_header(1000) + noise(1000))
            await stream.send.finish()

        async def silence(_stream: Stream, _request: Any) -> None:
            await asyncio.Event().wait()

        liar = place.hostile(lie, endpoints[1])
        silent = place.hostile(silence, endpoints[2])
        reader = place.reader(endpoint=endpoints[3])
        sources: list[Source] = [reader.source(silent), reader.source(liar), reader.source(honest)]
        report = await reader.fetcher.fetch(Wanted(dag.root), sources, reader.events.append)
        assert reader.store.read_file(dag.root, 0, len(CONTENT)) == CONTENT
        assert report.liars == (liar.endpoint_id.hex()[:8],)
        with pytest.raises(NotFoundError):
            await reader.fetcher.fetch(Wanted(file_dag(b"nowhere").root), [reader.source(honest)], reader.events.append)

    async def placed() -> None:
        async with quic(4) as endpoints, world(tmp_path) as place:
            await main(place, endpoints)

    run(placed())
