"""A group of failure detectors in the simulator: made at once, watched, made to crash, weighed.

Everybody knows everybody from the start: what is measured is detection, not joining.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from nearcast.overlay import codec
from nearcast.overlay.failure.choosing import Detector, detector
from nearcast.overlay.failure.events import MemberDead, MemberSuspect
from nearcast.overlay.failure.group import Roster
from nearcast.overlay.failure.messages import Ack, Gossip, Heartbeats, Ping, SyncRequest

if TYPE_CHECKING:
    from nearcast.overlay.machine import Machine
    from nearcast.sim.peer import Peer
    from nearcast.sim.run import Run
    from nearcast.sim.simulation import Simulation
    from nearcast.transport.base import PeerAddress

COORDINATE = bytes(40)  # what pings carry along; overlay/coordinates sends some 30 to 60 bytes
_EMPTY_HEARTBEATS_BYTES = codec.size_bytes(Heartbeats(()))
_SIZES_MAX = 100_000  # remembered sizes of messages and rumours


@dataclass(slots=True)
class Found:
    """What the others found out about one that crashed, in seconds since."""

    crashed_s: float
    first_missed_s: float | None = None
    first_dead_s: float | None = None
    last_dead_s: float | None = None
    deaths: int = 0


@dataclass(slots=True)
class FalseDeath:
    """One member declared another one dead that is not."""

    at_s: float
    observer: "Peer"
    subject: "Peer"


@dataclass(slots=True)
class Group:
    """Members, and what they have told. `slow`: those that an anomaly befalls, by endpoint id."""

    simulation: "Simulation"
    peers: "list[Peer]" = field(default_factory=list)
    slow: dict[bytes, None] = field(default_factory=dict)
    found: dict[bytes, Found] = field(default_factory=dict)
    false_deaths: list[FalseDeath] = field(default_factory=list)
    false_suspicions: int = 0

    def crash(self, peer: "Peer") -> None:
        self.found[peer.endpoint_id] = Found(self.simulation.now_s)
        self.simulation.crash(peer)

    def on_suspect(self, observer: "Peer", event: MemberSuspect, now_s: float) -> None:
        found = self.found.get(event.endpoint_id)
        if found is None:
            self.false_suspicions += 1
        elif found.first_missed_s is None:
            found.first_missed_s = now_s - found.crashed_s

    def on_dead(self, observer: "Peer", event: MemberDead, now_s: float) -> None:
        found = self.found.get(event.endpoint_id)
        if found is None:
            self.false_deaths.append(FalseDeath(now_s, observer, self.simulation.peers[event.endpoint_id]))
            return
        after_s = now_s - found.crashed_s
        if found.first_dead_s is None:
            found.first_dead_s = after_s
            found.first_missed_s = after_s if found.first_missed_s is None else found.first_missed_s
        found.last_dead_s = after_s
        found.deaths += 1

    def false_at_healthy(self) -> int:
        """Healthy members declared dead by healthy members (Lifeguard's FP-)."""
        return sum(
            death.observer.endpoint_id not in self.slow and death.subject.endpoint_id not in self.slow
            for death in self.false_deaths
        )

    def false_of_healthy(self) -> int:
        """Healthy members declared dead by anybody (Lifeguard's FP)."""
        return sum(death.subject.endpoint_id not in self.slow for death in self.false_deaths)


def new_group(
    run: "Run",
    count: int,
    make: Callable[["PeerAddress"], Detector],
    *,
    label: str = "",
    is_weighed: bool = True,
    wrap: "Callable[[Detector, int], Machine] | None" = None,
) -> Group:
    """Another simulation with so many members. `wrap` may put something around a machine, given its number."""
    simulation = run.new_simulation(label, size_of=Scales() if is_weighed else None)
    group = Group(simulation)
    simulation.observe(MemberSuspect, group.on_suspect)
    simulation.observe(MemberDead, group.on_dead)
    addresses = [simulation.new_address() for _ in range(count)]
    roster = Roster(addresses)
    for number, address in enumerate(addresses):
        machine = make(address)
        machine.fill(roster)
        machine.coordinate = COORDINATE
        group.peers.append(simulation.add(wrap(machine, number) if wrap else machine, address))
    return group


def preset_maker(run: "Run", name: str, count: int) -> Callable[["PeerAddress"], Detector]:
    """Makes detectors of that name with room for the whole group."""
    return lambda address: detector(name, address, run.rng_of(address.endpoint_id, "swim"), members_max=count + 1)


def forget(run: "Run", group: Group) -> None:
    """The group is over: its memory is needed for the next one. Its trace, steps and time go into the report."""
    simulation, report = group.simulation, run.report
    report.events += simulation.trace.steps
    report.simulated_s += simulation.now_s
    report.trace = sha256((report.trace + simulation.trace.digest()).encode()).hexdigest()
    run.simulations.remove(simulation)


class Scales:
    """The real encoded size of a message, frame and all; what recurs is encoded once.

    Two pings without rumours have the same size when their numbers have as many bytes: CBOR's sizes are 1, 2, 3, 5, 9.
    """

    def __init__(self) -> None:
        self._idle: dict[Any, int] = {}
        self._rumours: dict[Any, int] = {}
        self._gossip: dict[int, int] = {}
        self._contacts: dict[Any, int] = {}

    def __call__(self, message: Any) -> int:
        kind = message.__class__
        if kind is Gossip:
            return self._gossip_bytes(message)
        if kind is Heartbeats:
            return self._heartbeats_bytes(message)
        if (kind is Ping or kind is Ack) and not message.rumours:
            key: Any = (kind, _width(message.sequence), _width(message.incarnation), message.coordinate)
            if kind is Ping:
                key = (*key, message.is_reliable)
        elif kind is SyncRequest:
            key = message.own
        else:
            return codec.size_bytes(message)
        size_bytes = self._idle.get(key)
        if size_bytes is None:
            self._idle[key] = size_bytes = codec.size_bytes(message)
        return size_bytes

    def _gossip_bytes(self, message: Gossip) -> int:
        """Its rumours' sizes, and the rest of it."""
        rumours = message.rumours
        if len(rumours) > 23:  # from here on the list's own length takes more than a byte
            return codec.size_bytes(message)
        empty = self._gossip.get(_width(message.incarnation))
        if empty is None:
            empty = codec.size_bytes(Gossip(message.incarnation, rumours[:1])) - self._rumour_bytes(rumours[0])
            self._gossip[_width(message.incarnation)] = empty
        return empty + sum(map(self._rumour_bytes, rumours))

    def _heartbeats_bytes(self, message: Heartbeats) -> int:
        """Its entries' sizes, each a contact's and a number's, and the rest of it, with the list's own length."""
        contacts = self._contacts
        size_bytes = _EMPTY_HEARTBEATS_BYTES - 1 + _width(len(message.entries))
        for contact, heartbeat in message.entries:
            contact_bytes = contacts.get(contact)
            if contact_bytes is None:
                one_bytes = codec.size_bytes(Heartbeats(((contact, 0),)))
                contacts[contact] = contact_bytes = one_bytes - _EMPTY_HEARTBEATS_BYTES - 1
            size_bytes += contact_bytes + _width(heartbeat)
        return size_bytes

    def _rumour_bytes(self, rumour: Any) -> int:
        size_bytes = self._rumours.get(rumour)
        if size_bytes is None:
            if len(self._rumours) >= _SIZES_MAX:
                self._rumours.clear()
            with_two = codec.size_bytes(Gossip(0, (rumour, rumour)))
            size_bytes = with_two - codec.size_bytes(Gossip(0, (rumour,)))
            self._rumours[rumour] = size_bytes
        return size_bytes


def _width(number: int) -> int:
    """Bytes of a whole number in CBOR."""
    if number < 24:
        return 1
    return 2 if number < 1 << 8 else 3 if number < 1 << 16 else 5 if number < 1 << 32 else 9
