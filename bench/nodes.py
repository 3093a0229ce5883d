"""Real nodes as separate processes, started by the real command."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEARCAST = str(Path(sys.executable).with_name("nearcast"))
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that said it is ready; `ready` is what it printed."""

    pid: int
    ready: dict[str, Any]


@contextmanager
def running(*arguments: str) -> Iterator[RunningNode]:
    """`nearcast ARGUMENTS --json`, from its first line until the block ends."""
    process = subprocess.Popen([NEARCAST, *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"nearcast {' '.join(arguments)} ended with {process.wait()} before it was ready")
        drain = threading.Thread(target=process.stdout.read)  # a line per request: nobody must wait for us to read it
        drain.start()
        yield RunningNode(process.pid, json.loads(line))
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def command(*arguments: str) -> dict[str, Any]:
    """What `nearcast ARGUMENTS --json` says when it is done."""
    done = subprocess.run([NEARCAST, *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """Resident memory of a process now (VmRSS), or its highest so far (VmHWM); Linux."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no {field}")


def reset_peak(pid: int) -> None:
    """Let VmHWM start anew from the present size (man 5 proc, clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
