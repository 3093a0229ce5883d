"""Processes that begin where the imports end: `nearcast`, and programs of the tests, started hundreds of times.

The command needs half a second of a processor to import what it is made of, a development chain two; what the tests
want of it takes less. So one process per test worker (forkserver.py) imports everything, and forks for each command.
A fork is a process like any other: it has its own memory, folder, environment and files, is a child of ours, is killed
and ends with its exit code. What a fork cannot show is that a command imports all that it needs, and how soon it is
ready: where that is tested, with FRESH in the environment (`NEARCAST_TESTS_FRESH=1 make test`), and anywhere but on
Linux, each process starts from nothing.
"""

import atexit
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

COMMAND: Final = (sys.executable, "-c", "from nearcast.cli.main import main; main()")
"""What runs the command; its arguments follow."""
FRESH: Final = "NEARCAST_TESTS_FRESH"
"""In a process's environment: it starts from nothing."""
DEVNULL, PIPE = subprocess.DEVNULL, subprocess.PIPE
REQUEST_BYTES_MAX: Final = 128 << 10  # an environment of some KiB, and arguments
ROOT: Final = Path(__file__).parents[1]

_PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)
_EXECUTE: Final = "_execute_child"  # of subprocess.Popen: all between making the pipes and having a child
_SIGNATURE: Final = inspect.signature(getattr(subprocess.Popen, _EXECUTE))


class Process(subprocess.Popen[bytes]):
    """A subprocess.Popen; one of COMMAND, or of a program of the tests, is forked where that shows the same."""

    def _execute_child(self, *given: Any) -> None:
        named = _SIGNATURE.bind(self, *given).arguments
        environment = os.environ if named["env"] is None else named["env"]
        if named["preexec_fn"] or named["pass_fds"] or not _is_forkable(named["args"], environment):
            getattr(super(), _EXECUTE)(*given)
            return
        pipes = {name: named[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")}
        ends = (pipes["p2cread"], pipes["c2pwrite"], pipes["errwrite"])
        request = {
            "command": [os.fspath(part) for part in named["args"]],
            "folder": os.fspath(named["cwd"] or os.getcwd()),
            "environment": dict(environment),
        }
        self.pid = _server().fork(request, [number if end == -1 else end for number, end in enumerate(ends)])
        self._child_created = True
        getattr(self, "_close_pipe_fds")(*pipes.values())  # noqa: B009 - the type checker does not know it


def run(command: Sequence[str], *, input: bytes | None = None, timeout: float, **options: Any) -> "Ended":
    """A process's end, and all that it said. `options` are Popen's."""
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    with Process(
        command, **{"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    ) as process:
        try:
            stdout, stderr = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


Ended = subprocess.CompletedProcess[bytes]


def _is_forkable(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Python's own settings count from its first moment on, which a fork has behind it."""
    if sys.platform != "linux" or environment.get(FRESH) or not _is_known([os.fspath(part) for part in command]):
        return False
    return _settings_of_python(environment) == _settings_of_python(os.environ)


def _is_known(command: Sequence[str]) -> bool:
    match command:
        case [sys.executable, "-c", program, *_]:
            return program == COMMAND[2]
        case [sys.executable, "-m", module, *_]:
            return module.startswith("tests.")
        case [sys.executable, script, *_]:
            return script.endswith(".py")
    return False


def _settings_of_python(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("PYTHON", "LC_", "LANG")
    return {name: value for name, value in environment.items() if name.startswith(names) and name != "PYTHONPATH"}


class _Server:
    """The process that has imported everything. Whom it forks are our children: this process adopts orphans."""

    def __init__(self) -> None:
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        self._way, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forkserver", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._lock = threading.Lock()
        atexit.register(self.close)

    def fork(self, request: dict[str, Any], files: list[int]) -> int:
        """The id of a new process with these three files as its standard input, output and error."""
        with self._lock:
            socket.send_fds(self._way, [json.dumps(request).encode()], files)
            answer = self._way.recv(32)
        if not answer:
            raise RuntimeError(f"the server of forks ended with {self._process.wait()}")
        return int(answer)

    def close(self) -> None:
        self._way.close()
        self._process.wait()


@cache
def _server() -> _Server:
    return _Server()
