"""Seeds in processes of their own: the same runs as one after the other, and no process outlives what it was for."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nearcast.errors import UsageError
from nearcast.sim.report import Figure
from nearcast.sim.runner import Outcome
from nearcast.sim.scenario import Scenario, parse_scenario
from nearcast.sim.seeds import LostSeedError, Series, jobs_by_default, run_at_once

TINY = """
title = "A few lookups"
driver = "lookup"
nodes = 60
duration_s = 190.0

[network]
latency = "generated"
jitter = 0.1

[settings]
join_over_s = 20
publish_over_s = 5
keys = 5
lookups = 20
"""
ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0  # who has not done it by then never does


class Doomed(Series):
    """Its second seed is killed by somebody else."""

    def run(self, seed: int, *_: object) -> Outcome:
        if seed == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome_of(seed)


class Waiting(Series):
    """Its first seed is done when the second one waits, which keeps a folder (`source`) for as long as it runs."""

    def run(self, seed: int, *_: object) -> Outcome:
        assert self.source is not None
        folder = Path(self.source)
        if seed == 1:
            until(folder.exists)
            return outcome_of(seed)
        folder.mkdir()
        try:
            signal.pause()
        finally:
            folder.rmdir()
        return outcome_of(seed)


def outcome_of(seed: int) -> Outcome:
    return Outcome("mine", seed, 10, {"one": Figure("one", 1.0)}, [], [], [], "", 0, 0.0, 0.0, "")


def until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)  # another process changes it, and says so by nothing else


@pytest.fixture
def children_know_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


def tiny(more: str = "") -> Scenario:
    return parse_scenario(TINY + more, "tiny", "tiny.toml")


def test_runs_are_the_same_in_processes_of_their_own() -> None:
    series = Series(tiny("[checks]\nhops_max = { at_most = 0 }\n"), 30, 200.0, source="tiny.toml")
    seen: list[int] = []
    at_once = run_at_once(series, [4, 2, 3], 2, seen.append)
    here = [series.run(seed) for seed in (4, 2, 3)]
    assert [each.seed for each in at_once] == [4, 2, 3]
    assert [each.trace for each in at_once] == [each.trace for each in here]
    assert len({each.trace for each in at_once}) == 3
    assert [replace(each, wall_s=0.0) for each in at_once] == [replace(each, wall_s=0.0) for each in here]
    assert at_once[0].replay == "nearcast sim tiny.toml --seed 4 --nodes 30 --duration 200"
    assert at_once[0].failures == here[0].failures != []
    assert seen == [1, 2, 3]
    assert multiprocessing.active_children() == []


def test_a_mistake_in_the_scenario_is_said_as_ever() -> None:
    scenario = replace(tiny(), settings={"looks": 1})
    with pytest.raises(UsageError, match="tiny: settings: no such key: looks") as error:
        run_at_once(Series(scenario), range(4), 2)
    assert error.value.fix == "did you mean lookups?"
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("children_know_the_tests")
def test_a_process_that_is_killed_is_one_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LostSeedError, match="killed before its end"):
        run_at_once(Doomed(tiny()), range(1, 5), 2)
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("children_know_the_tests")
def test_who_is_interrupted_ends_the_others_and_they_clean_up(tmp_path: Path) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "of the second"
    with pytest.raises(KeyboardInterrupt):
        run_at_once(Waiting(tiny(), source=str(folder)), [1, 2], 2, interrupt)
    assert not folder.exists()
    assert multiprocessing.active_children() == []


def test_who_loses_its_parent_ends_and_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "of the second"
    program = "import sys; from tests.sim.test_seeds import *; run_at_once(Waiting(tiny(), source=sys.argv[1]), [2], 1)"
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as parent:
        try:
            until(folder.exists)
        finally:
            parent.kill()
    until(lambda: not folder.exists())


def test_there_is_a_job_for_each_cpu_of_ours() -> None:
    assert 1 <= jobs_by_default() <= (os.cpu_count() or 1)
