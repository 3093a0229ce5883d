"""A run from its driver's side and from its judge's: phases, liveness, checks, failures, the line that replays it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from tests.sim.toys import Recorder, chatter

from nearcast.errors import UsageError
from nearcast.overlay.machine import Arm
from nearcast.sim import runner
from nearcast.sim.report import Figure, Report, broken, quantile
from nearcast.sim.run import Run
from nearcast.sim.runner import Outcome, run_seed, summary
from nearcast.sim.scenario import Check, Scenario, parse_scenario
from nearcast.sim.tables import bounded

BASE = 'title = "t"\ndriver = "mine"\nnodes = 20\nduration_s = 10\n[network]\nlatency = "constant"\nhandshake = false\n'
Driver = Callable[[Run], None]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a function as the driver of a scenario."""

    def play(driver: Driver, more: str = "", **options: Any) -> Outcome:
        module = SimpleNamespace(run=driver)
        monkeypatch.setattr(runner, "import_module", lambda name: module)
        return run_seed(parse_scenario(BASE + more, "mine", "mine.toml"), 7, **options)

    return play


def test_a_driver_gets_what_the_scenario_says(play: Callable[..., Outcome]) -> None:
    @dataclass(frozen=True)
    class Settings:
        often: int = bounded(3, least=1)
        names: tuple[str, ...] = ()

    seen: list[Any] = []

    def driver(run: Run) -> None:
        seen.extend([run.settings(Settings), run.nodes, run.duration_s, run.seed])
        run.grow(lambda: run.simulation.add(Recorder(), run.simulation.new_address()), over_s=2.0)
        seen.extend([len(run.simulation.alive), run.simulation.now_s])
        run.until(run.duration_s)

    outcome = play(driver, '[settings]\nnames = ["a", "b"]\n', nodes=5)
    assert seen == [Settings(names=("a", "b")), 5, 10.0, 7, 5, 2.0]
    assert outcome.is_good
    assert outcome.simulated_s == 10.0
    assert outcome.replay == "nearcast sim mine --seed 7 --nodes 5"
    assert outcome.notes == ["latencies: constant 100 ms"]
    seen.clear()
    longer = play(driver, nodes=5, duration_s=20.25, all_faults=True)
    assert (seen[2], longer.simulated_s) == (20.25, 20.25)
    assert longer.replay == "nearcast sim mine --seed 7 --nodes 5 --duration 20.25 --swarm"
    assert play(driver, nodes=5, duration_s=10).replay == outcome.replay, "the scenario's own is not named"
    with pytest.raises(UsageError, match="mine: settings: often: 0 is out of bounds"):
        play(driver, "[settings]\noften = 0\n")


def test_load_is_a_figure_by_itself(play: Callable[..., Outcome]) -> None:
    def driver(run: Run) -> None:
        simulation = run.new_simulation(size_of=lambda message: 50)
        chatter(simulation, 20, every_s=0.5)
        run.until(100.0)

    figures = play(driver).figures
    assert figures["messages_per_peer_s"].value == pytest.approx(2.0, rel=0.02)
    assert figures["bytes_per_peer_s"].value == pytest.approx(100.0, rel=0.02)


def test_checks_judge_figures(play: Callable[..., Outcome]) -> None:
    def driver(run: Run) -> None:
        run.report.figure("good", 0.9, "share")
        run.report.figure("slow", 12.0, "s")

    more = "[checks]\ngood = { at_least = 0.8, at_most = 1 }\nslow = { at_most = 10 }\nnever = { at_least = 1 }\n"
    outcome = play(driver, more)
    assert not outcome.is_good
    assert outcome.failures == [
        "slow is 12, at most 10 is demanded",
        "the figure never is checked, but the driver reports none of that name",
    ]
    assert play(driver, more, all_faults=True).is_good, "in a storm only liveness and errors count"


def test_a_network_that_heals_in_time_passes_and_says_when(play: Callable[..., Outcome]) -> None:
    def driver(run: Run) -> None:
        machines = chatter(run.simulation, 10)
        run.churn(lambda: None)
        run.until(2.0)
        assert run.simulation.network.partition is not None
        run.liveness(lambda: "too few" if min(len(machine.messages) for machine in machines) < 5 else None)

    outcome = play(driver, "[[partition]]\nat_s = 1\nfor_s = 1000\n[liveness]\nwithin_s = 30\n")
    assert outcome.is_good, outcome.failures
    assert 3 <= outcome.figures["converged_after"].value <= 30


def test_a_network_that_does_not_is_a_failure_with_the_reason(play: Callable[..., Outcome]) -> None:
    def driver(run: Run) -> None:
        run.liveness(lambda: "3 of 10 stand alone")

    outcome = play(driver, "[liveness]\nwithin_s = 12\n")
    assert outcome.failures == ["not converged 12 s after the network was healed: 3 of 10 stand alone"]
    assert outcome.simulated_s == 12.0


def test_a_failing_machine_is_a_failure_of_the_run(play: Callable[..., Outcome]) -> None:
    class Failing(Recorder):
        def on_timer(self, timer: object, now_s: float) -> list[Arm]:
            raise RuntimeError("broken")

    def driver(run: Run) -> None:
        run.simulation.add(Failing(first=[Arm(1.0, "tick")]), run.simulation.new_address())
        run.until(5.0)

    (failure,) = play(driver, "[checks]\nnever = { at_least = 1 }\n").failures
    assert failure.startswith("at 1.000000 s, peer 0")
    assert failure.endswith("RuntimeError: broken")


def test_liars_are_as_many_as_asked_for_and_can_be_pardoned(play: Callable[..., Outcome]) -> None:
    runs: list[Run] = []

    def driver(run: Run) -> None:
        runs.append(run)
        for _ in range(1000):
            run.wrap(Recorder())
        run.heal(pardons=True)

    play(driver, "[byzantine]\nshare = 0.2\n")
    assert len(runs[0].liars) == pytest.approx(200, abs=40)
    assert all(liar.is_pardoned for liar in runs[0].liars)


def test_several_simulations_in_one_run(play: Callable[..., Outcome]) -> None:
    def driver(run: Run) -> None:
        for count in (5, 10):
            simulation = run.new_simulation(f"{count} peers")
            chatter(simulation, count)
            run.until(3.0)

    outcome = play(driver)
    assert outcome.simulated_s == 6.0
    first, second = outcome.trace.split("-")
    assert first != second


def test_identities_are_real_and_from_the_seed() -> None:
    scenario = parse_scenario(BASE, "mine", "mine.toml")
    run, again = (Run(scenario, 1, 10) for _ in range(2))
    someone = run.identities.new()
    signature = someone.sign(b"text")
    for _ in range(2):  # the second answer is remembered
        assert run.identities.verify(someone.address.endpoint_id, b"text", signature)
        assert not run.identities.verify(someone.address.endpoint_id, b"other", signature)
    assert again.identities.new() == someone
    assert run.identities.new() != someone


def test_dice_of_a_peer_are_its_own() -> None:
    run = Run(parse_scenario(BASE, "mine", "mine.toml"), 1, 10)
    dice = [run.rng_of(bytes([at]) * 32, purpose).random() for at in range(3) for purpose in ("a", "b")]
    assert len(set(dice)) == 6
    assert run.rng_of(bytes(32)).random() == run.rng_of(bytes(32)).random()


def outcome_of(seed: int, **figures: float) -> Outcome:
    named = {name: Figure(name, value) for name, value in figures.items()}
    return Outcome("mine", seed, 10, named, [], [], [], "", 0, 0.0, 0.0, "")


def test_a_summary_has_the_median_and_the_worst() -> None:
    checks = "[checks]\nhigh = { at_least = 5 }\nnear = { at_least = 0, at_most = 10 }\n"
    scenario: Scenario = parse_scenario(BASE + checks, "mine", "mine.toml")
    outcomes = [outcome_of(at, high=6.0 + at, low=1.0 * at, near=4.0 + at) for at in range(3)]
    rows = {row["figure"]: row for row in summary(outcomes, scenario)}
    assert (rows["high"]["median"], rows["high"]["worst"], rows["high"]["good"]) == (7.0, 6.0, True)
    assert (rows["low"]["median"], rows["low"]["worst"]) == (1.0, 2.0)
    assert rows["near"]["worst"] in (4.0, 6.0)
    assert "good" not in rows["low"]


def test_quantiles_and_bounds() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.25, 0.5, 0.51, 1.0)] == [1, 2, 3, 4]
    assert math.isnan(quantile([], 0.5))
    assert broken(Figure("x", math.nan), Check(at_most=1.0)) is not None, "a figure of nothing passes no check"
    assert broken(Figure("x", 1.0), Check(at_least=1.0, at_most=1.0)) is None
    report = Report()
    report.quantiles("rtt", [3.0, 1.0, 2.0], "s")
    assert {name: figure.value for name, figure in report.figures.items()} == {
        "rtt_median": 2.0,
        "rtt_p90": 3.0,
        "rtt_p99": 3.0,
        "rtt_max": 3.0,
    }
