"""The whole of Nearcast in a minute: a site is shared, mirrored, and read from two mirrors while one of them dies.

Everything that happens here is done by real `nearcast` processes, each with a data folder of its own, on loopback only:

    publisher    nearcast share SITE
    mirrors      nearcast get LINK, then nearcast up       (two of them)
    reader       nearcast get LINK                         from both mirrors; one is killed with SIGKILL in the middle

Run it with `make demo`; `--once` ends by itself, and the exit code says whether everything worked.
"""

import argparse
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_site import LARGE_FILE, build_site
from rich.console import Console
from rich.table import Table

NEARCAST = [sys.executable, "-c", "from nearcast.cli.main import main; main()"]
LARGE_BYTES = 200_000_000
LOOPBACK = ("--quic", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-lan")
KILL_AT = 0.4  # of the site's bytes have arrived at the reader
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.005  # 200 MB arrive in about a second here: a slower look would miss the middle


class DemoError(Exception):
    """Something did not go as it should."""


@dataclass(frozen=True)
class Node:
    """A running node of the demo."""

    role: str
    process: "subprocess.Popen[bytes]"
    ready: dict[str, Any]

    @property
    def peer(self) -> str:
        """`ID@host:port`."""
        if "peer" in self.ready:
            return str(self.ready["peer"])
        return str(self.ready["shared"][0]["link"]).removeprefix("nearcast://").partition("/")[0]


class Demo:
    """The steps, in order. `stack` ends what was started and removes what was written, in reverse."""

    def __init__(self, console: Console, folder: Path, stack: ExitStack) -> None:
        self.console = console
        self.folder = folder
        self.stack = stack
        self.step_number = 0

    def run(self) -> str:
        """The address for a browser. Raises DemoError."""
        self.step("A website is made from nothing")
        site = build_site(self.folder / "shorelines", LARGE_BYTES)
        self.say(f"{site.files} files, {site.size_bytes / 1e6:.0f} MB: pages, pictures, a script, and {LARGE_FILE}")

        self.step("A publisher shares it")
        publisher = self.node("publisher", "share", str(site.folder))
        shared = publisher.ready["shared"][0]
        self.say(f"nearcast share shorelines     ready after {publisher.ready['after_s']:.1f} s")
        self.say(f"name  {shared['cid']}")

        self.step("Two mirrors get it, and serve it from then on")
        mirrors = [self.mirror(number, shared["link"]) for number in (1, 2)]

        self.step("A reader gets it from both mirrors at once; one of them is killed in the middle")
        report, copy = self.read(mirrors, shared, site.size_bytes)

        self.step("What arrived is compared with what was shared, byte by byte")
        self.say(f"{compared(site.folder, copy)} files are the same, none differs, none is missing")

        self.step("A browser asks the surviving mirror")
        address = f"{mirrors[0].ready['url']}/ipfs/{shared['cid']}/"
        self.say(browsed(address, site.folder))
        self.console.print(self.table([publisher, *mirrors], report))
        return address

    def step(self, text: str) -> None:
        self.step_number += 1
        self.console.print(f"\n[bold cyan]{self.step_number}[/]  [bold]{text}[/]")

    def say(self, text: str) -> None:
        self.console.print(f"   {text}", markup=False, highlight=False)

    def node(self, role: str, *command: str) -> Node:
        """Start a node that serves, and wait until it says that it is ready."""
        log = self.folder / f"{role}.log"
        started_s = time.monotonic()
        with log.open("wb") as output, (self.folder / f"{role}.errors").open("wb") as errors:
            process = subprocess.Popen(
                [*NEARCAST, *command, *LOOPBACK, "--json", "--data-dir", str(self.folder / role)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops its nodes itself
            )
        self.stack.callback(stop, process)
        ready = first_line(process, log)
        return Node(role, process, ready | {"after_s": time.monotonic() - started_s})

    def reading(self, *command: str) -> "subprocess.Popen[bytes]":
        """A command whose bars are shown here (stderr) and whose report we read (stdout)."""
        arguments = [*NEARCAST, *command, "--json", "--no-lan"]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.stack.callback(stop, process)
        return process

    def mirror(self, number: int, link: str) -> Node:
        role = f"mirror-{number}"
        data_dir, copy = self.folder / role, self.folder / f"{role}-copy"
        report = finished(self.reading("get", link, str(copy), "--data-dir", str(data_dir)))
        shutil.rmtree(copy)  # the store has its own
        self.say(f"{role}: {report['verified'] / 1e6:.0f} MB verified in {report['seconds']:.1f} s, nearcast up")
        return self.node(role, "up")

    def read(self, mirrors: list[Node], shared: dict[str, Any], size_bytes: int) -> tuple[dict[str, Any], Path]:
        """The reader's report, and where its copy is. The second mirror is dead afterwards."""
        link = f"nearcast://{mirrors[0].peer}+{mirrors[1].peer}/{shared['cid']}#shorelines"
        data_dir, copy = self.folder / "reader", self.folder / "copy"
        reader = self.reading("get", link, str(copy), "--data-dir", str(data_dir))
        while reader.poll() is None and arrived_bytes(data_dir) < KILL_AT * size_bytes:
            time.sleep(POLL_S)
        if reader.poll() is not None:
            raise DemoError(f"the reader was done before a mirror could be killed: {finished(reader)}")
        os.kill(mirrors[1].process.pid, signal.SIGKILL)
        report = finished(reader)
        if len(report["sources"]) < 2:
            raise DemoError(f"the reader used one source only: {report['sources']}")
        rate = report["verified"] / report["seconds"] / 1e6
        self.say(
            f"mirror-2 was killed; all {report['verified'] / 1e6:.0f} MB are verified all the same, {rate:.0f} MB/s"
        )
        return report, copy

    def table(self, nodes: list[Node], report: dict[str, Any]) -> Table:
        """Who gave the reader what."""
        table = Table(title="\nWho gave the reader what", title_justify="left", box=None, padding=(0, 3, 0, 3))
        for name, justify in (("node", "left"), ("id", "left"), ("state", "left")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]  # the literals above
        table.add_column("verified", justify="right")
        table.add_column("share", justify="right")
        for node in nodes:
            endpoint_id = node.peer.partition("@")[0]
            given = sum(size for name, size in report["sources"].items() if endpoint_id.startswith(name[:8]))
            state = "serving" if node.process.poll() is None else "[red]killed[/]"
            share = f"{100 * given / report['verified']:.0f} %"
            table.add_row(node.role, endpoint_id[:8], state, f"{given / 1e6:.1f} MB", share)
        return table


def finished(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """The report of a command that ended. Raises DemoError when it failed."""
    output, _ = process.communicate()
    if process.returncode:
        raise DemoError(f"a command ended with {process.returncode}: {output.decode().strip()}")
    report: dict[str, Any] = json.loads(output)
    return report


def first_line(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    """What a node says when it is ready."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while b"\n" not in (said := log.read_bytes()):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise DemoError(f"a node did not start: {said.decode()} {log.with_suffix('.errors').read_text()}")
        time.sleep(POLL_S)
    ready: dict[str, Any] = json.loads(said.splitlines()[0])
    if "error" in ready:
        raise DemoError(ready["error"]["message"])
    return ready


def arrived_bytes(data_dir: Path) -> int:
    """What a store has on disk so far; its unfinished files are sparse, so blocks are counted, not lengths."""
    total = 0
    for path in data_dir.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def compared(original: Path, copy: Path) -> int:
    """How many files are the same. Raises DemoError when any is not."""
    names = [path.relative_to(original) for path in original.rglob("*") if path.is_file()]
    extra = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()} - set(names)
    different = [name for name in names if not filecmp.cmp(original / name, copy / name, shallow=False)]
    if different or extra:
        raise DemoError(f"different: {different}, not shared: {extra}")
    return len(names)


def browsed(address: str, original: Path) -> str:
    """Requests the page and a picture as a browser would. Raises DemoError when they are not what was shared."""
    for name, path in (("", "index.html"), ("pictures/dusk.png", "pictures/dusk.png")):
        with urllib.request.urlopen(address + name, timeout=10) as answer:
            if answer.status != 200 or answer.read() != (original / path).read_bytes():
                raise DemoError(f"{address}{name} is not what was shared")
            kind = answer.headers["content-type"]
    return f"GET {address[:40]}…/  200, and its picture came as {kind}"


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End one of our processes, kindly first."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that it cleans up."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def main() -> int:
    """The exit code: 0 when everything worked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="end when the steps are done instead of staying up")
    once = parser.parse_args().once
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    started_s = time.monotonic()
    try:
        with ended_by_signals(), ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearcast-demo-")))
            address = Demo(console, folder, stack).run()
            console.print(f"\n[bold green]It worked[/], in {time.monotonic() - started_s:.0f} s.")
            if not once:
                console.print(
                    f"\n   Open this in a browser:\n\n{address}\n\n   Ctrl-C stops everything.", soft_wrap=True
                )
                signal.pause()
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left behind.")
        return 130 if once else 0
    except (DemoError, OSError) as error:
        console.print(f"\n[bold red]It did not work:[/] {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
