"""The overlay on real sockets: 50 nodes over loopback QUIC, in a network of their own so that every byte is theirs.

    python -m bench.overlay [--nodes 50] [--idle 120]

Nodes run ten to a process, each with its own key, store and UDP socket; the first knows nobody, all the others start at
the same moment and know the first. Joined: it has neighbours and knows nodes of the hash table. Mutually reachable:
each looks in the hash table for what three others have told of, who look for what it has, and dials whom it finds. The
clock runs from the moment that they are told to start, so it counts the starting, too.

Idle traffic and CPU are per node, over a time in which nobody asks for anything. The kernel counts what passes the
loopback, IP and UDP headers included, each packet once: so it is what a node sends; it receives as much. Beside it
stands the same number of idle connections between endpoints that have no overlay.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.row import Row

NODES = 50
NODES_PER_PROCESS = 10
IDLE_S = 120.0
BARE_IDLE_S = 40.0  # a whole number of keep-alives
BARE_SETTLE_S = 15.0
SETTLE_S = 180.0  # after the last lookup: the announcements of a crowd, and what dials cost, are no idle traffic
REACH_DEADLINE_S = 120.0
LOOK_DEADLINE_S = 30.0
TRAFFIC_GOAL_BYTES_PER_S = 2_000.0
CPU_GOAL = 0.03
REACH_GOAL_S = 20.0
REACHED = "overlay: nodes joined and mutually reachable"
TRAFFIC = "overlay: idle traffic of a node, each way"
CPU = "overlay: idle CPU of a node, of one core"


def rows(only: str | None) -> Iterator[Row]:
    """Measured in a network namespace where there is one, else on this machine's loopback."""
    if only is None or any(only in name for name in (REACHED, TRAFFIC, CPU)):
        for fields in measured(NODES, IDLE_S)["rows"]:
            yield Row(**fields)


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
    """A process of bench/overlay_nodes.py; one line asks it, one line is its answer."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.overlay_nodes", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> Any:
        self.tell(question)
        return self.answer()

    def tell(self, question: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()

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


def ask_all(workers: list[Worker], question: str) -> list[Any]:
    """All of them at once; their answers, joined."""
    for worker in workers:
        worker.tell(question)
    return [each for worker in workers for each in worker.answer()]


def loopback_bytes() -> int:
    """What the loopback has received since it is up; whatever is sent on it is received on it."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    raise RuntimeError("there is no loopback")


def measure(nodes: int, idle_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        firsts = range(0, nodes, NODES_PER_PROCESS)
        workers = [Worker("--nodes", folder, first, min(NODES_PER_PROCESS, nodes - first)) for first in firsts]
        try:
            peers: list[str] = workers[0].ask("start " + json.dumps({"known": [], "count": 1}))
            for worker in workers:
                worker.ask("views")  # it has loaded everything
            start_s, cpu_before = time.monotonic(), _cpu_s(workers)
            peers += ask_all(workers, "start " + json.dumps({"known": peers}))
            started_s = time.monotonic() - start_s
            is_joined = _wait_until_joined(workers, nodes, start_s)
            joined_s = time.monotonic() - start_s
            found = ask_all(workers, "look " + json.dumps([peers, LOOK_DEADLINE_S]))
            reached_s, reaching_cpu_s = time.monotonic() - start_s, _cpu_s(workers) - cpu_before
            time.sleep(SETTLE_S)
            idle, views = _idle(workers, nodes, idle_s)
        finally:
            for worker in workers:
                worker.end()
    connections = sum(view["connections"] for view in views)
    bare_bytes_per_s = _bare(nodes, connections)
    is_reached = is_joined and all(each["reached"] == each["wanted"] for each in found)
    name = REACHED.replace("nodes", f"{nodes} nodes")
    floor = f"its {2 * connections / nodes:.0f} connections, no overlay"
    rows = [
        Row(name, reached_s if is_reached else float("inf"), "s", REACH_GOAL_S, lower_is_better=True),
        Row(TRAFFIC, idle["bytes_per_s"], "B/s", TRAFFIC_GOAL_BYTES_PER_S, lower_is_better=True),
        Row(TRAFFIC + " (beside)", idle["bytes_per_s"], "B/s", 3.0, floor, bare_bytes_per_s, lower_is_better=True),
        Row(CPU, idle["cpu"], "part", CPU_GOAL, lower_is_better=True),
    ]
    more = {
        "started_s": started_s,
        "joined_s": joined_s,
        "reaching_cpu_s": reaching_cpu_s,
        "pairs_reached": sum(each["reached"] for each in found),
        "pairs": sum(each["wanted"] for each in found),
        "tries": max(each["tries"] for each in found),
        "lookup_s": statistics.median([lookup_s for each in found for lookup_s in each["lookup_s"]] or [0.0]),
        "known_min": min(view["known"] for view in views),
        "links": statistics.median(view["links"] for view in views),
        "received": _received(views),
    }
    return {"rows": [asdict(row) for row in rows], "more": more | idle}


def _cpu_s(workers: list[Worker]) -> float:
    return sum(worker.cpu_s() for worker in workers)


def _wait_until_joined(workers: list[Worker], nodes: int, start_s: float) -> bool:
    """Whether everybody was a member in time."""
    while (members := sum(ask_all(workers, "members"))) < nodes:
        print(f"{time.monotonic() - start_s:.1f} s: {members} members", file=sys.stderr)
        if time.monotonic() - start_s > REACH_DEADLINE_S:
            return False
        time.sleep(0.2)
    return True


def _idle(workers: list[Worker], nodes: int, idle_s: float) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """What a node costs meanwhile, and what each of them says at the end."""
    before, bytes_before, cpu_before = ask_all(workers, "views"), loopback_bytes(), _cpu_s(workers)
    start_s = time.monotonic()
    time.sleep(idle_s)
    passed_s = time.monotonic() - start_s
    bytes_passed, cpu_s = loopback_bytes() - bytes_before, _cpu_s(workers) - cpu_before
    views: list[dict[str, Any]] = ask_all(workers, "views")
    dials = sum(view["dials"] for view in views) - sum(view["dials"] for view in before)
    return {
        "bytes_per_s": bytes_passed / passed_s / nodes,
        "cpu": cpu_s / passed_s / nodes,
        "dials_per_minute": dials / passed_s / nodes * 60,
    }, views


def _bare(endpoints: int, connections: int) -> float:
    """Bytes per second of an endpoint, each way, when so many idle connections stand between so many of them."""
    worker = Worker("--bare", endpoints, connections)
    try:
        assert worker.answer() >= connections
        time.sleep(BARE_SETTLE_S)
        bytes_before, start_s = loopback_bytes(), time.monotonic()
        time.sleep(BARE_IDLE_S)
        return (loopback_bytes() - bytes_before) / (time.monotonic() - start_s) / endpoints
    finally:
        worker.end()


def _received(views: list[dict[str, Any]]) -> dict[str, int]:
    """Messages by protocol, of the median node."""
    return {name: int(statistics.median(view["received"][name] for view in views)) for name in views[0]["received"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--idle", type=float, default=IDLE_S)
    parser.add_argument("--measure", action="store_true")
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.nodes, chosen.idle)))
    else:
        found = measured(chosen.nodes, chosen.idle)
        for fields in found["rows"]:
            print(Row(**fields).line())
        print(found["more"])


if __name__ == "__main__":
    main()
