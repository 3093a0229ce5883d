"""The driver of the coordinates' figures, small and on a generated matrix."""

import pytest

from nearcast.sim.run import Run
from nearcast.sim.scenario import Scenario, parse_scenario

TEXT = """
title = "small"
driver = "coordinates"
nodes = 30
[network]
latency = "{latency}"
sites = 30
[settings]
systems = ["vivaldi", "nearcast"]
lies = ["random"]
rounds = 40
"""


def scenario(latency: str = "generated") -> Scenario:
    return parse_scenario(TEXT.format(latency=latency), "small", "small.toml")


def played(seed: int) -> Run:
    from nearcast.sim.figures.coordinates import run

    one = Run(scenario(), seed, 30)
    run(one)
    return one


def test_every_system_and_lie_has_its_figures() -> None:
    figures = played(1).report.figures
    for system in ("vivaldi", "nearcast"):
        honest = figures[f"{system}_none_error_p90"].value
        assert honest > figures[f"{system}_none_error_median"].value > 0.0
        lied_to = figures[f"{system}_random_error_p90"].value
        assert figures[f"{system}_random_ratio_p90"].value == pytest.approx(lied_to / honest)
        assert figures[f"{system}_none_loss_median"].value >= 0.0
    assert "vivaldi_none_ratio_p90" not in figures


def test_a_seed_gives_one_trace() -> None:
    assert played(1).report.trace == played(1).report.trace != played(2).report.trace


def test_an_absent_matrix_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    from nearcast.sim.figures.coordinates import run

    monkeypatch.setenv("NEARCAST_DATA", str(tmp_path))
    one = Run(scenario("planetlab"), 1, 10)
    run(one)
    assert any("absent" in note for note in one.report.notes)
