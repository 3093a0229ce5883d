"""Memory of a node: when it is ready and idle, and at its highest while it serves 1 GiB over HTTP."""

import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.nodes import memory_bytes, reset_peak, running
from bench.row import Row
from bench.samples import MIB, random_file

SERVED_BYTES = 1 << 30
IDLE, SERVING = "memory of an idle node", "memory while serving 1 GiB"


def rows(only: str | None) -> Iterator[Row]:
    if only is not None and only not in IDLE and only not in SERVING:
        return
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        served = random_file(Path(folder) / "large.bin", SERVED_BYTES)
        data_dir = str(Path(folder) / "node")
        with running("share", str(served), "--data-dir", data_dir, "--http", "127.0.0.1:0", "--no-lan") as node:
            yield Row(IDLE, memory_bytes(node.pid) / MIB, "MiB", 120, lower_is_better=True)
            reset_peak(node.pid)
            drain(node.ready["shared"][0]["url"])
            yield Row(SERVING, memory_bytes(node.pid, "VmHWM") / MIB, "MiB", 250, lower_is_better=True)


def drain(url: str) -> None:
    """Read a file over HTTP and throw it away."""
    total = 0
    with urllib.request.urlopen(url) as response:
        while piece := response.read(MIB):
            total += len(piece)
    assert total == SERVED_BYTES
