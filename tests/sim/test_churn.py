"""Peers come and go as the scenario says: rates, lifetimes, crowds, failures of many, partitions and their end."""

import random
import statistics
from dataclasses import replace
from typing import Any

import pytest
from tests.sim.toys import Note, Recorder, chatter, recorders, world

from nearcast.overlay.machine import Keep
from nearcast.sim.churn import depart, lifetime_s
from nearcast.sim.peer import CONE, OPEN, SYMMETRIC, Peer
from nearcast.sim.run import Run
from nearcast.sim.scenario import ChurnTable, Scenario, parse_scenario
from nearcast.sim.simulation import SILENCE_S

BASE = 'title = "t"\ndriver = "epidemic"\n[network]\nlatency = "constant"\nhandshake = false\n'
DRAWS = 20_000


def scenario(more: str) -> Scenario:
    return parse_scenario(BASE + more, "test", "test.toml")


def make_in(run: Run) -> Any:
    return lambda: run.simulation.add(Recorder(), run.simulation.new_address())


@pytest.mark.parametrize(
    ("lifetimes", "shape", "median_of_mean"),
    [
        ("exponential", 1.5, 0.693),  # ln 2
        ("weibull", 0.5, 0.240),  # (ln 2)^2 / gamma(3)
        ("pareto", 3.0, 0.840),  # 2^(1/3) * 2/3
    ],
)
def test_lifetimes_have_their_mean_and_their_shape(lifetimes: str, shape: float, median_of_mean: float) -> None:
    table = ChurnTable(replaced_per_hour=0.5, lifetimes=lifetimes, shape=shape)
    rng = random.Random(1)
    lives = [lifetime_s(table, rng) for _ in range(DRAWS)]
    assert statistics.fmean(lives) == pytest.approx(7200, rel=0.06), "half of them leave in an hour"
    assert statistics.median(lives) / 7200 == pytest.approx(median_of_mean, rel=0.04)


def test_half_the_peers_are_replaced_in_an_hour() -> None:
    run = Run(scenario("[churn]\nreplaced_per_hour = 0.5"), 1, 1000)
    make = make_in(run)
    run.grow(make, over_s=1.0)
    first = list(run.simulation.alive)
    run.churn(make, immortal=first[:10])
    run.until(3601.0)
    assert run.replaced == pytest.approx(500, abs=70)  # three standard deviations
    assert len(run.simulation.alive) == 1000
    assert all(peer.is_alive for peer in first[:10])
    assert [peer.position for peer in run.simulation.alive] == list(range(1000))


def test_churn_ends_at_its_time_and_when_it_is_healed() -> None:
    for more, heals in (("until_s = 1800", False), ("", True)):
        run = Run(scenario(f"[churn]\nreplaced_per_hour = 2\n{more}"), 1, 200)
        make = make_in(run)
        run.grow(make, over_s=1.0)
        run.churn(make)
        run.until(1800.0)
        if heals:
            run.heal()
        replaced = run.replaced
        assert replaced > 100
        run.until(5000.0)
        assert run.replaced == replaced


def test_who_leaves_politely_says_so() -> None:
    class Polite(Recorder):
        def leave(self, now_s: float) -> list[Any]:
            from nearcast.overlay.machine import Send

            return [Send(other.address, Note("goodbye"))]

    simulation = world()
    (heard,), (other,) = recorders(simulation, 1)
    for crashes in (True, False):
        depart(simulation, simulation.add(Polite(), simulation.new_address()), crashes=crashes)
    simulation.run_until(1.0)
    assert [message.text for _, _, message in heard.messages] == ["goodbye"]


def test_a_crowd_comes_and_half_of_all_fail_at_once() -> None:
    more = "[[flash_crowd]]\nat_s = 10\nshare = 2\nover_s = 5\n[[mass_failure]]\nat_s = 20\nshare = 0.5"
    run = Run(scenario(more), 1, 100)
    make = make_in(run)
    run.grow(make, over_s=1.0)
    keeps = run.simulation.alive[0]
    run.churn(make, immortal=[keeps])
    sizes = []
    for time_s in (9.9, 12.6, 15.1, 20.1):
        run.until(time_s)
        sizes.append(len(run.simulation.alive))
    assert sizes[0] == 100
    assert sizes[1] == pytest.approx(200, abs=10)
    assert sizes[2:] == [300, 150]
    assert keeps.is_alive


def test_partitions_come_and_go_and_none_comes_after_healing() -> None:
    more = "".join(f"[[partition]]\nat_s = {at}\nfor_s = {long}\n" for at, long in ((10, 10), (15, 20), (50, 9)))
    run = Run(scenario(more), 1, 20)
    make = make_in(run)
    run.grow(make, over_s=1.0)
    run.churn(make)
    states = []
    for time_s in (9.0, 11.0, 21.0, 36.0):
        run.until(time_s)
        states.append(run.simulation.network.partition is not None)
    assert states == [False, True, True, False], "the end of the first does not end the second"
    run.heal()
    run.until(51.0)
    assert run.simulation.network.partition is None


def test_kept_connections_across_a_partition_end_when_they_were_silent_for_long() -> None:
    run = Run(scenario("[[partition]]\nat_s = 1\nfor_s = 100\n[[partition]]\nat_s = 200\nfor_s = 5"), 1, 8)
    run.grow(make_in(run), over_s=0.5)
    simulation = run.simulation
    ring = list(simulation.alive)

    def keep_neighbours() -> None:
        for at, peer in enumerate(ring):
            simulation.give(peer, [Keep(ring[at - 1].address)])

    keep_neighbours()
    run.churn(lambda: None)
    run.until(1.5)
    sides = [peer.side for peer in ring]
    run.until(1.0 + SILENCE_S + 0.1)
    severed = [peer.index for peer in ring if peer.machine.unreachable]  # type: ignore[attr-defined]
    assert severed == [at for at in range(8) if sides[at] != sides[at - 1]] != []
    run.until(150.0)
    keep_neighbours()
    run.until(300.0)
    again = [peer.index for peer in ring if len(peer.machine.unreachable) > (peer.index in severed)]  # type: ignore[attr-defined]
    assert again == [], "a short partition is not noticed by connections that are silent anyway"


def test_healing_ends_loss_and_slowness_but_not_clocks() -> None:
    more = "loss = 0.5\nduplication = 0.5\nreordering = 0.5\n[slow]\nshare = 1\n[clocks]\nskew_s = 10"
    run = Run(scenario(more), 1, 20)
    run.grow(make_in(run), over_s=0.5)
    network = run.simulation.network
    assert all(peer.pause_s == 1.0 for peer in run.simulation.alive)
    run.heal()
    assert (network.loss, network.duplication, network.reordering) == (0.0, 0.0, 0.0)
    assert all(peer.pause_s == 0.0 for peer in run.simulation.alive)
    assert any(peer.clock_offset_s for peer in run.simulation.alive)
    make_in(run)()
    assert run.simulation.alive[-1].pause_s == 0.0


def test_shares_of_nat_slow_members_and_clocks() -> None:
    more = "[nat]\ncone = 0.5\nsymmetric = 0.2\n[slow]\nshare = 0.1\n[clocks]\nskew_s = 2\ndrift_ppm = 100"
    run = Run(scenario(more), 1, 2000)
    run.grow(make_in(run), over_s=0.1)
    peers = run.simulation.alive
    assert share(peers, nat=CONE) == pytest.approx(0.5, abs=0.04)
    assert share(peers, nat=SYMMETRIC) == pytest.approx(0.2, abs=0.03)
    assert share(peers, nat=OPEN) == pytest.approx(0.3, abs=0.04)
    assert share(peers, pause_s=1.0) == pytest.approx(0.1, abs=0.03)
    assert max(abs(peer.clock_offset_s) for peer in peers) == pytest.approx(2.0, abs=0.05)
    assert max(abs(peer.clock_rate - 1) for peer in peers) == pytest.approx(1e-4, abs=1e-5)


def share(peers: list[Peer], **wanted: object) -> float:
    return sum(all(getattr(peer, name) == value for name, value in wanted.items()) for peer in peers) / len(peers)


def test_what_one_fault_is_does_not_change_the_dice_of_another() -> None:
    """With and without NAT, the same peers are slow: scenarios can be compared."""
    slow = []
    for cone in (0.0, 0.5):
        one = scenario("[slow]\nshare = 0.3")
        run = Run(replace(one, nat=replace(one.nat, cone=cone)), 1, 100)
        run.grow(make_in(run), over_s=0.1)
        slow.append([peer.index for peer in run.simulation.alive if peer.pause_s])
    assert slow[0] == slow[1]
    assert 15 < len(slow[0]) < 45


def test_traffic_goes_on_under_churn() -> None:
    simulation = world()
    machines = chatter(simulation, 50)
    simulation.run_until(5.0)
    for peer in simulation.alive[:25]:
        simulation.crash(peer)
    simulation.run_until(30.0)
    assert len(simulation.alive) == 25
    assert sum(len(machine.unreachable) for machine in machines) > 50
