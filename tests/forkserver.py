"""Imports everything that `nearcast` may need, and forks for each process that forks.py asks for.

    python -m tests.forkserver NUMBER          the number of its end of a SOCK_SEQPACKET pair

A request is a JSON object with three files beside it: {"command", "folder", "environment"} and the standard input,
output and error. The command is Python's own: -c and what runs `nearcast`, -m and a module, or a script. The answer is
the id of the new process. A process is forked twice and its parent ends, so that it becomes the child of whoever asked,
who adopts orphans.

This process has one thread and no event loop, and nothing that it imports starts one: what is forked is whole.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

from tests.forks import REQUEST_BYTES_MAX

import nearcast

NOT_OURS = ("eth_account", "typer.rich_utils", "zeroconf.asyncio")  # what commands import when needed


def import_everything() -> None:
    for module in pkgutil.walk_packages(nearcast.__path__, "nearcast."):
        importlib.import_module(module.name)
    for name in NOT_OURS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no collection of a fork looks at what all of them share


def serve(way: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Returns in each new process, with what it is to be."""
    while True:
        message, files, _, _ = socket.recv_fds(way, REQUEST_BYTES_MAX, 3)
        if not message:
            sys.exit()
        told, tell = os.pipe()
        between = os.fork()
        if between == 0:
            process = os.fork()
            if process == 0:
                os.close(told)
                os.close(tell)
                way.close()
                return json.loads(message), files
            _end(tell, process)
        os.close(tell)
        os.waitpid(between, 0)  # from now on whoever asked is the parent
        way.send(os.read(told, 32))
        for file in (told, *files):
            os.close(file)


def _end(tell: int, process: int) -> NoReturn:
    os.write(tell, str(process).encode())
    os._exit(0)


def become(request: dict[str, Any], files: list[int]) -> None:
    """Be what a new interpreter would be in this folder, with these files, this environment and these arguments."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell switches it off for what is in the background
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )


def run(command: list[str]) -> int:
    """The exit code of a command."""
    try:
        match command[1:]:
            case ["-c", program, *arguments]:
                sys.argv = ["-c", *arguments]
                exec(program, {"__name__": "__main__"})
            case ["-m", module, *arguments]:
                sys.argv = [module, *arguments]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case [script, *arguments]:
                sys.argv = [script, *arguments]
                runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def end_as(code: int) -> NoReturn:
    """End as the interpreter does, but do not take apart a thousand modules, which takes longer than most commands."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the other threads
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    import_everything()
    with socket.socket(fileno=int(sys.argv[1])) as end:
        wanted, ends = serve(end)
    become(wanted, ends)
    end_as(run(wanted["command"]))
