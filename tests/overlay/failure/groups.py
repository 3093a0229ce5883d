"""Groups of detectors in a simulated network, for the tests of this room."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nearcast.overlay.failure.events import MemberAlive, MemberDead, MemberLeft, MemberSuspect
from nearcast.overlay.failure.group import Roster
from nearcast.overlay.failure.settings import SwimSettings, lan
from nearcast.overlay.failure.swim import Swim
from nearcast.overlay.failure.van_renesse import VanRenesse
from nearcast.overlay.machine import Arm, Effect, Send, Tell
from nearcast.sim.latency import constant
from nearcast.sim.network import Network
from nearcast.sim.peer import Peer
from nearcast.sim.simulation import Simulation
from nearcast.transport.base import PeerAddress


def person(number: int) -> PeerAddress:
    return PeerAddress(bytes([number]) * 32, (f"192.0.2.{number}:4433",))


def rng(seed: object = 1) -> random.Random:
    return random.Random(f"{seed}")


def swim(number: int = 1, knows: tuple[int, ...] = (), **changes: Any) -> Swim:
    """One member outside any simulation."""
    member = Swim(person(number), rng(number), replace(lan(), **changes))
    member.fill(Roster(person(other) for other in (number, *knows)))
    return member


def events(effects: Any) -> list[Any]:
    return [effect.event for effect in effects if isinstance(effect, Tell)]


def sent(effects: Any, kind: type | None = None) -> list[Send]:
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return sends if kind is None else [send for send in sends if isinstance(send.message, kind)]


def armed(effects: list[Effect], timer: object) -> list[float]:
    return [effect.after_s for effect in effects if isinstance(effect, Arm) and effect.timer == timer]


class GroupRun:
    """A simulated group whose members know each other, and what they told."""

    def __init__(
        self,
        count: int,
        settings: SwimSettings | None = None,
        *,
        seed: int = 1,
        loss: float = 0.0,
        make: Callable[[PeerAddress, random.Random], Any] | None = None,
        is_acquainted: bool = True,
        size_of: Callable[[Any], int] | None = None,
    ) -> None:
        network = Network(constant(0.05), rng(f"{seed}/network"), jitter=0.1, loss=loss)
        self.simulation = Simulation(seed, network, size_of=size_of)
        self.told: list[tuple[float, Peer, Any]] = []
        for kind in (MemberAlive, MemberSuspect, MemberDead, MemberLeft):
            self.simulation.observe(kind, lambda peer, event, now_s: self.told.append((now_s, peer, event)))
        addresses = [self.simulation.new_address() for _ in range(count)]
        roster = Roster(addresses)
        self.peers: list[Peer] = []
        for address in addresses:
            dice = rng(f"{seed}/{address.endpoint_id.hex()}")
            machine = make(address, dice) if make else Swim(address, dice, settings or lan())
            if is_acquainted:
                machine.fill(roster)
            self.peers.append(self.simulation.add(machine, address))

    def tellings(self, kind: type, about: Peer | None = None) -> list[tuple[float, Peer, Any]]:
        told = [entry for entry in self.told if isinstance(entry[2], kind)]
        return [entry for entry in told if about is None or entry[2].endpoint_id == about.endpoint_id]

    def states(self, about: Peer) -> set[str]:
        """What the living others believe of one."""
        others = [peer.machine for peer in self.simulation.alive if peer.endpoint_id != about.endpoint_id]
        return {machine.state_of(about.endpoint_id) for machine in others if isinstance(machine, Swim | VanRenesse)}
