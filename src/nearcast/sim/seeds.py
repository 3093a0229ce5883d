"""The seeds of one scenario, several at once: a run keeps one core busy, so each has a process of its own.

A run depends on the code, the scenario and its seed alone: it is the same in any process, to the last step. The
processes are started anew rather than forked, so that they inherit no thread and no lock. Ctrl-C goes to all processes
of a terminal, but the children do not hear it: their parent ends them, and each cleans up behind itself. A child whose
parent is gone ends, too.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import IO

from nearcast.errors import NearcastError
from nearcast.sim.runner import Outcome, run_seed
from nearcast.sim.scenario import Scenario

ENDS_WITHIN_S = 5.0  # of a child that was told to; guess: the folders of 200 whole nodes are removed in a second
EXIT_TOLD_TO_END = 128 + signal.SIGTERM  # what shells report


class LostSeedError(NearcastError):
    """A process that ran a seed was killed, perhaps for want of memory. What the other seeds gave is lost as well."""

    exit_code = 16


@dataclass(frozen=True, slots=True)
class Series:
    """What the seeds have in common; the fields are `run_seed`'s."""

    scenario: Scenario
    nodes: int | None = None
    duration_s: float | None = None
    all_faults: bool = False
    source: str | None = None

    def run(
        self,
        seed: int,
        trace_file: IO[str] | None = None,
        on_progress: Callable[[float, int], None] | None = None,
    ) -> Outcome:
        """One of them, here. Raises what `run_seed` does."""
        return run_seed(
            self.scenario,
            seed,
            self.nodes,
            duration_s=self.duration_s,
            all_faults=self.all_faults,
            source=self.source,
            trace_file=trace_file,
            on_progress=on_progress,
        )


def jobs_by_default() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_at_once(
    series: Series, seeds: Sequence[int], jobs: int, on_done: Callable[[int], None] | None = None
) -> list[Outcome]:
    """The seeds' outcomes in their order, from `jobs` processes; `on_done` is told how many there are.

    Raises LostSeedError when a process dies, and what `run_seed` does. No child is left, whatever happens.
    """
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        with _deaf_to_interrupts():
            futures = [pool.submit(_run, series, seed) for seed in seeds]  # this starts the processes
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            if on_done is not None:
                on_done(done)
    except BaseException as error:
        _end([child for child in multiprocessing.active_children() if child not in others])
        if isinstance(error, BrokenProcessPool):
            fix = "fewer at once need less memory: --jobs 1"
            raise LostSeedError("a process that ran a seed was killed before its end", fix=fix) from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started meanwhile are so for good; this one hears of an interrupt afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(children: Collection[BaseProcess]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.join(ENDS_WITHIN_S)
        if child.is_alive():
            child.kill()


# -- in the child ------------------------------------------------------------------------------------------------


def _run(series: Series, seed: int) -> Outcome:
    """One seed. Who is told to end unwinds as after Ctrl-C, so that folders are removed; between seeds it just ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return series.run(seed)
    except KeyboardInterrupt:
        os._exit(EXIT_TOLD_TO_END)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_with_parent() -> None:
    def wait() -> None:
        parent, main = multiprocessing.parent_process(), threading.main_thread().ident
        assert parent is not None
        assert main is not None
        parent.join()
        signal.pthread_kill(main, signal.SIGTERM)  # to that thread, since it may be waiting for the next seed

    threading.Thread(target=wait, daemon=True).start()
