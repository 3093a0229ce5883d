"""Real backends for tests: S3 as moto's server speaks it, web servers of several characters, folders."""

import asyncio
import random
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

from aiohttp import web

from nearcast.clock import SystemClock
from nearcast.content.backends.adding import Added, add_backend
from nearcast.content.backends.address import parse_backend
from nearcast.content.backends.index import BackendIndex
from nearcast.content.backends.opening import open_new
from nearcast.content.cid import Cid
from nearcast.content.importer import import_path
from nearcast.content.store import Store

T = TypeVar("T")
Character = Literal["honest", "deaf to ranges", "lying", "without tags"]
DEADLINE_S = 60.0
MIB = 1 << 20


def run(main: Coroutine[Any, Any, T]) -> T:
    """A test's coroutine, with an end: a hang is a failure."""

    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE_S):
            return await main

    return asyncio.run(bounded())


def noise(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


SITE = {
    "index.html": b"<h1>origin</h1>",
    "empty.txt": b"",
    "a b/\u00fc %41.txt": b"odd names " * 50,
    "q/x+y#z.bin": noise(70_000, 1),
    "films/one.webm": noise(3 * MIB + 12_345, 2),
    "films/two.webm": noise(20 * MIB + 1, 3),
    "exact.bin": noise(2 * MIB, 4),
}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for key, data in files.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def imported(data_dir: Path, path: Path, *, hidden: bool = False) -> Cid:
    """The root that `nearcast add` gives."""
    with Store.open(data_dir, quota_bytes=1 << 30, clock=SystemClock()) as store:
        return import_path(store, path, in_place=False, hidden=hidden).root


async def added(index: BackendIndex, url: str, **options: Any) -> Added:
    """As the command does it."""
    keys, name, hidden = options.pop("keys", None), options.pop("name", ""), options.pop("hidden", False)
    read_all, progress = options.pop("read_all", False), options.pop("progress", None)
    address = parse_backend(url, **options)
    opened = await open_new(address, keys)
    known = index.begin(address, name, only=opened.only, is_listed=keys is None, hidden=hidden)
    return await add_backend(index, known, opened.backend, unix_s=1.0, progress=progress, read_all=read_all)


@dataclass
class WebOrigin:
    """A web server, and what it was asked."""

    files: dict[str, bytes]
    character: Character = "honest"
    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, key, Range
    down: bool = False
    versions: dict[str, int] = field(default_factory=dict)

    def put(self, key: str, data: bytes) -> None:
        self.files[key] = data
        self.versions[key] = self.versions.get(key, 0) + 1

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key, asked = unquote(request.raw_path.removeprefix("/secret-path/")), request.headers.get("Range", "")
        self.requests.append((request.method, key, asked))
        if self.down:
            raise web.HTTPServiceUnavailable
        if key not in self.files or request.method == "PROPFIND":
            raise web.HTTPNotFound
        data = self.files[key]
        if self.character == "lying":
            data = data[:-1] + bytes([data[-1] ^ 1]) if data else data
        headers = {}
        if self.character != "without tags":
            version = self.versions.get(key, 0)
            headers = {"ETag": f'"{version}-{len(data)}"', "Last-Modified": formatdate(1e9 + version, usegmt=True)}
        if not data:
            headers["Content-Length"] = "0"  # aiohttp forgets it in answers to HEAD
        if not asked or self.character == "deaf to ranges":
            return web.Response(body=data, headers=headers)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1, len(data))
        if start >= len(data):
            raise web.HTTPRequestRangeNotSatisfiable
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:end], headers=headers)


@asynccontextmanager
async def web_origin(files: dict[str, bytes], character: Character = "honest") -> AsyncIterator[WebOrigin]:
    origin = WebOrigin(dict(files), character)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", origin.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        origin.url = f"http://{host}:{port}/secret-path/"
        yield origin
    finally:
        await runner.cleanup()


@dataclass
class Bucket:
    """A bucket on a real S3 server in this process."""

    client: Any
    endpoint: str
    name: str = "secret-bucket"

    def url(self, prefix: str = "") -> str:
        return f"s3://{self.name}/{prefix}".rstrip("/")

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key-of-the-test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
    "AWS_REGION": "us-east-1",
}


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """Needs S3_ENVIRONMENT in the environment, as its users do."""
    import logging

    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")):
            pass  # all servers of one process share what they hold
        client.create_bucket(Bucket=Bucket.name)
        yield Bucket(client, endpoint)
        client.close()
    finally:
        server.stop()
