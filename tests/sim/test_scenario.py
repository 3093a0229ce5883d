"""Scenario files: what they may say, and one clear line for what they may not."""

import re
from pathlib import Path

import pytest

from nearcast.errors import UsageError
from nearcast.sim.runner import driver_of, for_seconds
from nearcast.sim.scenario import SCENARIOS, Check, lasting, load_scenario, packaged_scenarios, parse_scenario
from nearcast.sim.swarm import DEFAULT_RANGES, drawn, draws

GOOD = """
title = "A test"
driver = "epidemic"
nodes = 10
duration_s = 5
"""


def read(more: str = "", base: str = GOOD) -> object:
    return parse_scenario(base + more, "test", "test.toml")


def test_every_packaged_scenario_is_sound_and_has_a_driver() -> None:
    scenarios = packaged_scenarios()
    assert "epidemic" in [each.name for each in scenarios]
    assert len(scenarios) == len(list(SCENARIOS.glob("*.toml")))
    for each in scenarios:
        assert callable(driver_of(each)), each.name


def test_everything_that_a_file_can_say() -> None:
    scenario = parse_scenario(
        GOOD
        + """
        [network]
        latency = "generated"
        loss = 0.1
        handshake = false
        [churn]
        replaced_per_hour = 1
        lifetimes = "weibull"
        until_s = 4
        [[partition]]
        at_s = 1
        for_s = 2.5
        kind = "one-way"
        [[flash_crowd]]
        at_s = 2
        [byzantine]
        share = 0.2
        behaviours = ["drop", "lie"]
        [checks]
        reached = { at_least = 0.5 }
        [swarm]
        "network.loss" = [0, 0.2]
        [settings]
        anything = [1, 2]
        """,
        "test",
        "test.toml",
    )
    assert (scenario.name, scenario.duration_s, scenario.network.loss) == ("test", 5.0, 0.1)
    assert not scenario.network.handshake
    assert scenario.churn.until_s == 4.0
    assert (scenario.partition[0].kind, scenario.partition[0].for_s) == ("one-way", 2.5)
    assert scenario.flash_crowd[0].share == 1.0
    assert scenario.byzantine.behaviours == ("drop", "lie")
    assert scenario.check_of("reached") == Check(at_least=0.5)
    assert scenario.check_of("unchecked") is None
    assert scenario.swarm == {"network.loss": (0.0, 0.2)}
    assert scenario.settings == {"anything": [1, 2]}


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("[network", "test.toml: not TOML: "),
        ("[nettwork]", "test.toml: no such key: nettwork"),
        ("[network]\nlos = 0.1", "test.toml: network: no such key: los"),
        ("[network]\nloss = 0.95", "test.toml: network: loss: 0.95 is out of bounds: 0 to 0.9"),
        ("[network]\nloss = -1", "test.toml: network: loss: -1.0 is out of bounds: 0 to 0.9"),
        ("[network]\nloss = nan", "test.toml: network: loss: expected a finite number, not nan"),
        ("[network]\nloss = true", "test.toml: network: loss: expected a number, not True"),
        ("[network]\nhandshake = 1", "test.toml: network: handshake: expected true or false, not 1"),
        (
            '[network]\nlatency = "mars"',
            "test.toml: network: latency: 'mars' is not one of planetlab, ",
        ),
        ("network = 3", "test.toml: network: expected a table, not 3"),
        ("[partition]\nat_s = 1", "test.toml: partition: expected a list, not {'at_s': 1}"),
        ("[[partition]]\nat_s = 1", "test.toml: partition 1: for_s is missing"),
        ("[byzantine]\nbehaviours = ['sing']", "test.toml: byzantine: behaviours: 'sing' is not one of drop, "),
        ("[nat]\ncone = 0.6\nsymmetric = 0.6", "test.toml: nat: cone and symmetric add up to more than 1"),
        ("[checks]\nreached = 3", "test.toml: checks.reached: expected a table, not 3"),
        ("[checks]\nreached = { atleast = 3 }", "test.toml: checks.reached: no such key: atleast"),
        ('[swarm]\n"network.wind" = [0, 1]', "test.toml: swarm: network.wind is not a number of the scenario"),
        ('[swarm]\n"network.loss" = 0.3', "test.toml: swarm: network.loss: expected [least, most], not 0.3"),
        (
            '[swarm]\n"network.loss" = [0.3, 0.1]',
            "test.toml: swarm: network.loss: expected [least, most], not [0.3,",
        ),
        ('[swarm]\n"network.loss" = [0, 5]', "test.toml: swarm: network.loss: 5.0 is out of bounds: 0 to 0.9"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(more: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(complaint)}") as raised:
        read(more)
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ('driver = "x"', "title is missing"),
        (GOOD.replace("nodes = 10", "nodes = 0"), "nodes: 0 is out of bounds"),
        (GOOD.replace("nodes = 10", "nodes = 10.5"), "nodes: expected a whole number, not 10.5"),
        (GOOD.replace("nodes = 10", 'nodes = "ten"'), "nodes: expected a whole number, not 'ten'"),
    ],
)
def test_a_mistake_at_the_top(base: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^test.toml: {re.escape(complaint)}"):
        read(base=base)


def test_a_near_miss_is_pointed_out() -> None:
    with pytest.raises(UsageError) as raised:
        read("[network]\njiter = 0.1")
    assert raised.value.fix == "did you mean jitter?"


def test_names_and_paths(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load_scenario(str(path)).name == "mine"
    assert load_scenario("epidemic").driver == "epidemic"
    for unknown in ("nonesuch", "../../secret", str(tmp_path / "none.toml")):
        with pytest.raises(UsageError, match="no scenario "):
            load_scenario(unknown)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        load_scenario(str(path))


@pytest.mark.parametrize("driver", ["nonesuch", "os", "../epidemic", "__init__", "epidemic.run", "lookup_liars"])
def test_a_driver_is_a_file_of_ours(driver: str) -> None:
    scenario = parse_scenario(GOOD.replace('"epidemic"', f'"{driver}"'), "test", "test.toml")
    with pytest.raises(UsageError, match="no driver"):
        driver_of(scenario)


def test_a_scenario_can_last_longer_or_shorter() -> None:
    scenario = parse_scenario(GOOD, "test", "test.toml")
    assert lasting(scenario, 90.5) == parse_scenario(GOOD.replace("= 5", "= 90.5"), "test", "test.toml")
    for wrong_s in (0.0, -1.0, float("nan"), float("inf"), 1e9):
        with pytest.raises(UsageError, match=r"--duration is 0\.001 to 2,678,400 seconds"):
            lasting(scenario, wrong_s)
    with pytest.raises(UsageError, match="coordinates takes as long as its rounds do"):
        for_seconds(load_scenario("coordinates"), 100.0)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("[[mass_failure]]\nat_s = 3", "mass failure"),
        ("[[flash_crowd]]\nat_s = 3", "flash crowd"),
        ("[[partition]]\nat_s = 3\nfor_s = 1", "partition"),
        ("[churn]\nfrom_s = 3\nreplaced_per_hour = 1", "churn"),
    ],
)
def test_what_a_scenario_has_in_store_is_not_cut_off(more: str, what: str) -> None:
    scenario = parse_scenario(GOOD + more, "test", "test.toml")
    assert lasting(scenario, 3.1).duration_s == 3.1
    with pytest.raises(UsageError, match=f"--duration 3 ends before the {what} at 3 s of test"):
        lasting(scenario, 3.0)
    late = parse_scenario(GOOD + more.replace("= 3", "= 6"), "test", "test.toml")
    assert lasting(late, 2.0).duration_s == 2.0, "it was not part of the run before, either"


def test_swarm_draws_within_the_ranges_from_the_seed_alone() -> None:
    scenario = parse_scenario(GOOD + '[swarm]\n"network.loss" = [0.1, 0.3]', "test", "test.toml")
    losses = [drawn(scenario, seed).network.loss for seed in range(200)]
    assert losses == [drawn(scenario, seed).network.loss for seed in range(200)]
    assert {loss == 0 for loss in losses} == {True, False}, "some runs have no loss at all"
    assert all(loss == 0 or 0.1 <= loss <= 0.3 for loss in losses)
    assert len(set(losses)) > 50


def test_swarm_of_everything_stays_legal_and_is_told() -> None:
    scenario = parse_scenario(GOOD, "test", "test.toml")
    touched: set[str] = set()
    for seed in range(100):
        changed = draws(scenario, drawn(scenario, seed, all_faults=True))
        touched |= set(changed)
        for name, value in changed.items():
            least, most = DEFAULT_RANGES[name]
            assert least <= value <= most
    assert touched == set(DEFAULT_RANGES)
    assert not draws(scenario, drawn(scenario, 1))
