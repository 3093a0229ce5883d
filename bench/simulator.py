"""The simulator: what a simulated message costs beside SimPy, and how long ten minutes of ten thousand nodes take.

The first row is the bare engine: peers that hand on each message to another one, 50 ms away. Ours also draws jitter and
loss and hashes the trace; SimPy does only what its users cannot do without: a timeout with a callback per message. The
other row is everything a node of the overlay does (the scenario `mesh`), as `nearcast sim mesh` runs it.
"""

import random
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import simpy

from bench.row import Row
from nearcast.overlay.machine import Effect, Send
from nearcast.sim.latency import constant
from nearcast.sim.network import Network
from nearcast.sim.runner import run_seed
from nearcast.sim.scenario import load_scenario
from nearcast.sim.simulation import Simulation
from nearcast.transport.base import PeerAddress

ENGINE = "a simulated message"
WHOLE = "simulate 10,000 nodes of the overlay for ten minutes"
ENGINE_GOAL = 3.0  # times SimPy's; ours counts, weighs, delays, loses and hashes each message: guess
WHOLE_GOAL_S = 600.0
PEERS, ROUNDS, SIMULATED_S, ROUND_TRIP_S = 1_000, 5, 20.0, 0.1


def rows(only: str | None) -> Iterator[Row]:
    if only is None or only in ENGINE:
        ours_us, theirs_us = shortest_us(engine, their_engine)
        yield Row(ENGINE, ours_us, "µs", ENGINE_GOAL, "SimPy", theirs_us, lower_is_better=True)
    if only is None or only in WHOLE:
        outcome = run_seed(load_scenario("mesh"), 1)
        if outcome.failures:
            raise RuntimeError("; ".join(outcome.failures))
        yield Row(WHOLE, outcome.wall_s, "s", WHOLE_GOAL_S, lower_is_better=True)


def shortest_us(ours: Callable[[], int], theirs: Callable[[], int]) -> tuple[float, float]:
    """Microseconds per message; the two take turns, and the best of each counts."""
    rounds = [(_timed_us(ours), _timed_us(theirs)) for _ in range(ROUNDS)]
    return min(each for each, _ in rounds), min(each for _, each in rounds)


def _timed_us(act: Callable[[], int]) -> float:
    start = time.perf_counter()
    messages = act()
    return (time.perf_counter() - start) / messages * 1e6


class Relay:
    """Hands each message on to one of the others."""

    def __init__(self, others: list[PeerAddress], rng: random.Random) -> None:
        self._others = others
        self._random = rng.random

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        others = self._others
        return (Send(others[int(self._random() * len(others))], message),)

    def start(self, now_s: float) -> Iterable[Effect]:
        return ()

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        return ()

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        return ()


def engine() -> int:
    """A message per peer, handed on for SIMULATED_S; how often that was."""
    rng = random.Random(1)
    simulation = Simulation(1, Network(constant(ROUND_TRIP_S), random.Random(2)))
    addresses: list[PeerAddress] = [simulation.new_address() for _ in range(PEERS)]
    for address in addresses:
        peer = simulation.add(Relay(addresses, rng), address)
        simulation.give(peer, [Send(address, "message")])
    simulation.run_until(SIMULATED_S)
    return simulation.trace.steps


def their_engine() -> int:
    """The same in SimPy, by events and callbacks, without its processes."""
    rng = random.Random(1)
    environment = simpy.Environment()
    handed_on = 0

    def receive(event: Any) -> None:
        nonlocal handed_on
        handed_on += 1
        target = int(rng.random() * PEERS)
        environment.timeout(ROUND_TRIP_S / 2, (target, event.value[1])).callbacks.append(receive)

    for number in range(PEERS):
        environment.timeout(0.0, (number, "message")).callbacks.append(receive)
    environment.run(until=SIMULATED_S)
    return handed_on
