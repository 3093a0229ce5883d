"""The drivers of the scenarios, in small; and that their scales weigh right."""

from dataclasses import replace
from typing import Any

from tests.overlay.failure.groups import GroupRun

from nearcast.overlay import codec
from nearcast.overlay.failure.messages import Heartbeats
from nearcast.sim.figures.failure_group import Scales
from nearcast.sim.runner import Outcome, run_seed
from nearcast.sim.scenario import load_scenario


def outcome(name: str, nodes: int, duration_s: float, **changes: Any) -> Outcome:
    scenario = load_scenario(name)
    settings = {**scenario.settings, **changes}
    network = replace(scenario.network, latency="constant")
    small = replace(scenario, settings=settings, duration_s=duration_s, network=network, checks={})
    return run_seed(small, 1, nodes)


def test_the_scales_give_the_encoded_size() -> None:
    scales = Scales()

    def size_of(message: Any) -> int:
        assert scales(message) == codec.size_bytes(message), message
        return 0

    run = GroupRun(40, loss=0.1, size_of=size_of)
    run.simulation.crash(run.peers[0])
    run.simulation.run_until(40)
    assert run.simulation.sent_of_kind
    contacts = [run.simulation.new_address() for _ in range(300)]
    for count in (0, 1, 23, 24, 300):
        size_of(Heartbeats(tuple((contact, 40**at % (1 << 53)) for at, contact in enumerate(contacts[:count]))))


def test_sizes_are_compared() -> None:
    changes = {"detectors": ["wan", "van_renesse"], "beside_max": 20, "beside_crashes": 1}
    found = outcome("failure", 30, 30.0, sizes=[20, 40], crashes=3, crash_every_s=1.0, watch_s=70.0, **changes)
    assert found.failures == []
    values = {name: figure.value for name, figure in found.figures.items()}
    assert values["false_deaths_20"] == values["false_deaths_40"] == 0
    assert values["known_to_40"] == 1.0
    assert 3 < values["first_missed_mean_20"] < 20
    assert values["first_dead_growth"] < 2
    assert 10 < values["sent_bytes_per_s_40"] < 300
    assert values["false_deaths_20_van_renesse"] == 0
    assert values["sent_bytes_per_s_20_van_renesse"] > 3 * values["sent_bytes_per_s_20"]
    assert "false_deaths_40_van_renesse" not in values


def test_lifeguard_spares_the_healthy() -> None:
    found = outcome(
        "failure_slow", 30, 50.0, detectors=["plain_swim", "lan"], share=0.15, blocked_s=[16.0], running_s=[4.0]
    )
    values = {name: figure.value for name, figure in found.figures.items()}
    assert values["false_deaths_plain_swim"] > 50
    assert values["times_fewer_lan"] > 20


def test_who_stands_still_accuses_nobody() -> None:
    found = outcome("failure_slow", 30, 40.0, detectors=["lan"], kind="still", blocked_s=[16.0], running_s=[4.0])
    assert found.figures["false_deaths_lan"].value == 0


def test_the_gossip_detector_takes_its_time() -> None:
    found = outcome("van_renesse", 20, 100.0, sizes=[10, 20], crashes=2)
    assert found.failures == []
    for size in (10, 20):
        analysed = found.figures[f"analysed_{size}"].value
        assert abs(found.figures[f"simulated_{size}"].value / analysed - 1) < 0.1
