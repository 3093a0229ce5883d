"""The HTTP gateway on a real port: files, folders, conditions, ranges, errors, and what raw sockets may throw at it."""

import asyncio
import hashlib
import os
import socket
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.gateways.suite import QUOTA_BYTES, Door, opened, run, share

from nearcast.clock import SystemClock
from nearcast.content.blocks import check_block
from nearcast.content.cid import parse_cid, raw_cid
from nearcast.content.store import Store
from nearcast.errors import AddressInUseError, UsageError
from nearcast.gateways.http.server import HttpServer, bind

LARGE_BYTES = 3_000_000
NOWHERE = raw_cid(hashlib.sha256(b"what nobody has").digest())
MIDDLE_BYTES = 100_000  # over what the store copies into its packs, and small enough to be kept in memory


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><h1>hello</h1>")
    (folder / "sub" / "a.txt").write_text("0123456789")
    (folder / "sub" / "grüße ✓ 100%.txt").write_text("odd name")
    (folder / "sub" / "README").write_text("plain words\n")
    (folder / "sub" / "empty.bin").write_bytes(b"")
    (folder / "sub" / "large.bin").write_bytes(os.urandom(LARGE_BYTES))
    (folder / "sub" / "middle.bin").write_bytes(os.urandom(MIDDLE_BYTES))
    (folder / "sub" / "link").symlink_to("a.txt")
    return folder


def test_a_file(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            root = share(door.store, site)
            answer = await door.get(f"/ipfs/{root}/sub/a.txt")
            assert (answer.status, answer.body) == (200, b"0123456789")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.headers["cache-control"] == "public, max-age=29030400, immutable"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["accept-ranges"] == "bytes"
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cache-status"] == "nearcast; hit"
            assert answer.headers["x-ipfs-path"] == f"/ipfs/{root}/sub/a.txt"
            assert answer.headers["content-length"] == "10"
            cid = parse_cid(answer.headers["etag"].strip('"'))
            check_block(cid, answer.body)
            head = await door.get(f"/ipfs/{root}/sub/a.txt", method="HEAD")
            assert (head.status, head.body) == (200, b"")
            assert {k: v for k, v in head.headers.items() if k != "date"} == {
                k: v for k, v in answer.headers.items() if k != "date"
            }

    run(main)


@pytest.mark.parametrize("in_place", [True, False])
def test_hot_and_cold_answers_are_the_same(tmp_path: Path, site: Path, in_place: bool) -> None:
    async def main() -> None:
        data = (site / "sub" / "large.bin").read_bytes()
        requests: list[tuple[str, dict[str, str], int, bytes]] = [
            ("sub/a.txt", {}, 200, b"0123456789"),
            ("sub/a.txt", {"range": "bytes=2-4"}, 206, b"234"),
            ("", {}, 200, b"<!doctype html><h1>hello</h1>"),
            ("sub/large.bin", {}, 200, data),
            ("sub/large.bin", {"range": "bytes=1000000-1100000"}, 206, data[1000000:1100001]),
            ("sub/large.bin", {"range": "bytes=5-2500000"}, 206, data[5:2500001]),
            ("sub/large.bin", {"range": "bytes=100-400099"}, 206, data[100:400100]),
            ("sub/large.bin", {"range": "bytes=-7"}, 206, data[-7:]),
            ("sub/empty.bin", {}, 200, b""),
        ]
        async with opened(tmp_path) as door:
            root = share(door.store, site, in_place=in_place)
            for path, headers, status, body in requests * 3:
                answer = await door.get(f"/ipfs/{root}/{path}", **headers)
                assert (answer.status, answer.body) == (status, body), (path, headers)
                assert answer.headers["content-length"] == str(len(body))
            await door.answered(3 * len(requests))
            told = sorted(line.size_bytes for line in door.lines)
            assert told == sorted(len(body) for _, _, _, body in requests * 3)
            assert all(line.cache == "hit" for line in door.lines)

    run(main)


def test_conditions(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            path = f"/ipfs/{share(door.store, site)}/sub/a.txt"
            tag = (await door.get(path)).headers["etag"]
            for value in (tag, "W/" + tag, f'"x", {tag}', "*"):
                for method in ("GET", "HEAD"):
                    answer = await door.get(path, method=method, if_none_match=value)
                    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
            assert (await door.get(path, if_none_match='"x"')).status == 200
            assert (await door.get(path, if_none_match=tag, range="bytes=0-1")).status == 304
            assert (await door.get(path, if_range=tag, range="bytes=0-1")).status == 206
            assert (await door.get(path, if_range='"x"', range="bytes=0-1")).status == 200
            assert (await door.get(path, method="HEAD", range="bytes=0-1")).status == 200

    run(main)


def test_ranges(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            path = f"/ipfs/{share(door.store, site)}/sub/a.txt"
            for _ in range(2):
                behind = await door.get(path, range="bytes=10-")
                assert (behind.status, behind.headers["content-range"]) == (416, "bytes */10")
                for ignored in ("bytes=0-1,4-5", "bytes=5-2", "lines=1-2"):
                    assert (await door.get(path, range=ignored)).status == 200
                part = await door.get(path, range="bytes=8-20")
                assert (part.status, part.headers["content-range"], part.body) == (206, "bytes 8-9/10", b"89")

    run(main)


def test_folders(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            root = share(door.store, site)
            slash = await door.get(f"/ipfs/{root}?x=%20y")
            assert (slash.status, slash.headers["location"]) == (301, f"/ipfs/{root}/?x=%20y")
            assert (await door.get(f"/ipfs/{root}/sub")).headers["location"] == f"/ipfs/{root}/sub/"
            index = await door.get(f"/ipfs/{root}/")
            assert index.headers["content-type"] == "text/html; charset=utf-8"
            listing = await door.get(f"/ipfs/{root}/sub/")
            assert listing.status == 200
            assert listing.headers["etag"].startswith('"DirIndex-')
            assert "immutable" not in listing.headers["cache-control"]
            assert "default-src 'none'" in listing.headers["content-security-policy"]
            assert quote("grüße ✓ 100%.txt") in listing.text
            assert "3.0 MB" in listing.text
            again = await door.get(f"/ipfs/{root}/sub/", if_none_match=listing.headers["etag"])
            assert again.status == 304
            empty = await door.get(f"/ipfs/{root}/sub/deep/")
            assert "This folder is empty" in empty.text

    run(main)


def test_names(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            root = share(door.store, site)
            odd = await door.get(f"/ipfs/{root}/sub/" + quote("grüße ✓ 100%.txt"))
            assert odd.body == b"odd name"
            assert (await door.get(f"/ipfs/{root}/sub/README")).headers["content-type"] == "text/plain; charset=utf-8"
            link = await door.get(f"/ipfs/{root}/sub/link")
            assert (link.body, link.headers["content-type"]) == (b"a.txt", "inode/symlink")
            named = await door.get(f"/ipfs/{root}/sub/README?filename=x.html&download=true")
            assert named.headers["content-disposition"] == 'attachment; filename="x.html"'
            assert named.headers["content-type"] == "text/html; charset=utf-8"
            evil = await door.get(f"/ipfs/{root}/sub/README?filename=" + quote('a"\r\nset-cookie: x=1\r\n\u2713'))
            assert "set-cookie" not in evil.headers
            assert "\n" not in evil.headers["content-disposition"]
            for path in ("../a.txt", "%2e%2e/%2e%2e/etc/passwd", "sub/..%2f..%2fstore", "sub/%00", "sub/%ff"):
                assert (await door.get(f"/ipfs/{root}/{path}")).status == 404, path

    run(main)


def test_raw_blocks(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            root = share(door.store, site)
            probe = await door.get("/ipfs/bafkqaaa?format=raw")
            assert (probe.status, probe.body) == (200, b"")
            for path, headers in (
                (f"/ipfs/{root}?format=raw", {}),
                (f"/ipfs/{root}", {"accept": "application/vnd.ipld.raw"}),
            ):
                for method in ("GET", "HEAD"):
                    answer = await door.get(path, method=method, **headers)
                    assert answer.status == 200
                    assert answer.headers["content-type"] == "application/vnd.ipld.raw"
                    assert answer.headers["content-disposition"] == f'attachment; filename="{root}.bin"'
                    assert answer.headers["x-ipfs-roots"] == str(root)
                    assert answer.headers["etag"] == f'"{root}.raw"'
                    assert sum(len(k) + len(v) + 4 for k, v in answer.headers.items()) < 2048
                    if method == "GET":
                        check_block(root, answer.body)
            assert (await door.get(f"/ipfs/{root}?format=raw", if_none_match=f'"{root}.raw"')).status == 304
            leaf = await door.get(f"/ipfs/{root}/sub/a.txt?format=raw")
            assert leaf.body == b"0123456789"
            assert (await door.get(f"/ipfs/{NOWHERE}?format=raw")).status == 404
            assert (await door.get(f"/ipfs/{NOWHERE}?format=raw", method="HEAD")).status == 404

    run(main)


@pytest.mark.parametrize(
    ("path", "headers", "status", "word"),
    [
        ("/ipfs/", {}, 400, "missing"),
        ("/ipfs/bafynonsense", {}, 400, "mistyped"),
        ("/ipfs/ROOT", {"service_worker": "script"}, 400, "service worker"),
        ("/ipfs/ROOT?format=cake", {}, 400, "format=cake"),
        ("/ipfs/ROOT?format=tar", {}, 406, "tar"),
        ("/ipfs/bafyreifqnuefqcgfbhn37e4qhfblf2fhfzt3xiizxqaqyrzxlzqyfxdmii", {}, 406, "codec 0x71"),
        ("/ipfs/ROOT/nope", {}, 404, "no 'nope'"),
        ("/ipfs/ROOT/sub/a.txt/below", {}, 404, "not a folder"),
        (f"/ipfs/{NOWHERE}", {}, 404, "no other node"),
        (f"/ipfs/{NOWHERE}", {"x_forwarded_for": "192.0.2.7"}, 404, "not on this node"),
        (f"/ipfs/{NOWHERE}", {"cache_control": "only-if-cached"}, 412, "not on this node"),
        ("/somewhere", {}, 404, "/ipfs/CID"),
        ("/" + "a" * 9000, {}, 400, "longer than"),
        ("/ipfs/ROOT?" + "a&" * 100, {}, 400, "32 fields"),
    ],
)
def test_errors(tmp_path: Path, site: Path, path: str, headers: dict[str, str], status: int, word: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            path_ = path.replace("ROOT", str(share(door.store, site)))
            line = await door.get(path_, **headers)
            assert line.status == status
            assert word in line.text
            assert line.text.count("\n") == 1
            assert line.headers["cache-control"] == "no-store"
            assert line.headers["content-type"].startswith("text/plain")
            if "range" not in headers:
                page = await door.get(path_, accept="text/html,*/*", **headers)
                assert page.status == status
                assert page.text.startswith("<!doctype html>")
            fields = await door.get(path_, accept="application/json", **headers)
            assert f'"status": {status}' in fields.text

    run(main)


def test_methods(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            path = f"/ipfs/{share(door.store, site)}/sub/a.txt"
            for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
                answer = await door.get(path, method=method)
                assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
            preflight = await door.get(path, method="OPTIONS", origin="https://elsewhere.example")
            assert preflight.status == 204
            assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"

    run(main)


@pytest.mark.parametrize("name", ["middle.bin", "large.bin"])
@pytest.mark.parametrize("is_hot", [True, False])
def test_a_file_that_changed_is_gone(tmp_path: Path, site: Path, name: str, is_hot: bool) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            path = f"/ipfs/{share(door.store, site)}/sub/{name}"
            if is_hot:
                assert (await door.get(path)).status == 200
                assert (await door.get(path, range="bytes=1-2")).status == 206
            (site / "sub" / name).write_bytes(b"another one")
            for headers in ({}, {"range": "bytes=1-2"}):
                answer = await door.get(path, **headers)
                assert answer.status == 410
                assert name in answer.text
                assert "share it again" in answer.text
                assert str(tmp_path) not in answer.text

    run(main)


def test_a_removed_file_is_forgotten(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            root = share(door.store, site, in_place=False)
            path = f"/ipfs/{root}/sub/a.txt"
            assert (await door.get(path)).status == 200
            door.store.remove([root])
            door.gateway.forget()
            assert (await door.get(path)).status == 404

    run(main)


def test_a_miss_is_fetched_for_whom_the_policy_names(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        with Store.open(tmp_path / "neighbour", quota_bytes=QUOTA_BYTES, clock=SystemClock()) as neighbour:
            root = share(neighbour, site)
            async with opened(tmp_path / "never", fetch="never", neighbour=neighbour) as door:
                assert (await door.get(f"/ipfs/{root}/sub/a.txt")).status == 404
            async with opened(tmp_path / "local", neighbour=neighbour) as door:
                data = (site / "sub" / "large.bin").read_bytes()
                large = f"/ipfs/{root}/sub/large.bin"
                assert (await door.get(large, x_forwarded_for="192.0.2.7")).status == 404
                part = await door.get(large, range="bytes=2000000-2000009")
                assert (part.status, part.body) == (206, data[2000000:2000010])
                whole = await door.get(large)
                assert whole.body == data
                assert whole.headers["cache-status"] == "nearcast; fwd=miss"
                assert (await door.get(large)).headers["cache-status"] == "nearcast; hit"
                block = await door.get(f"/ipfs/{root}/sub/a.txt?format=raw")
                assert block.body == b"0123456789"
                assert "a.txt" in (await door.get(f"/ipfs/{root}/sub/")).text

    run(main)


def test_the_start_page_and_health(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            assert "Nothing is shared here yet" in (await door.get("/")).text
            root = share(door.store, site)
            page = await door.get("/")
            assert f'href="/ipfs/{root}"' in page.text
            assert "access-control-allow-origin" not in page.headers
            assert str(root) in (await door.get("/", accept="application/json")).text
            assert (await door.get("/health")).body == b'{"status": "ok"}\n'

    run(main)


async def spoken(door: Door, sent: bytes) -> bytes:
    """What comes back on a bare connection that is closed by the server or after the answer's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(sent)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /ipfs/%0d%0aset-cookie:%20x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET http://elsewhere.example/ipfs/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /ipfs/x HTTP/1.1\r\nhost: x\r\nrange: bytes=\xff\xfe\r\naccept: \xff\r\nconnection: close\r\n\r\n",
        b"GET /" + b"a" * 500_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_bad_requests_on_a_bare_socket(tmp_path: Path, sent: bytes) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            answer = await spoken(door, sent)
            assert b"Traceback" not in answer
            assert b"\r\nset-cookie" not in answer.lower()
            assert not answer.startswith(b"HTTP/1.1 5")
            assert (await door.get("/health")).status == 200

    run(main)


def test_two_requests_in_one_packet(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            one = b"GET /health HTTP/1.1\r\nhost: x\r\n"
            answer = await spoken(door, one + b"\r\n" + one + b"connection: close\r\n\r\n")
            assert answer.count(b'{"status": "ok"}') == 2

    run(main)


def test_a_taken_port_is_named_or_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUseError, match=f"port {port} "):
            bind("127.0.0.1", port, next_free=False)
        with bind("127.0.0.1", port, next_free=True) as next_one:
            assert port < next_one.getsockname()[1] < port + 100


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 8710, next_free=False)
    with pytest.raises(UsageError, match="no-such-host"):
        bind("no-such-host.invalid", 8710, next_free=True)


def test_it_stops_and_frees_its_port(tmp_path: Path, site: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as door:
            port = door.port
            assert (await door.get("/health")).status == 200
        server = HttpServer()
        await server.stop()
        bind("127.0.0.1", port, next_free=False).close()

    run(main)
