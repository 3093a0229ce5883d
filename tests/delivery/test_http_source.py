"""Web servers as sources, against a real server on the loopback: honest, lying, deaf to ranges, cut short, silent."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from nearcast.content.blocks import check_block
from nearcast.content.cid import Cid, parse_cid, raw_cid
from nearcast.content.dag import FileDag, build_file_dag
from nearcast.content.directory import build_directory
from nearcast.content.leaves import LEAF_BYTES
from nearcast.content.nodes import Entry
from nearcast.delivery.http_source import HttpSource
from nearcast.delivery.session import NodeWalk
from nearcast.delivery.source import NodesWanted, Span
from nearcast.errors import IntegrityError, NotFoundError, RefusedError, RemoteError, UnavailableError, UsageError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTENT = random.Random(7).randbytes(3 * LEAF_BYTES + 12345)
STALL_S = 0.3  # as short as a busy machine allows


def dag_of(content: bytes) -> FileDag:
    leaves = [content[start : start + LEAF_BYTES] for start in range(0, len(content), LEAF_BYTES)] or [b""]
    return build_file_dag(b"".join(hashlib.sha256(leaf).digest() for leaf in leaves), len(content))


DAG = dag_of(CONTENT)


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A real HTTP server whose every path is answered by `handler`; gives its URL."""
    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def collect(source: HttpSource, *spans: Span, enough: int = 1 << 30) -> list[bytes | None]:
    got: list[bytes | None] = []

    async def take(position: int, data: bytes | None) -> bool:
        assert position == len(got)
        got.append(data)
        return len(got) < enough

    await source.leaves(spans, take)
    return got


def whole(dag: FileDag = DAG) -> Span:
    return Span(dag.root, 0, len(dag.leaves), dag.leaves)


def leaf(index: int) -> bytes:
    return CONTENT[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]


async def deaf(_request: web.Request) -> web.Response:
    """Has the file, ignores Range."""
    return web.Response(body=CONTENT)


def test_a_plain_server_gives_leaves_by_range(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    ranges: list[str] = []

    async def honest(request: web.Request) -> web.FileResponse:
        ranges.append(request.headers["Range"])
        return web.FileResponse(path)

    async def main() -> None:
        async with server(honest) as url:
            source = HttpSource(f"{url}/file")
            assert not source.gives_nodes
            got = await collect(source, Span(DAG.root, 2, 2, DAG.leaves), Span(DAG.root, 0, 1, DAG.leaves))
            assert got == [leaf(2), leaf(3), leaf(0)]
            assert ranges == [f"bytes={2 * LEAF_BYTES}-{len(CONTENT) - 1}", f"bytes=0-{LEAF_BYTES - 1}"]

    asyncio.run(main())


def test_a_server_that_ignores_ranges_is_read_from_its_start() -> None:
    async def main() -> None:
        async with server(deaf) as url:
            assert await collect(HttpSource(url), Span(DAG.root, 1, 2, DAG.leaves)) == [leaf(1), leaf(2)]

    asyncio.run(main())


def test_a_server_that_ignores_ranges_of_a_huge_file_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast.delivery.http_exchange.SKIP_BYTES_MAX", LEAF_BYTES)

    async def main() -> None:
        async with server(deaf) as url:
            with pytest.raises(UnavailableError, match="ignores byte ranges"):
                await collect(HttpSource(url), Span(DAG.root, 2, 1, DAG.leaves))

    asyncio.run(main())


def test_a_taker_that_has_enough_gets_no_more() -> None:
    async def main() -> None:
        async with server(deaf) as url:
            assert await collect(HttpSource(url), whole(), enough=1) == [leaf(0)]

    asyncio.run(main())


def test_a_truncated_answer_is_an_error_after_what_came() -> None:
    async def truncating(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
        await response.prepare(request)
        await response.write(CONTENT[: LEAF_BYTES + 100])
        assert request.transport is not None
        request.transport.close()
        return response

    got: list[bytes | None] = []

    async def take(_position: int, data: bytes | None) -> bool:
        got.append(data)
        return True

    async def main() -> None:
        async with server(truncating) as url:
            with pytest.raises(UnavailableError):
                await HttpSource(url).leaves([whole()], take)
        assert got == [leaf(0)]

    asyncio.run(main())


def test_a_silent_server_is_given_up_after_the_stall_timeout() -> None:
    async def main() -> None:
        over = asyncio.Event()

        async def silent(_request: web.Request) -> web.Response:
            await over.wait()
            return web.Response()

        async with server(silent) as url:
            with pytest.raises(UnavailableError, match="no bytes"):
                await collect(HttpSource(url, stall_timeout_s=STALL_S), whole())
            over.set()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFoundError), (403, RefusedError), (503, UnavailableError), (500, UnavailableError)]
)
def test_statuses_become_typed_errors(status: int, kind: type[Exception]) -> None:
    async def failing(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=b"sorry")

    async def main() -> None:
        async with server(failing) as url:
            with pytest.raises(kind, match=str(status)):
                await collect(HttpSource(url), whole())

    asyncio.run(main())


def test_a_file_of_another_size_is_not_our_file() -> None:
    async def other(request: web.Request) -> web.Response:
        first, last = request.headers["Range"].removeprefix("bytes=").split("-")
        return web.Response(
            status=206,
            body=bytes(int(last) - int(first) + 1),
            headers={"Content-Range": f"bytes {first}-{last}/99999999"},
        )

    async def main() -> None:
        async with server(other) as url:
            with pytest.raises(NotFoundError, match="another file"):
                await collect(HttpSource(url), whole())

    asyncio.run(main())


@pytest.mark.parametrize("content_range", ["bytes 5-9/10", "bytes */10", "nonsense", ""])
def test_a_range_that_was_not_asked_for_is_refused(content_range: str) -> None:
    async def wrong(_request: web.Request) -> web.Response:
        return web.Response(status=206, body=b"12345", headers={"Content-Range": content_range})

    async def main() -> None:
        async with server(wrong) as url:
            with pytest.raises(RemoteError, match="another range"):
                await collect(HttpSource(url), whole())

    asyncio.run(main())


def test_endless_redirects_end() -> None:
    asked = 0

    async def turning(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        raise web.HTTPFound(f"/{asked}")

    async def main() -> None:
        async with server(turning) as url:
            with pytest.raises(RemoteError, match="redirects"):
                await collect(HttpSource(url), whole())
        assert asked <= 6

    asyncio.run(main())


def test_a_compressing_server_is_refused() -> None:
    async def compressing(_request: web.Request) -> web.Response:
        return web.Response(body=CONTENT, headers={"Content-Encoding": "gzip"})

    async def main() -> None:
        async with server(compressing) as url:
            with pytest.raises(RemoteError, match="compresses"):
                await collect(HttpSource(url), whole())

    asyncio.run(main())


def test_nobody_listening_is_unavailable() -> None:
    async def main() -> None:
        async with server(deaf) as url:
            pass
        with pytest.raises(UnavailableError):
            await collect(HttpSource(url), whole())

    asyncio.run(main())


def test_a_lone_leaf_of_unknown_size_is_read_to_its_end_and_no_further() -> None:
    small = b"small file"
    cid = raw_cid(hashlib.sha256(small).digest())

    async def main() -> None:
        async def holding(request: web.Request) -> web.Response:
            return web.Response(body=small if request.path == "/small" else bytes(5 << 20))

        async with server(holding) as url:
            assert await collect(HttpSource(f"{url}/small"), Span(cid, 0, 1, None)) == [small]
            with pytest.raises(RemoteError, match="over"):
                await collect(HttpSource(f"{url}/large"), Span(cid, 0, 1, None))

    asyncio.run(main())


class Gateway:
    """A trustless gateway over a heap of blocks."""

    def __init__(self) -> None:
        self.blocks: dict[Cid, bytes] = dict(DAG.nodes)
        self.blocks |= {DAG.leaves.cid(index): leaf(index) for index in range(len(DAG.leaves))}
        note = b"a note"
        self.note = raw_cid(hashlib.sha256(note).digest())
        self.blocks[self.note] = note
        directory = build_directory([Entry("file", DAG.root, DAG.tsize), Entry("note", self.note, len(note))])
        self.blocks |= dict(directory.nodes)
        self.root = directory.root
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        assert request.query["format"] == "raw"
        data = self.blocks.get(parse_cid(request.path.removeprefix("/ipfs/")))
        return web.Response(status=404) if data is None else web.Response(body=data)


async def walk_over(source: HttpSource, want: NodesWanted) -> list[Cid]:
    """What whoever fetches does with the blocks, without keeping them."""
    walk = NodeWalk(want.root, want.path, shallow=want.shallow)
    order: list[Cid] = []

    async def take(data: bytes) -> bool:
        assert walk.expected is not None
        check_block(walk.expected, data)
        order.append(walk.expected)
        walk.accept(data)
        return True

    await source.nodes(want, take)
    assert walk.expected is None
    return order


def test_a_gateway_gives_nodes_and_leaves() -> None:
    gateway = Gateway()

    async def main() -> None:
        async with server(gateway.answer) as url:
            source = HttpSource(f"{url}/ipfs/{gateway.root}")
            assert source.gives_nodes
            assert await walk_over(source, NodesWanted(gateway.root)) == [gateway.root, DAG.root]
            assert await walk_over(source, NodesWanted(gateway.root, "note")) == [gateway.root, gateway.note]
            spans = (Span(DAG.root, 1, 2, DAG.leaves), Span(gateway.note, 0, 1, None))
            assert await collect(source, *spans) == [leaf(1), leaf(2), b"a note"]

    asyncio.run(main())


def test_what_a_gateway_lacks_is_missing_and_costs_only_that_leaf() -> None:
    gateway = Gateway()
    del gateway.blocks[DAG.leaves.cid(1)]

    async def main() -> None:
        async with server(gateway.answer) as url:
            source = HttpSource(f"{url}/ipfs/{gateway.root}/file")
            assert await collect(source, whole()) == [leaf(0), None, leaf(2), leaf(3)]
            del gateway.blocks[gateway.root]
            with pytest.raises(NotFoundError):
                await walk_over(source, NodesWanted(gateway.root))

    asyncio.run(main())


def test_a_gateway_with_wrong_bytes_is_found_out() -> None:
    gateway = Gateway()
    gateway.blocks[DAG.root] = b"something else"

    async def main() -> None:
        async with server(gateway.answer) as url:
            with pytest.raises(IntegrityError):
                await walk_over(HttpSource(f"{url}/ipfs/{gateway.root}"), NodesWanted(gateway.root))

    asyncio.run(main())


@pytest.mark.parametrize("url", ["ftp://host/file", "host/file", "http://", "http://[::1", ""])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        HttpSource(url)


def test_a_name_tells_no_secrets() -> None:
    assert HttpSource("https://me:secret@mirror.example/a/file?token=secret").name == "https://mirror.example/a/file"
