"""What a driver would not heed is refused; and numbers of nodes that make no sense."""

import pytest

from nearcast.errors import UsageError
from nearcast.sim.runner import Outcome, check_nodes, run_seed
from nearcast.sim.scenario import load_scenario, parse_scenario


def play(text: str, *, all_faults: bool = False) -> Outcome:
    return run_seed(parse_scenario(text, "mine", "mine.toml"), 3, all_faults=all_faults)


@pytest.mark.parametrize(
    ("driver", "more", "told"),
    [
        ("lookup", "[byzantine]\nshare = 0.5", "byzantine.share has no effect with the driver lookup"),
        ("lookup", "[liveness]\nwithin_s = 5", "liveness.within_s has no effect"),
        ("broadcast", "[[partition]]\nat_s = 1\nfor_s = 1", "partition has no effect"),
        ("failure", "[churn]\nreplaced_per_hour = 1", "churn.replaced_per_hour has no effect"),
        ("coordinates", "[network]\nloss = 0.1", "network.loss has no effect"),
        ("whole_nodes", "[clocks]\nskew_s = 5", "clocks.skew_s has no effect"),
        ("whole_nodes", '[swarm]\n"network.duplication" = [0, 0.5]', "network.duplication has no effect"),
    ],
)
def test_trouble_that_would_never_come_is_refused(driver: str, more: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        play(f'title = "t"\ndriver = "{driver}"\nduration_s = 1\n{more}')


def test_swarm_mode_draws_what_the_driver_heeds() -> None:
    text = 'title = "t"\ndriver = "coordinates"\nnodes = 4\n[settings]\nrounds = 2\n'
    assert play(text, all_faults=True).drawn == {}


@pytest.mark.parametrize(
    ("name", "nodes", "told"),
    [
        ("lookup", 1, "lookup takes 2 nodes at least, not 1"),
        ("broadcast", 3, "broadcast takes 4 nodes at least"),
        ("coordinates", 2, "coordinates takes 3 nodes at least"),
        ("failure", 50, "failure has groups of sizes of its own"),
        ("van_renesse", 50, "van_renesse has groups of sizes of its own"),
    ],
)
def test_numbers_of_nodes_that_make_no_sense_are_refused(name: str, nodes: int, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_nodes(load_scenario(name), nodes)
    check_nodes(load_scenario(name), load_scenario(name).nodes)
