"""Nothing that leaves a node tells where its backends are: all that it says to peers and to browsers is searched."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.content.backends_world import (
    MIB,
    S3_ENVIRONMENT,
    SITE,
    Bucket,
    WebOrigin,
    added,
    run,
    s3_server,
    web_origin,
    write_folder,
)

from nearcast.clock import SystemClock
from nearcast.config import Config, HttpConfig, PeersConfig, QuicConfig
from nearcast.content.backends.index import BackendIndex
from nearcast.content.cid import Cid, raw_cid
from nearcast.delivery.fetch import Fetcher, Wanted
from nearcast.delivery.peer_source import PeerSource
from nearcast.delivery.probe import probe_all
from nearcast.errors import NearcastError
from nearcast.gateways.control.running import read_running
from nearcast.keys import Identity
from nearcast.node import Node, run_node
from nearcast.transport.base import Connection, Endpoint, PeerAddress, Stream
from nearcast.transport.memory import MemoryNetwork
from nearcast.transport.pool import ConnectionPool

FILES = {key: data for key, data in SITE.items() if len(data) < 4 * MIB}


@dataclass
class Tap:
    """Every byte that one node wrote to others, stream by stream, before it is encrypted."""

    sent: bytearray = field(default_factory=bytearray)


class TappedSend:
    def __init__(self, inner: Any, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    async def write(self, data: bytes) -> None:
        self._tap.sent += data
        await self._inner.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TappedConnection:
    def __init__(self, inner: Connection, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    async def open_stream(self) -> Stream:
        return self._tapped(await self._inner.open_stream())

    async def accept_stream(self) -> Stream:
        return self._tapped(await self._inner.accept_stream())

    def _tapped(self, stream: Stream) -> Stream:
        return Stream(TappedSend(stream.send, self._tap), stream.receive)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TappedEndpoint:
    def __init__(self, inner: Endpoint, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    async def connect(self, address: PeerAddress, timeout_s: float = 5.0) -> Any:
        return TappedConnection(await self._inner.connect(address, timeout_s), self._tap)

    async def accept(self) -> Any:
        return TappedConnection(await self._inner.accept(), self._tap)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@dataclass
class Place:
    """A node with three backends, a reader, and what the first one says."""

    node: Node
    reader: Node
    tap: Tap
    web: WebOrigin
    bucket: Bucket
    folder: Path
    roots: dict[str, Cid]
    secrets: list[bytes]

    def leaks(self, said: bytes) -> list[bytes]:
        return [secret for secret in self.secrets if secret in said]


def config(data_dir: Path) -> Config:
    return Config(
        data_dir,
        http=HttpConfig(listen="127.0.0.1:0"),
        quic=QuicConfig(listen="127.0.0.1:0"),
        peers=PeersConfig(lan=False),
    )


@asynccontextmanager
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    network, tap, taps = MemoryNetwork(), Tap(), [Tap(), Tap()]

    class Bound:
        @staticmethod
        async def bind(identity: Identity, **_: Any) -> Any:
            return TappedEndpoint(network.endpoint(identity), taps.pop())

    monkeypatch.setattr("nearcast.node.outside.IrohEndpoint", Bound)
    taps[1] = tap
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(web_origin(FILES))
        web.url = web.url.replace("127.0.0.1", "localhost")
        bucket = stack.enter_context(s3_server())
        folder = write_folder(tmp_path / "secret-folder", FILES | {"only here.txt": b"folder"})
        for key, data in (FILES | {"only-in-s3.txt": b"s3"}).items():
            bucket.put(f"secret-prefix/{key}", data)
        with BackendIndex(tmp_path / "node") as index:
            found = {
                "web": await added(index, web.url, keys=list(FILES), name="secret-name"),
                "s3": await added(index, bucket.url("secret-prefix"), endpoint=bucket.endpoint),
                "folder": await added(index, str(folder)),
            }
        words = {word for each in found.values() for word in each.backend.address.secrets}
        words |= {"secret-", "localhost", bucket.endpoint.removeprefix("http://"), str(tmp_path)}
        node = await stack.enter_async_context(run_node(config(tmp_path / "node")))
        reader = await stack.enter_async_context(run_node(config(tmp_path / "reader")))
        roots = {name: each.root for name, each in found.items()}
        yield Place(node, reader, tap, web, bucket, folder, roots, [word.encode() for word in sorted(words)])


async def emptied(there: Place) -> None:
    """What was cached goes, as `nearcast rm` does it."""
    running = read_running(there.node.config.data_dir)
    assert running is not None
    body = json.dumps({"links": [str(root) for root in there.roots.values()]}).encode()
    request = urllib.request.Request(
        f"http://{running.http_address}/api/v0/remove", body, {"Authorization": f"Bearer {running.token}"}
    )
    await asyncio.to_thread(lambda: urllib.request.urlopen(request).close())


def broken(there: Place) -> None:
    """What was one.webm is another one everywhere, and the web server has gone."""
    there.web.down = True
    there.bucket.put("secret-prefix/films/one.webm", b"another one")
    (there.folder / "films" / "one.webm").write_bytes(bytes(len(FILES["films/one.webm"])))


async def read(there: Place, root: Cid, path: str = "") -> int:
    """As a peer that asks this node and nobody else; how many bytes came. Whatever goes wrong tells nothing."""
    telemetry = there.reader.telemetry
    pool = ConnectionPool(there.reader.endpoint, telemetry)
    fetcher = Fetcher(there.reader.store, SystemClock(), telemetry)
    source = PeerSource(pool, there.node.address, trail=there.reader.finder.begin_trail())
    said = ""
    came_bytes = 0
    try:
        report = await fetcher.fetch(Wanted(root, path), [source], lambda _: None)
        came_bytes = report.bytes_verified
    except NearcastError as error:
        said = str(error)
    finally:
        await pool.close()
    there.reader.store.remove([root])
    assert there.leaks(said.encode()) == []
    return came_bytes


def test_what_a_node_says_to_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with place(tmp_path, monkeypatch) as there:
            assert await read(there, there.roots["folder"]) > sum(map(len, FILES.values()))
            assert b"only here.txt" in there.tap.sent, "it is a folder that was listed, and the tap hears it"
            assert FILES["films/one.webm"][:MIB] in there.tap.sent
            asked = [*there.roots.values(), raw_cid(bytes(32))]
            pool = ConnectionPool(there.reader.endpoint, there.reader.telemetry)
            for paths in (("", "films/one.webm", "index.html", "no/such/path"), ("films/one.webm", "index.html")):
                async for _address, answer in probe_all(pool, [there.node.address], asked, 5.0):
                    assert not isinstance(answer, NearcastError)
                for root in there.roots.values():
                    for path in paths:
                        await read(there, root, path)
                broken(there)
                await emptied(there)
            await pool.close()
            assert there.node.telemetry.counters["backend_failures"] > 0, "and it had something to be silent about"
            assert there.leaks(bytes(there.tap.sent)) == []

    run(main())


async def http_get(node: Node, target: str, *, method: str = "GET", **headers: str) -> bytes:
    """The raw answer, head and all."""
    assert node.http_url is not None
    host, _, port = node.http_url.removeprefix("http://").rpartition(":")

    def exchange() -> bytes:
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            lines = [f"{method} {target} HTTP/1.1", "Host: gateway.example", "Connection: close"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = bytearray()
            while piece := connection.recv(1 << 16):
                answer += piece
        return bytes(answer)

    return await asyncio.to_thread(exchange)


def targets(there: Place) -> list[tuple[str, str, dict[str, str]]]:
    """(method, target, headers) over every route of the gateway, as this machine and as a stranger."""
    stranger = {"X_Forwarded_For": "203.0.113.7"}
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/", {}),
        ("GET", "/health", {}),
        ("GET", "/favicon.ico", {}),
        ("GET", "/nothing", {}),
        ("OPTIONS", "/ipfs/x", {}),
        ("POST", "/ipfs/x", {"Content_Length": "0"}),
        ("GET", "/ipfs/nonsense", {}),
        ("GET", f"/ipfs/{raw_cid(bytes(32))}", {}),
        ("POST", "/api/v0/status", {"Content_Length": "0"}),
        ("POST", "/api/v0/status", {"Content_Length": "0", "Authorization": "Bearer 00"}),
    ]
    for root in there.roots.values():
        base = f"/ipfs/{root}"
        asked += [
            ("GET", base, {}),
            ("GET", f"{base}/", {"Accept": "text/html"}),
            ("GET", f"{base}/films/", {}),
            ("GET", f"{base}/no/such/path", {}),
            ("GET", f"{base}/{quote('a b/ü %41.txt')}", {}),
            ("HEAD", f"{base}/exact.bin", {}),
            ("GET", f"{base}/exact.bin", {"Range": "bytes=1048570-1048580"}),
            ("GET", f"{base}/exact.bin", {"Range": "bytes=99999999-"}),
            ("GET", f"{base}?format=raw", {}),
            ("GET", f"{base}?format=car", {}),
            ("GET", f"{base}/films/one.webm?format=raw", {}),
            ("GET", f"{base}/films/one.webm", {"Accept": "text/html"}),
            ("GET", f"{base}/films/one.webm", {"Accept": "application/json"}),
        ]
    return asked + [(method, target, headers | stranger) for method, target, headers in asked]


def test_what_a_node_says_to_browsers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with place(tmp_path, monkeypatch) as there:
            statuses = set()
            for _ in ("whole", "broken"):
                for method, target, headers in targets(there):
                    said = await http_get(there.node, target, method=method, **headers)
                    statuses.add(int(said.split()[1]))
                    own_address = str(there.node.http_url).encode()
                    assert there.leaks(said.replace(own_address, b"")) == [], (method, target, said[:500])
                broken(there)
                await emptied(there)
            assert {200, 206, 403, 404, 405, 416} <= statuses

    run(main())


def test_what_status_says_of_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the owner may ask for it, but it is what people paste into reports."""

    async def main() -> None:
        async with place(tmp_path, monkeypatch) as there:
            await read(there, there.roots["web"])
            said = dict(there.node.status())
            assert said.pop("data_dir") == str(tmp_path / "node")
            assert there.leaks(repr(said).encode()) == []

    run(main())


def test_the_search_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with place(tmp_path, monkeypatch) as there:
            addresses = [known.address.url for known in BackendIndex(tmp_path / "node").backends()]
            for address in (*addresses, str(there.folder), there.bucket.name):
                assert there.leaks(f"cannot read {address}/x".encode())
            assert there.leaks(b"an honest line") == []

    run(main())
