"""`nearcast sim` as people run it: the table, the failure that can be replayed, the pictures, the list."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.cli.conftest import People, Person

QUICK = ("epidemic", "--nodes", "60")
HARD = """
title = "Nobody can hear in no time"
driver = "epidemic"
nodes = 64
duration_s = 1

[liveness]
within_s = 1

[checks]
reached = { at_least = 1.0 }
"""


STUCK = """
title = "Nobody is paid in no time"
driver = "whole_nodes"
nodes = 8
duration_s = 5

[liveness]
within_s = 0

[settings]
get = 20.0
"""


@pytest.fixture
def anna(people: People) -> Person:
    return people("anna")


def test_a_run_prints_its_figures_and_ends_well(anna: Person) -> None:
    done = anna.run("sim", *QUICK, "--seed", "3")
    assert done.code == 0, done.stderr
    assert "60 peers, seed 3" in done.text
    assert "reached" in done.text
    assert "≥ 100.00 %  ✓" in done.text
    assert "trace  " in done.text


def test_the_same_seed_is_the_same_trace_whatever_the_interpreters_hash_seed(anna: Person) -> None:
    traces = []
    for hash_seed in ("0", "1"):
        anna.environment["PYTHONHASHSEED"] = hash_seed
        done = anna.run("sim", *QUICK, "--seed", "3", "--swarm", "--trace", f"{hash_seed}.jsonl", "--json")
        traces.append([run["trace"] for run in done.json["runs"]])
    assert traces[0] == traces[1]
    files = [(anna.home / f"{hash_seed}.jsonl").read_text() for hash_seed in ("0", "1")]
    assert files[0] == files[1]
    steps = [json.loads(line) for line in files[0].splitlines()]
    assert {"at_s", "to", "from", "kind", "what"} == set(steps[0])
    assert len(steps) > 100


def test_many_seeds_give_median_and_worst_and_one_object(anna: Person) -> None:
    done = anna.run("sim", *QUICK, "--seeds", "3", "--json")
    assert done.code == 0
    assert done.json["good"]
    assert [run["seed"] for run in done.json["runs"]] == [1, 2, 3]
    rounds = sorted(run["figures"]["rounds_over_theory"] for run in done.json["runs"])
    figure = done.json["figures"]["rounds_over_theory"]
    assert figure["median"] == rounds[1]
    assert figure["worst"] in (rounds[0], rounds[2])
    assert (figure["at_least"], figure["at_most"], figure["good"]) == (0.75, 1.35, True)


def test_a_failing_seed_is_replayed_with_the_command_it_prints(anna: Person) -> None:
    scenario = anna.home / "hard.toml"
    scenario.write_text(HARD)
    done = anna.run("sim", str(scenario), "--seed", "2", "--shrink")
    assert done.code == 15
    assert done.line().startswith("nearcast: hard failed with seed 2: not converged 1 s after")
    command = f"nearcast sim {scenario} --seed 2 --nodes 64"
    assert done.stderr.splitlines()[-1] == f"  fix: replay it: {command}"
    assert "It also fails with " in done.text
    again = anna.run(*command.split()[1:], "--json")
    assert again.code == 15
    (run,) = again.json["runs"]
    assert run["replay"] == command
    assert run["trace"] in done.text, "the same run, to the last step"
    assert not again.json["good"]


def test_a_world_that_fails_tells_its_story_and_its_trace_and_the_reason_in_one_line(anna: Person) -> None:
    scenario = anna.home / "stuck.toml"
    scenario.write_text(STUCK)
    done = anna.run("sim", str(scenario))
    assert done.code == 15
    assert "world: heals" in done.text
    assert done.line().startswith("nearcast: stuck failed with seed 1: liveness: ")
    assert "world: heals" not in done.stderr
    (run,) = anna.run(*done.stderr.splitlines()[-1].removeprefix("  fix: replay it: nearcast ").split(), "--json").json[
        "runs"
    ]
    assert len(run["trace"]) == 32
    assert f"trace  {run['trace']}" in done.text, "the same run, to the moment when it failed"


def test_many_seeds_at_once_are_the_same_runs(anna: Person) -> None:
    one, two = (anna.run("sim", *QUICK, "--seeds", "3", "--jobs", jobs, "--json") for jobs in "12")
    assert one.code == two.code == 0, two.stderr
    assert two.stderr == ""
    for each in (*one.json["runs"], *two.json["runs"]):
        assert each["wall_s"] > 0
    without = [[{**run, "wall_s": 0} for run in done.json["runs"]] for done in (one, two)]
    assert without[0] == without[1]
    assert one.json | {"runs": []} == two.json | {"runs": []}


def test_another_duration_is_part_of_the_command_that_replays_it(anna: Person) -> None:
    scenario = anna.home / "hard.toml"
    scenario.write_text(HARD)
    done = anna.run("sim", str(scenario), "--seeds", "2", "--duration", "2.5", "--json")
    assert done.code == 15
    assert done.json["duration_s"] == 2.5
    run = done.json["runs"][1]
    assert run["simulated_s"] == 3.5, "and a second in which to heal"
    assert run["replay"] == f"nearcast sim {scenario} --seed 2 --nodes 64 --duration 2.5"
    again = anna.run(*run["replay"].split()[1:], "--shrink", "--json").json
    assert again["runs"][0]["trace"] == run["trace"]
    assert again["smallest"]["replay"].endswith(" --duration 2.5")


def test_pictures(anna: Person) -> None:
    done = anna.run("sim", *QUICK, "--plot", "pictures", "--json")
    (picture,) = done.json["pictures"]
    assert ElementTree.fromstring((anna.home / picture).read_text()).tag.endswith("svg")


def test_the_list(anna: Person) -> None:
    done = anna.run("sim", "--list")
    assert done.code == 0
    assert "epidemic" in done.text
    names = [each["name"] for each in anna.run("sim", "--list", "--json").json["scenarios"]]
    assert "epidemic" in names
    assert anna.run("sim", "--list", "--quiet").text.split() == names


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonesuch"], "no scenario nonesuch"),
        (["epidemic", "--seeds", "2", "--trace", "t"], "--trace writes down one run"),
        (["epidemic", "--nodes", "1000001"], "--nodes is at most 100,000"),
        (["epidemic", "--nodes", "0"], "invalid value for '--nodes'"),
        (["epidemic", "--duration", "0"], "--duration is 0.001 to 2,678,400 seconds, not 0"),
        (["lookup", "--nodes", "1"], "lookup takes 2 nodes at least, not 1"),
        (["failure", "--nodes", "50"], "--nodes: failure has groups of sizes of its own"),
        (["epidemic", "--jobs", "0"], "invalid value for '--jobs'"),
        (["bad.toml"], "bad.toml: network: no such key: los"),
    ],
)
def test_mistakes_are_one_line(anna: Person, arguments: list[str], complaint: str) -> None:
    Path(anna.home / "bad.toml").write_text('title = "t"\ndriver = "epidemic"\n[network]\nlos = 1\n')
    done = anna.run("sim", *arguments)
    assert done.code == 2
    assert complaint in done.line()
