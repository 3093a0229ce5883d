"""The smallest machines that show what the simulation does to one."""

import random
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.sim.latency import Latency, constant
from nearcast.sim.network import Network
from nearcast.sim.peer import Peer
from nearcast.sim.simulation import Simulation
from nearcast.transport.base import PeerAddress

RTT_S = 0.1


@dataclass(frozen=True, slots=True)
class Note:
    """A message."""

    text: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Got:
    """What a Recorder tells."""

    text: str


class Recorder:
    """Writes down whatever happens to it."""

    def __init__(self, first: Sequence[Effect] = (), answers: Sequence[Effect] = ()) -> None:
        self.first = first
        self.answers = answers
        self.started_s: float | None = None
        self.messages: list[tuple[float, bytes, Any]] = []
        self.timers: list[tuple[float, Hashable]] = []
        self.unreachable: list[tuple[float, bytes]] = []

    def start(self, now_s: float) -> Iterable[Effect]:
        self.started_s = now_s
        return self.first

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> Iterable[Effect]:
        self.messages.append((now_s, sender.endpoint_id, message))
        return [*self.answers, Tell(Got(message.text))]

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        self.timers.append((now_s, timer))
        return ()

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> Iterable[Effect]:
        self.unreachable.append((now_s, endpoint_id))
        return ()


class Chatterer(Recorder):
    """Sends to a random other one every `every_s`, for ever."""

    def __init__(self, everybody: list[PeerAddress], rng: random.Random, every_s: float, is_reliable: bool) -> None:
        super().__init__()
        self.everybody, self.rng, self.every_s, self.is_reliable = everybody, rng, every_s, is_reliable
        self.sent = 0

    def start(self, now_s: float) -> Iterable[Effect]:
        return (Arm(self.rng.random() * self.every_s, "chat"),)

    def on_timer(self, timer: Hashable, now_s: float) -> Iterable[Effect]:
        self.sent += 1
        to = self.everybody[self.rng.randrange(len(self.everybody))]
        return Send(to, Note(number=self.sent), self.is_reliable), Arm(self.every_s, "chat")


def world(latency: Latency | None = None, *, seed: int = 1, **network: Any) -> Simulation:
    """A simulation without peers; all are RTT_S apart."""
    return Simulation(seed, Network(latency or constant(RTT_S), random.Random(seed), **network))


def recorders(simulation: Simulation, count: int) -> tuple[list[Recorder], list[Peer]]:
    """So many recorders in it."""
    machines = [Recorder() for _ in range(count)]
    return machines, [simulation.add(machine, simulation.new_address()) for machine in machines]


def chatter(simulation: Simulation, count: int, *, every_s: float = 1.0, is_reliable: bool = False) -> list[Chatterer]:
    """So many that talk to each other."""
    everybody = [simulation.new_address() for _ in range(count)]
    machines = [Chatterer(everybody, random.Random(at), every_s, is_reliable) for at in range(count)]
    for machine, address in zip(machines, everybody, strict=True):
        simulation.add(machine, address)
    return machines
