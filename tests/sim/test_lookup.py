"""The driver of lookups, in small: clocks that are wrong change nothing, and few peers are told so."""

import pytest

from nearcast.sim.runner import Outcome, run_seed
from nearcast.sim.scenario import parse_scenario

SMALL = """
title = "Few look for little"
driver = "lookup"
nodes = 12
duration_s = 220
[network]
latency = "constant"
[settings]
join_over_s = 10
publish_over_s = 5
keys = 8
lookups = 20
"""


def play(text: str) -> Outcome:
    return run_seed(parse_scenario(text, "mine", "mine.toml"), 3)


@pytest.mark.parametrize("clocks", ["skew_s = 60", "drift_ppm = 1000"])
def test_a_lookup_takes_as_long_by_a_wrong_clock(clocks: str) -> None:
    """The driver tells each machine the time of its own clock, as the simulation does."""
    right, wrong = play(SMALL).figures, play(f"{SMALL}[clocks]\n{clocks}\n").figures
    assert wrong["success"].value == 1.0
    for name in ("join_median", "lookup_median", "lookup_max"):
        assert wrong[name].value == pytest.approx(right[name].value, rel=0.2), name


def test_nobody_to_ask_is_said() -> None:
    """All of the few are gone but one, which provides everything: no endless search for somebody who looks."""
    few = SMALL.replace("keys = 8", "keys = 1").replace("= 12", "= 2")
    outcome = play(f"{few}[[mass_failure]]\nat_s = 76\nshare = 1.0\n")
    assert "hardly a peer is there that could look for it" in outcome.failures[0]
