"""The registry of 10,000 nodes: read from a chain and verified, and read from the cache."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.registrations import CHAIN_ID, DOMAIN, Operator, anvil, chain, register
from bench.row import Row
from nearcast.chain.node_directory import NodeDirectory
from nearcast.chain.rpc import JsonRpc

NODES = 10_000
COLD = "read a registry of 10,000 nodes from the chain, verified"
WARM = "the same from the cache, asking the chain what is new"
COLD_MAX_S, WARM_MAX_MS = 10.0, 100.0
ROUNDS = 3
WARM_ROUNDS = 10
TIMEOUT_S = 60.0  # anvil's, for 30 MB of logs; not what is measured


def rows(only: str | None) -> Iterator[Row]:
    if only is not None and only not in COLD and only not in WARM:
        return
    program = anvil()
    if program is None:
        print("the registry is not measured: anvil is not installed, run scripts/interop-tools.sh", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        cold_s, warm_s = asyncio.run(measure(program, Path(folder)))
    yield Row(COLD, cold_s, "s", COLD_MAX_S, lower_is_better=True)
    yield Row(WARM, warm_s * 1000, "ms", WARM_MAX_MS, lower_is_better=True)


async def measure(program: str, home: Path) -> tuple[float, float]:
    """Seconds of the best cold and the best warm read. The chain's own time to answer is in both."""
    operators = [Operator.of(index) for index in range(NODES)]
    with chain(program, operators, home) as url:
        async with JsonRpc(url, CHAIN_ID, timeout_s=TIMEOUT_S) as rpc:
            await register(rpc, operators)
            cold = [await timed_load(rpc, home / f"{turn}.sqlite") for turn in range(ROUNDS)]
            warm = [await timed_load(rpc, home / "0.sqlite") for _ in range(WARM_ROUNDS)]
    return min(cold), min(warm)


async def timed_load(rpc: JsonRpc, path: Path) -> float:
    """Seconds from a closed cache to all records in force."""
    start = time.perf_counter()
    with NodeDirectory.open(path, rpc, DOMAIN) as directory:
        records = await directory.load()
        elapsed_s = time.perf_counter() - start
    if len(records) != NODES or not all(record.active for record in records):
        raise AssertionError(f"{len(records)} records of {NODES}")
    return elapsed_s
