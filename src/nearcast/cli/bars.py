"""Bars on a terminal: one per source and one for the whole of a fetch, one for an import.

Nothing is drawn when something arrives; a thread of rich's draws REFRESHES_PER_S times a second from the tally. All
bars of a fetch have the same scale, so that what the sources brought adds up to the total.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nearcast.cli.amounts import bytes_text, count_text, percent_text, rate_text, seconds_text
from nearcast.cli.output import Output, printable
from nearcast.cli.tally import Share, Tally

REFRESHES_PER_S = 8
RATE_WINDOW_S = 2.0  # a rate over less jumps, over more lags behind a source that stopped
NAME_COLUMNS, BAR_COLUMNS, RATE_COLUMNS, AMOUNT_COLUMNS, LAST_COLUMNS = 24, 22, 10, 17, 16  # 97 with what is between
FULL_COLUMNS = 97
NAME_COLUMNS_MIN, BAR_COLUMNS_MIN = 12, 8  # on a narrower terminal these two give way, and never the figures
FORECAST_FROM = 0.01  # of the whole: before that, nobody knows how long it will take


class Rate:
    """Bytes per second over the last RATE_WINDOW_S."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def at(self, now_s: float, total_bytes: int) -> float:
        self._samples.append((now_s, total_bytes))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - RATE_WINDOW_S:
            self._samples.popleft()
        (first_s, first_bytes), (last_s, last_bytes) = self._samples[0], self._samples[-1]
        return (last_bytes - first_bytes) / (last_s - first_s) if last_s > first_s else 0.0


class FetchBars:
    """Draws a tally while the body of its `with` runs; `say` prints a line above the bars."""

    def __init__(self, output: Output, tally: Tally, now_s: Callable[[], float] = time.monotonic) -> None:
        self._tally = tally
        self._now_s = now_s
        self._rates: dict[str, Rate] = {}
        console = output.console()
        missing = max(FULL_COLUMNS - console.width, 0)
        self._name_columns = max(NAME_COLUMNS - missing, NAME_COLUMNS_MIN)
        missing -= NAME_COLUMNS - self._name_columns
        self._bar_columns = max(BAR_COLUMNS - missing, BAR_COLUMNS_MIN)
        self._live = Live(
            console=console, get_renderable=self.table, refresh_per_second=REFRESHES_PER_S, redirect_stdout=False
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def say(self, line: str) -> None:
        self._live.console.print(line, markup=False, highlight=False)

    def table(self) -> Table:
        """The bars as they stand now."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=self._name_columns, no_wrap=True)
        grid.add_column(width=self._bar_columns)
        for columns in (RATE_COLUMNS, AMOUNT_COLUMNS, LAST_COLUMNS):
            grid.add_column(width=columns, justify="right", no_wrap=True)
        now_s = self._now_s()
        for share in list(self._tally.shares.values()):
            grid.add_row(*self._source_row(share, now_s))
        grid.add_row(*self._total_row(now_s))
        return grid

    def _source_row(self, share: Share, now_s: float) -> tuple[Text, ProgressBar | Text, Text, Text, Text]:
        rate = self._rate(share.name, now_s, share.verified_bytes)
        colour = "red" if share.lied else "yellow" if share.trouble else "cyan"
        state = Text(_state(share), style=colour) if share.trouble else Text(f"{rate_text(rate, 1)}")
        verified = Text(f"{share.verified_blocks:,} ✓", style="green")
        name = Text(f"  {printable(share.name)}", style=colour)
        return name, self._bar(share.verified_bytes, colour), state, Text(bytes_text(share.verified_bytes)), verified

    def _total_row(self, now_s: float) -> tuple[Text, ProgressBar | Text, Text, Text, Text]:
        done, total = self._tally.done_bytes, self._tally.total_bytes
        rate = self._rate("", now_s, self._tally.verified_bytes)
        amount = bytes_text(done) if total is None else f"{bytes_text(done)} of {bytes_text(total)}"
        last = "" if total is None else _forecast(done, total, rate)
        name, bar = Text("  total", style="bold"), self._bar(done, "green")
        return name, bar, Text(rate_text(rate, 1)), Text(amount, style="bold"), Text(last)

    def _bar(self, done: int, colour: str) -> ProgressBar:
        total = self._tally.total_bytes
        now_s = self._now_s()
        if total is None:
            return ProgressBar(total=None, pulse=True, width=self._bar_columns, animation_time=now_s)
        return ProgressBar(
            total=max(total, 1), completed=done, width=self._bar_columns, complete_style=colour, finished_style=colour
        )

    def _rate(self, name: str, now_s: float, total_bytes: int) -> float:
        return self._rates.setdefault(name, Rate()).at(now_s, total_bytes)


def _forecast(done: int, total: int, rate: float) -> str:
    """How long it still takes, or how far it is where that is not known."""
    if rate > 0 and FORECAST_FROM * total < done < total:
        return f"{seconds_text((total - done) / rate)} left"
    return percent_text(done, total)


def _state(share: Share) -> str:
    return "lied" if share.lied else "gone"


@contextmanager
def amount_bar(output: Output, label: str, total_bytes: int | None) -> Iterator[Callable[[int, int], None]]:
    """One bar for bytes read or written; call it with (bytes done, files done). It goes when the body ends."""
    columns = (TextColumn("  {task.description}"), BarColumn(BAR_COLUMNS), TextColumn("{task.fields[amount]}"))
    with Progress(*columns, TimeElapsedColumn(), console=output.console(), transient=True) as progress:
        task = progress.add_task(label, total=total_bytes, amount="")

        def show(done_bytes: int, done_files: int) -> None:
            whole = f" of {bytes_text(total_bytes)}" if total_bytes is not None else ""
            files = f", {count_text(done_files, 'file')}" if done_files else ""
            progress.update(task, completed=done_bytes, amount=bytes_text(done_bytes) + whole + files)

        yield show
