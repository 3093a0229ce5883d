"""Web servers of others, on loopback: nginx with a configuration of its own, and a trustless gateway on Node."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.interop.nearcasts import POLL_S, first_line
from tests.interop.programs import DEADLINE_S, program, script

NGINX = """
daemon off;
master_process off;
error_log {place}/error.log;
pid {place}/pid;
events {{ worker_connections 64; }}
http {{
    access_log {place}/access.log;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    default_type application/octet-stream;
    server {{
        listen unix:{place}/socket;
        listen 127.0.0.1:{port};
        root {root};
    }}
}}
"""


@contextmanager
def nginx(root: Path, port: int) -> Iterator[str]:
    """The URL of an nginx that serves a folder, and nothing else, until the block ends."""
    path = program("nginx", "-v")
    with TemporaryDirectory(prefix="nearcast-nginx-") as name:
        place = Path(name)
        (place / "nginx.conf").write_text(NGINX.format(place=place, root=root, port=port))
        process = subprocess.Popen([path, "-c", place / "nginx.conf", "-p", place], stderr=subprocess.PIPE)
        try:
            _wait_for_socket(process, place / "socket")
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


def _wait_for_socket(process: "subprocess.Popen[bytes]", socket: Path) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not socket.exists():
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.fail(f"nginx ended: {process.stderr.read().decode()}")
        assert time.monotonic() < deadline_s
        time.sleep(POLL_S)


class Gateway:
    """A trustless gateway that knows the blocks of a CAR file, and what it was asked."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def requests(self) -> list[dict[str, object]]:
        """{method, url, status} of each request so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines()[1:]]


@contextmanager
def gateway(car: Path, log: Path, *options: str) -> Iterator[Gateway]:
    """The gateway runs until the block ends."""
    command: Sequence[str] = [*script("serve_gateway.mjs", "@ipld/car", "blockstore-core"), str(car), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield Gateway(str(json.loads(first_line(process, log))["url"]), log)
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
