"""The part that `share` and `up` have in common: a node in the foreground that says what it serves until it is stopped.

Ctrl-C and SIGTERM end it cleanly with exit code 0: open transfers are cut, the store is closed, and one line sums up
what was served.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from nearcast.cli.livelines import LiveLines
from nearcast.cli.output import Output
from nearcast.cli.traffic import Served, Traffic, terminal_columns
from nearcast.config import Config
from nearcast.gateways.http.request import RequestLine
from nearcast.node import Node, run_node
from nearcast.node.money_wish import MoneyWish

FETCH_SERVED_EVENT = "served"  # delivery/serve.py tells it for every fetch that another node made
QUIET_S = 1.0  # a node fetches a file in many parts: they are one line, once no more has come for so long


class LiveLog:
    """Prints a line for every request and adds them up."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines = LiveLines()
        self._traffic = Traffic()
        self._started_s = time.monotonic()
        self._parts: Served | None = None
        self._parts_started_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.is_open = False  # nothing is printed before the links are

    def request(self, line: RequestLine) -> None:
        """One HTTP request."""
        self._tell(Served(line.client, line.method, line.path, str(line.status), line.size_bytes, line.duration_s))

    def event(self, name: str, fields: dict[str, Any]) -> None:
        """One telemetry event; only fetches of other nodes are shown."""
        if name == FETCH_SERVED_EVENT:
            what = str(fields["root"]) + ("/" + fields["path"] if fields["path"] else "")
            who = str(fields["peer"])[:8]
            self._gather(Served(who, "quic", what, fields["end"], fields["size_bytes"], fields["seconds"]))

    def close(self) -> None:
        """The line at the end."""
        self._flush()
        seconds = time.monotonic() - self._started_s
        gap = "\n" if self._traffic.requests else ""  # nothing stands between the links and this line
        fields, line = self._traffic.fields(seconds), f"{gap}  {self._traffic.summary(seconds)}"
        self._lines.put(lambda: self._output.live(fields, line=line))
        self._lines.close()

    def _gather(self, part: Served) -> None:
        """Parts of one download overlap: their line tells the time from the first one's start to the last one's end."""
        now_s = time.monotonic()
        joined = self._parts.joined(part) if self._parts is not None else None
        if joined is None:
            self._flush()
            joined, self._parts_started_s = part, now_s - part.seconds
        self._parts = replace(joined, seconds=now_s - self._parts_started_s)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._flush)

    def _flush(self) -> None:
        if self._parts is not None:
            parts, self._parts = self._parts, None
            self._tell(parts)

    def _tell(self, served: Served) -> None:
        self._traffic.add(served)
        if self.is_open:
            now = datetime.now().astimezone()
            fields, line = served.fields(now), "  " + served.line(now, terminal_columns() - 2)
            self._lines.put(lambda: self._output.live(fields, line=line))


@asynccontextmanager
async def serving(
    output: Output, config: Config, money: MoneyWish | None = None
) -> AsyncIterator[tuple[Node, LiveLog]]:
    """A node that serves, and its log."""
    log = LiveLog(output)
    async with run_node(config, on_request=log.request, money=money) as node:
        node.telemetry.listen(log.event)
        yield node, log


async def until_stopped(log: LiveLog, stopped: asyncio.Event) -> None:
    """Show what is served until Ctrl-C or SIGTERM, then sum up."""
    log.is_open = True
    await stopped.wait()
    log.close()
    log.is_open = False


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """From here on Ctrl-C and SIGTERM end the command cleanly: to be entered before "Ctrl-C stops" is printed."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
