"""HTTP from a warm node against nginx on the same files, in the same minute, one worker each.

The node is a process of its own. It serves the small files and the ranges in place, as `nearcast share` does, and 1 GiB
both from its store, as a node does that has fetched it, and in place, where it checks between every read and every send
that the file is still the same, which nginx does not. nginx is Debian's, with sendfile. Load comes from wrk with 32
connections on one thread; 1 GiB is read by one plain socket. The two take turns, and the best of each counts.
"""

import asyncio
import json
import math
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bench.row import Row
from bench.samples import MIB, random_file
from nearcast.config import Config, HttpConfig, PeersConfig, QuicConfig
from nearcast.content.importer import import_path
from nearcast.node import run_node

SIZES = {"1k": 1024, "100k": 100 * 1024, "1g": 1 << 30}
RANGE_BYTES = 64 << 10
CONNECTIONS = 32
TURNS = 3
TURN_S = 2
FIRST_BYTES_ASKED = 1000
SMALL, MIDDLE, RANGES, LARGE, LARGE_IN_PLACE, FIRST_P50, FIRST_P99 = NAMES = (
    "HTTP 1 KiB",
    "HTTP 100 KiB",
    "HTTP 64 KiB random ranges of 1 GiB",
    "HTTP 1 GiB",
    "HTTP 1 GiB in place",
    "HTTP first byte of a local hit, p50",
    "HTTP first byte of a local hit, p99",
)
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""
RANDOM_RANGES = """
math.randomseed(7)
request = function()
  local start = math.random(0, {blocks} - 1) * {size}
  return wrk.format("GET", nil, {{["Range"] = "bytes=" .. start .. "-" .. start + {size} - 1}})
end
"""


def rows(only: str | None) -> Iterator[Row]:
    wanted = [name for name in NAMES if only is None or only in name]
    if not wanted:
        return
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as text, _files(Path(text)) as files:
        folder = Path(text)
        (folder / "ranges.lua").write_text(RANDOM_RANGES.format(blocks=SIZES["1g"] // RANGE_BYTES, size=RANGE_BYTES))
        with _node(folder, files) as node, _nginx(folder) as nginx:
            yield from _compared(wanted, folder, node, nginx)
            if FIRST_P50 in wanted or FIRST_P99 in wanted:
                yield from (row for row in _first_bytes(node["1k"]) if row.name in wanted)


def _compared(wanted: list[str], folder: Path, node: dict[str, str], nginx: dict[str, str]) -> Iterator[Row]:
    """The rows with a rival."""
    lua = ("-s", str(folder / "ranges.lua"))
    measures: dict[str, tuple[str, float, str, Callable[[str], float]]] = {
        SMALL: ("1k", 0.35, "requests/s", wrk),
        MIDDLE: ("100k", 0.8, "requests/s", wrk),
        RANGES: ("1g", 0.35, "requests/s", lambda url: wrk(url, *lua)),
        LARGE: ("1g", 0.65, "MB/s", megabytes_per_s),
        LARGE_IN_PLACE: ("1g", 0.65, "MB/s", megabytes_per_s),
    }
    for name, (file, goal, unit, measure) in measures.items():
        if name in wanted:
            ours = node["1g stored" if name == LARGE else file]
            turns = [(measure(ours), measure(nginx[file])) for _ in range(TURNS)]
            value, rival = (max(side) for side in zip(*turns, strict=True))
            yield Row(name, value, unit, goal, "nginx", rival)


def _first_bytes(url: str) -> Iterator[Row]:
    delays_ms = sorted(delay * 1000 for delay in first_byte_delays_s(url))
    yield Row(FIRST_P50, statistics.median(delays_ms), "ms", 2.0, lower_is_better=True)
    yield Row(FIRST_P99, delays_ms[math.ceil(0.99 * len(delays_ms)) - 1], "ms", 10.0, lower_is_better=True)


def wrk(url: str, *arguments: str) -> float:
    """Requests per second. Raises RuntimeError when some answers were no success."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{TURN_S}s", *arguments, url]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told:
        raise RuntimeError(f"not every answer of {url} was a success:\n{told}")
    (line,) = (line for line in told.splitlines() if line.startswith("Requests/sec"))
    return float(line.split()[1])


def megabytes_per_s(url: str) -> float:
    """One client that reads everything as fast as it can, and looks at nothing."""
    start = time.perf_counter()
    with _asked(url, "connection: close\r\n") as client:
        buffer = bytearray(MIB)
        received = 0
        while count := client.recv_into(buffer):
            received += count
    if received < SIZES["1g"]:
        raise RuntimeError(f"{url} ended after {received} bytes")
    return received / (time.perf_counter() - start) / 1e6


def first_byte_delays_s(url: str) -> Iterator[float]:
    """Seconds from the request to the first byte of its answer, on fresh connections in a row."""
    for _ in range(FIRST_BYTES_ASKED):
        start = time.perf_counter()
        with _asked(url, "connection: close\r\n") as client:
            client.recv(1)
            yield time.perf_counter() - start


def _asked(url: str, headers: str) -> socket.socket:
    host, _, path = url.removeprefix("http://").partition("/")
    address, _, port = host.partition(":")
    client = socket.create_connection((address, int(port)))
    client.sendall(f"GET /{path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n".encode())
    return client


@contextmanager
def _files(folder: Path) -> Generator[dict[str, Path], None, None]:
    (folder / "files").mkdir()
    yield {name: random_file(folder / "files" / name, size_bytes) for name, size_bytes in SIZES.items()}


@contextmanager
def _nginx(folder: Path) -> Generator[dict[str, str], None, None]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise RuntimeError("the rival is missing: apt-get install nginx-light")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    # nginx drops root for "nobody", who may not look into a temporary folder.
    for path in (folder, folder / "files"):
        path.chmod(0o755)
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield {name: f"http://127.0.0.1:{port}/{name}" for name in SIZES}
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _node(folder: Path, files: dict[str, Path]) -> Generator[dict[str, str], None, None]:
    """A whole node in a process of its own; the URLs of the files."""
    command = [sys.executable, "-m", "bench.http", "--node", str(folder / "data"), *map(str, files.values())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        assert process.stdin is not None
        process.stdin.close()  # its end is the sign to stop
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)  # another program starts, and says nothing when it is ready
    raise RuntimeError(f"nobody listens on port {port}")


async def serve(data_dir: Path, paths: list[Path]) -> None:
    """The node's process: shares the files, prints their URLs as JSON by name, runs until its input ends.

    The last and largest file is there twice: in place, and (with another beginning) in the store.
    """
    config = Config(
        data_dir,
        http=HttpConfig(listen="127.0.0.1:0"),
        quic=QuicConfig(listen="127.0.0.1:0"),
        peers=PeersConfig(lan=False),
    )
    async with run_node(config, http=True, announce=False) as node:
        roots = {path.name: import_path(node.store, path, in_place=True).root for path in paths}
        stored = paths[-1].with_name("stored")
        shutil.copyfile(paths[-1], stored)
        with stored.open("r+b") as file:
            file.write(b"other")  # another file, or the store would find it there already
        roots["1g stored"] = import_path(node.store, stored, in_place=False).root
        stored.unlink()
        print(json.dumps({name: f"{node.http_url}/ipfs/{root}" for name, root in roots.items()}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> int:
    if sys.argv[1:2] == ["--node"]:
        uvloop.run(serve(Path(sys.argv[2]), [Path(text) for text in sys.argv[3:]]))
        return 0
    ok = True
    for row in rows(sys.argv[1] if len(sys.argv) > 1 else None):
        print(row.line(), flush=True)
        ok = ok and row.ok
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
