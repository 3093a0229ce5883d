"""The overlay on real sockets: 50 nodes over loopback QUIC, in a network of their own so that every byte is theirs.

`python -m bench.overlay [--nodes 50] [--idle 60]`. Nodes run ten to a process, each with its own key, store and UDP
socket; the first knows nobody, every other one knows the first. Joined: every node knows every other one, where it is
and that it is alive. Reachable: every node finds by the hash table what another one has told, and is answered by it.
Idle traffic is what passes the loopback (IP and UDP headers counted, each packet once), CPU is what the processes took;
both per node, over a time in which nobody asks for anything.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.row import Row
from nearcast.config import Config, OverlayConfig, PeersConfig, QuicConfig
from nearcast.content.cid import raw_cid
from nearcast.errors import NearcastError
from nearcast.node import Node, run_node
from nearcast.overlay.peers import format_peer, parse_peer
from nearcast.transport.base import PeerAddress

NODES = 50
NODES_PER_PROCESS = 10
IDLE_S = 60.0
SETTLE_S = 30.0  # after the last lookup: what a dial costs in its first seconds is not idle traffic
JOIN_DEADLINE_S = 120.0
TRAFFIC_GOAL_BYTES_PER_S = 2_000.0
CPU_GOAL = 0.03
JOIN_GOAL_S = 20.0
INSIDE = "NEARCAST_BENCH_INSIDE"


def rows() -> list[Row]:
    """Measured in a network namespace where there is one, else on this machine's loopback."""
    return [Row(**fields) for fields in measured(NODES, IDLE_S)["rows"]]


def measured(nodes: int, idle_s: float) -> dict[str, Any]:
    """What the measuring process says."""
    command = [sys.executable, "-m", "bench.overlay", "--nodes", str(nodes), "--idle", str(idle_s), "--measure"]
    inside = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    probe = subprocess.run(["unshare", "-rn", "true"], capture_output=True)
    done = subprocess.run(inside if probe.returncode == 0 else command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# The process that measures


class Worker:
    """A process with some of the nodes; one line asks it, one line is its answer."""

    def __init__(self, folder: Path, first: int, count: int, seed: str) -> None:
        arguments = [str(folder), str(first), str(count), seed]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.overlay", "--worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def cpu_s(self) -> float:
        """Of the process and its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def loopback_bytes() -> int:
    """What the loopback has received since it is up."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    raise RuntimeError("there is no loopback")


def measure(nodes: int, idle_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.monotonic()
        workers = [Worker(Path(folder), 0, min(NODES_PER_PROCESS, nodes), "-")]
        try:
            peers: list[str] = workers[0].answer()
            for first in range(NODES_PER_PROCESS, nodes, NODES_PER_PROCESS):
                count = min(NODES_PER_PROCESS, nodes - first)
                workers.append(Worker(Path(folder), first, count, peers[0]))
            for worker in workers[1:]:
                peers += worker.answer()
            started_s = time.monotonic()
            joined_s = _wait_until_joined(workers, nodes) - started_s
            found = _look_for_each_other(workers, peers)
            time.sleep(SETTLE_S)
            idle = _idle(workers, nodes, idle_s)
            views = [view for worker in workers for view in worker.ask("views")]
        finally:
            for worker in workers:
                worker.end()
    looked = [each for each in found if each["found"]]
    links = statistics.median(view["links"] for view in views)
    rows = [
        Row(f"{nodes} nodes joined, each sees every other", joined_s, "s", JOIN_GOAL_S, lower_is_better=True),
        Row("of these found by the hash table and answered", len(looked) / nodes, "part", 1.0),
        Row("idle traffic of a node", idle["bytes_per_s"], "B/s", TRAFFIC_GOAL_BYTES_PER_S, lower_is_better=True),
        Row("idle CPU of a node, of one core", idle["cpu"], "part", CPU_GOAL, lower_is_better=True),
    ]
    lookup_s = statistics.median(each["lookup_s"] for each in looked) if looked else None
    more = {"started_s": started_s - start_s, "links": links, "lookup_s": lookup_s, "received": _received(views)}
    return {"rows": [asdict(row) for row in rows], "more": more}


def _received(views: list[dict[str, Any]]) -> dict[str, int]:
    """Messages by protocol, of the median node."""
    return {name: int(statistics.median(view["received"][name] for view in views)) for name in views[0]["received"]}


def _wait_until_joined(workers: list[Worker], nodes: int) -> float:
    """The moment at which everybody knew everybody."""
    deadline_s = time.monotonic() + JOIN_DEADLINE_S
    while time.monotonic() < deadline_s:
        known = [count for worker in workers for count in worker.ask("known")]
        if min(known) >= nodes - 1:
            break
        print(f"knows: {min(known)} to {max(known)}", file=sys.stderr)
        time.sleep(0.5)
    return time.monotonic()


def _look_for_each_other(workers: list[Worker], peers: list[str]) -> list[dict[str, Any]]:
    """Each node tells of a root of its own; each finds that of the next one."""
    for worker in workers:
        worker.ask("provide")
    time.sleep(SETTLE_S / 3)
    return [each for worker in workers for each in worker.ask("look " + json.dumps(peers))]


def _idle(workers: list[Worker], nodes: int, idle_s: float) -> dict[str, float]:
    bytes_before, cpu_before = loopback_bytes(), sum(worker.cpu_s() for worker in workers)
    start_s = time.monotonic()
    time.sleep(idle_s)
    passed_s = time.monotonic() - start_s
    bytes_passed = loopback_bytes() - bytes_before
    cpu_s = sum(worker.cpu_s() for worker in workers) - cpu_before
    return {"bytes_per_s": bytes_passed / passed_s / nodes, "cpu": cpu_s / passed_s / nodes}


# A process with nodes


async def work(folder: Path, first: int, count: int, seed: str) -> None:
    """Start the nodes, say where they are, answer questions until the process is ended."""
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number in range(first, first + count):
            known = (seed,) if seed != "-" else (format_peer(nodes[0].address),) if nodes else ()
            config = Config(
                folder / f"node-{number}",
                quic=QuicConfig(listen="127.0.0.1:0"),
                peers=PeersConfig(known=known, lan=False),
                overlay=OverlayConfig(region="de"),
            )
            nodes.append(await stack.enter_async_context(run_node(config, http=False)))
        print(json.dumps([format_peer(node.address) for node in nodes]), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            word, _, rest = line.strip().partition(" ")
            print(json.dumps(await _answer(nodes, word, rest)), flush=True)


async def _answer(nodes: list[Node], word: str, rest: str) -> Any:
    services = [node.meshing.service for node in nodes if node.meshing is not None and node.meshing.service is not None]
    match word:
        case "known":
            return [
                sum(bool(each["addresses"]) and each["state"] != "dead" for each in service.snapshot()["nodes"])
                for service in services
            ]
        case "provide":
            for service, node in zip(services, nodes, strict=True):
                service.provide([node.identity.endpoint_id])
            return None
        case "look":
            peers = [parse_peer(text) for text in json.loads(rest)]
            return list(await asyncio.gather(*(_looked(node, peers) for node in nodes)))
        case _:
            snapshots = [service.snapshot() for service in services]
            return [
                {"links": sum(link["open"] for link in each["links"]), "received": each["received"]}
                for each in snapshots
            ]


async def _looked(node: Node, peers: list[PeerAddress]) -> dict[str, Any]:
    """What the next node tells, looked for by this one: its endpoint id serves as a root."""
    place = [peer.endpoint_id for peer in peers].index(node.identity.endpoint_id)
    wanted = peers[(place + len(peers) // 2) % len(peers)].endpoint_id
    assert node.meshing is not None
    start_s = time.monotonic()
    far = await node.meshing.providers(raw_cid(wanted), (), 3.0)
    lookup_s = time.monotonic() - start_s
    named = [each for each in far.providers if each.endpoint_id == wanted]
    try:
        is_answered = bool(named) and bool(await node.finder.pool.get(named[0]))
    except NearcastError:
        is_answered = False
    return {"found": is_answered, "lookup_s": lookup_s}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--idle", type=float, default=IDLE_S)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--worker", nargs=4)
    chosen = parser.parse_args()
    if chosen.worker:
        folder, first, count, seed = chosen.worker
        asyncio.run(work(Path(folder), int(first), int(count), seed))
    elif chosen.measure:
        print(json.dumps(measure(chosen.nodes, chosen.idle)))
    else:
        found = measured(chosen.nodes, chosen.idle)
        for fields in found["rows"]:
            print(Row(**fields).line())
        print(found["more"])


if __name__ == "__main__":
    main()
