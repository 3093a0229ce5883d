"""Removing 10,000 objects from a running node while somebody reads: how long it takes, how long a request waits."""

import http.client
import json
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench.nodes import command, running
from bench.row import Row
from bench.samples import small_files

SMALL_FILES, SMALL_BYTES = 9_000, 700  # in packs
LARGE_FILES, LARGE_BYTES = 1_000, 70_000  # each a file of its own in the store
REMOVING, WAITING = "remove 10,000 objects", "longest request meanwhile"
BETWEEN_REQUESTS_S = 0.001


def rows(only: str | None) -> Iterator[Row]:
    if only is None or only in REMOVING or only in WAITING:
        seconds, longest_s = remove_while_reading()
        yield Row(REMOVING, seconds, "s", 1.0, lower_is_better=True)
        yield Row(WAITING, longest_s * 1000, "ms", 10.0, lower_is_better=True)


def remove_while_reading() -> tuple[float, float]:
    """(seconds for the removal, the longest request during it in seconds)."""
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        data_dir = Path(folder) / "node"
        doomed = small_files(Path(folder) / "doomed", SMALL_FILES, SMALL_BYTES)
        small_files(doomed / "large", LARGE_FILES, LARGE_BYTES, seed=5)
        kept = small_files(Path(folder) / "kept", 1, SMALL_BYTES, seed=6)
        doomed_cid = command("add", str(doomed), "--data-dir", str(data_dir))["cid"]
        kept_cid = command("add", str(kept), "--data-dir", str(data_dir))["cid"]
        with running("up", "--data-dir", str(data_dir), "--http", "127.0.0.1:0", "--no-lan") as node:
            url = f"{node.ready['url']}/ipfs/{kept_cid}/0000000/0000000.dat"
            with Reader(url) as reader:
                start = time.perf_counter()
                removed = remove(data_dir, doomed_cid)
                seconds = time.perf_counter() - start
        assert removed >= SMALL_FILES + LARGE_FILES, removed
        assert reader.requests > 0
        return seconds, reader.longest_s


def remove(data_dir: Path, cid: str) -> int:
    """What `nearcast rm` asks of the running node, without the start of another process in the time."""
    door = json.loads((data_dir / "running.json").read_text())
    request = urllib.request.Request(
        f"http://{door['http_address']}/api/v0/remove",
        data=json.dumps({"links": [cid]}).encode(),
        headers={"authorization": f"Bearer {door['token']}"},
        method="POST",
    )
    with urllib.request.urlopen(request) as answer:
        return int(json.load(answer)["removed"])


class Reader:
    """Asks for one file again and again on one connection, and remembers the longest that it ever waited."""

    def __init__(self, url: str) -> None:
        self.longest_s = 0.0
        self.requests = 0
        self._url = urlsplit(url)
        self._stop, self._started = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Reader":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port)
        self._ask(connection)  # the first one opens the connection
        self.longest_s = 0.0
        self._started.set()
        while not self._stop.wait(BETWEEN_REQUESTS_S):
            self._ask(connection)
            self.requests += 1
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        start = time.perf_counter()
        connection.request("GET", self._url.path)
        answer = connection.getresponse()
        body = answer.read()
        self.longest_s = max(self.longest_s, time.perf_counter() - start)
        assert answer.status == http.client.OK
        assert len(body) == SMALL_BYTES
