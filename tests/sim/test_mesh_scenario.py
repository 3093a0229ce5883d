"""The scenario of whole nodes, small: it passes its checks, the same seed twice is the same, and a storm ends well."""

import pytest

from nearcast.sim.figures.mesh import components
from nearcast.sim.runner import Outcome, run_seed
from nearcast.sim.scenario import parse_scenario

SMALL = """
title = "A small mesh"
driver = "mesh"
nodes = 25
duration_s = 180

[network]
jitter = 0.1
loss = 0.01

[settings]
join_over_s = 10
keys = 20
lookups = 40
followed = 15
"""
CALM = """
[checks]
members = { at_least = 1.0 }
entered_p99 = { at_most = 20 }
lookup_success = { at_least = 1.0 }
announcement_reach_mean = { at_least = 0.999 }
"""
STORM = """
[churn]
replaced_per_hour = 20
[[partition]]
at_s = 75
for_s = 1000
[byzantine]
share = 0.1
behaviours = ["drop", "delay", "replay", "garble"]
often = 0.5
[liveness]
within_s = 240
"""


def play(more: str, seed: int = 1) -> Outcome:
    return run_seed(parse_scenario(SMALL + more, "small", "small.toml"), seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_calm_network_is_as_good_as_it_should_be_and_repeatable(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARCAST_DATA", "/nowhere")  # the same latencies wherever this runs
    outcome = play(CALM, seed)
    assert outcome.failures == []
    assert outcome.figures["traffic"].value > 0
    again = play(CALM, seed)
    assert (again.trace, again.figures) == (outcome.trace, outcome.figures)


def test_a_partitioned_network_with_liars_and_churn_is_one_again_when_it_is_healed() -> None:
    outcome = play(STORM)
    assert outcome.failures == []
    assert outcome.figures["replaced"].value > 0


def test_parts_are_counted() -> None:
    a, b, c, d = (bytes([at]) for at in range(4))
    assert components({a: [b], b: [], c: [], d: [c]}) == 2
    assert components({a: [b], b: [c], c: [d], d: []}) == 1
    assert components({a: [bytes(9)], b: []}) == 2, "a neighbour that is gone connects nothing"
