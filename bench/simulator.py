"""The simulator: what a simulated message costs beside SimPy, and how long ten minutes of thousands of nodes take.

The first row is the bare engine: peers that hand on each message to another one, 50 ms away. Ours also draws jitter and
loss and hashes the trace; SimPy does only what its users cannot do without: a timeout with a callback per message.

The other rows are scenarios as `nearcast sim` runs them, one seed on one core, no longer than the time that they
simulate. The hash table and the broadcast are the parts of the overlay whose figures depend on the size of the network,
so they have ten thousand nodes. All that a node does together (`mesh`) has a tenth of them: failure detection and
coordinates, which it adds, work in groups of a bounded size, whatever the network's; and ten thousand such nodes take
more than 27 minutes.
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
HASH_TABLE = "simulate 10,000 nodes of the hash table for ten minutes"
BROADCAST = "simulate 10,000 nodes of the broadcast for ten minutes"
WHOLE = "simulate 1,000 nodes of the whole overlay for ten minutes"
SCENARIOS = {HASH_TABLE: ("lookup", 10_000), BROADCAST: ("broadcast", 10_000), WHOLE: ("mesh", 1_000)}
ENGINE_GOAL = 3.0  # times SimPy's; ours counts, weighs, delays, loses and hashes each message: guess
TEN_MINUTES_S = 600.0  # what is simulated, and the goal
PEERS, ROUNDS, SIMULATED_S, ROUND_TRIP_S = 1_000, 5, 20.0, 0.1


def rows(only: str | None) -> Iterator[Row]:
    if only is None or only in ENGINE:
        ours_us, theirs_us = shortest_us(engine, their_engine)
        yield Row(ENGINE, ours_us, "µs", ENGINE_GOAL, "SimPy", theirs_us, lower_is_better=True)
    for name, (scenario, nodes) in SCENARIOS.items():
        if only is None or only in name:
            yield Row(name, simulated_in_s(scenario, nodes), "s", TEN_MINUTES_S, lower_is_better=True)


def simulated_in_s(scenario: str, nodes: int, duration_s: float = TEN_MINUTES_S) -> float:
    """How long it took. A run that fails its scenario's checks counts for nothing."""
    outcome = run_seed(load_scenario(scenario), 1, nodes, duration_s=duration_s)
    if outcome.failures:
        raise RuntimeError(f"{scenario}: " + "; ".join(outcome.failures))
    return outcome.wall_s


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
