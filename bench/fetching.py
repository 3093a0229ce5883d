"""A verified fetch of 1 GiB between two processes over QUIC, against a bare stream of the same transport.

Both ends are real nodes: the publisher serves a file in place, the reader verifies each leaf and writes it to its own
store, durable at the end. The rival only moves the bytes and drops them.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.nodes import running
from bench.quic import bare_stream_mb_per_s
from bench.row import Row
from bench.samples import random_file

SIZE_BYTES = 1 << 30
ROUNDS = 3  # the two take turns; the best of each counts
NAME = "verified fetch of 1 GiB over QUIC"
ABSOLUTE = "the same, in MB/s"


def rows(only: str | None) -> Iterator[Row]:
    if only is not None and only not in NAME and only not in ABSOLUTE:
        return
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        path = random_file(Path(folder) / "large.bin", SIZE_BYTES)
        share = ("share", str(path), "--data-dir", f"{folder}/publisher", "--no-lan")
        with running(*share, "--http", "127.0.0.1:0", "--quic", "127.0.0.1:0") as node:
            link = node.ready["shared"][0]["link"]
            ours, bare = [], []
            for turn in range(ROUNDS):
                bare.append(bare_stream_mb_per_s(SIZE_BYTES))
                ours.append(fetched_mb_per_s(link, Path(folder) / f"reader-{turn}"))
    yield Row(NAME, max(ours), "MB/s", 0.8, "bare iroh stream", max(bare))
    yield Row(ABSOLUTE, max(ours), "MB/s", 200)


def fetched_mb_per_s(link: str, data_dir: Path) -> float:
    """From the link to durable bytes, by a reader in a process of its own."""
    command = [sys.executable, "-m", "bench.fetching", link, str(data_dir)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    shutil.rmtree(data_dir)  # its pages are free again: the next round need not wait for the machine to find new ones
    seconds = json.loads(done.stdout)["seconds"]
    return SIZE_BYTES / 1e6 / float(seconds)


async def read(link_text: str, data_dir: Path) -> None:
    """The reader's process: prints how long the fetch took."""
    from nearcast.clock import SystemClock
    from nearcast.config import Config, PeersConfig, QuicConfig
    from nearcast.naming.link import parse_link
    from nearcast.node import run_node

    config = Config(data_dir, quic=QuicConfig(listen="127.0.0.1:0"), peers=PeersConfig(lan=False))
    clock = SystemClock()
    async with run_node(config, http=False, announce=False) as node:
        start_s = clock.monotonic_s()
        report = await node.client.fetch(parse_link(link_text))
        print(json.dumps({"seconds": clock.monotonic_s() - start_s, "bytes": report.bytes_verified}))


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(read(sys.argv[1], Path(sys.argv[2])))
