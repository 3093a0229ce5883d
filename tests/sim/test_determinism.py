"""The same seed twice is the same run: in one process, in two, and whatever the interpreter's own dice say."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nearcast.sim.peer import Peer
from nearcast.sim.runner import Outcome, run_seed
from nearcast.sim.scenario import load_scenario, parse_scenario

STORM = """
title = "Everything at once"
driver = "epidemic"
nodes = 60
duration_s = 30
[network]
jitter = 0.3
loss = 0.1
duplication = 0.2
reordering = 0.1
up_mbps = 1
[nat]
cone = 0.3
symmetric = 0.2
[clocks]
skew_s = 5
drift_ppm = 200
[slow]
share = 0.2
pause_s = 2
every_s = 3
[churn]
replaced_per_hour = 20
crash_share = 0.5
[[partition]]
at_s = 5
for_s = 5
[[mass_failure]]
at_s = 12
share = 0.2
[[flash_crowd]]
at_s = 15
share = 0.5
over_s = 3
[byzantine]
share = 0.2
behaviours = ["drop", "delay", "replay", "garble"]
often = 0.5
[settings]
is_reliable = false
"""


def storm(seed: int) -> Outcome:
    return run_seed(parse_scenario(STORM, "storm", "storm.toml"), seed)


def test_twice_in_one_process() -> None:
    random.seed(1)
    first = storm(1)
    random.seed(2)  # the interpreter's own dice are nobody's business
    second = storm(1)
    assert (first.trace, first.events, first.figures) == (second.trace, second.events, second.figures)
    assert first.events > 1000


def test_every_seed_is_another_run() -> None:
    assert len({storm(seed).trace for seed in range(5)}) == 5


def test_the_hash_covers_a_single_nanosecond(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message of thousands that arrives a nanosecond later is another hash."""
    from nearcast.sim.network import Network

    before = storm(1).trace
    honest = Network.delay_s
    late = 0

    def once(self: Network, sender: Peer, target: Peer, *arguments: Any) -> float:
        nonlocal late
        delay_s = honest(self, sender, target, *arguments)
        if late or delay_s < 0 or target.pause_s or target.index != 7:
            return delay_s
        late += 1
        return delay_s + 1e-9

    monkeypatch.setattr(Network, "delay_s", once)
    assert storm(1).trace != before
    assert late == 1


PROGRAM = """
import sys
from nearcast.sim.runner import run_seed
from nearcast.sim.scenario import load_scenario
file = open(sys.argv[2], "w")
outcome = run_seed(load_scenario(sys.argv[1]), 3, trace_file=file)
file.close()
print(outcome.trace, outcome.events)
"""


def test_two_processes_with_different_hash_seeds_agree_on_every_step(tmp_path: Path) -> None:
    scenario = tmp_path / "storm.toml"
    scenario.write_text(STORM)
    said, traces = [], []
    for hash_seed in ("0", "4711"):
        file = tmp_path / f"{hash_seed}.jsonl"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(scenario), str(file)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            timeout=60,
            check=True,
        )
        said.append(done.stdout)
        traces.append(file.read_bytes())
    assert said[0] == said[1]
    assert traces[0] == traces[1]
    assert traces[0].count(b"\n") > 1000


def test_progress_and_trace_file_change_nothing(tmp_path: Path) -> None:
    scenario = load_scenario("epidemic")
    seen: list[float] = []
    with (tmp_path / "trace").open("w") as file:
        watched = run_seed(
            scenario, 5, 50, trace_file=file, on_progress=lambda simulated_s, events: seen.append(simulated_s)
        )
    assert watched.trace == run_seed(scenario, 5, 50).trace
    assert seen == sorted(seen)
    assert len(seen) > 20
