"""Bars of the simulator, on a terminal; nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nearcast.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def simulated_bar(output: Output, label: str, duration_s: float) -> Iterator[Callable[[float, int], None] | None]:
    """Of one run: its simulated seconds and its events."""
    if not output.shows_bars:
        yield None
        return
    with _progress(output) as progress:
        task = progress.add_task(label, total=duration_s, amount="")

        def show(simulated_s: float, events: int) -> None:
            amount = f"{simulated_s:,.0f} of {duration_s:,.0f} s simulated, {events:,} events"
            progress.update(task, completed=simulated_s, amount=amount)

        yield show


@contextmanager
def seeds_bar(output: Output, label: str, seeds: int) -> Iterator[Callable[[int], None] | None]:
    """Of many runs: how many are done."""
    if not output.shows_bars:
        yield None
        return
    with _progress(output) as progress:
        task = progress.add_task(label, total=seeds, amount=f"0 of {seeds:,} seeds done")
        yield lambda done: progress.update(task, completed=done, amount=f"{done:,} of {seeds:,} seeds done")


def _progress(output: Output) -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("  {task.description}"), BarColumn(22), TextColumn("{task.fields[amount]}"))
    return Progress(*columns, TimeElapsedColumn(), console=output.console(), transient=True)
