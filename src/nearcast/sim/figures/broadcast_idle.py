"""What gossip costs a node that does nothing: with nothing to say, and with everybody's announcements.

Every node is in `global` and in one of `regions` topics. Bytes are frames on the wire as the codec makes them, those
sent (each is received once); QUIC's and UDP's own bytes come on top, about `PACKET_BYTES` for each message. Measured
from `settle_s` after the last join to the end.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.overlay.codec import size_bytes
from nearcast.overlay.gossip.announcement import NodeFacts
from nearcast.overlay.gossip.events import Announced
from nearcast.overlay.gossip.machine import Gossip
from nearcast.overlay.gossip.settings import AnnouncingSettings
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC, region_topic
from nearcast.sim.tables import bounded

if TYPE_CHECKING:
    from nearcast.sim.peer import Peer
    from nearcast.sim.run import Run
    from nearcast.sim.simulation import Simulation

HEEDS = ("network", "nat", "clocks", "slow")
NODES_LEAST = 2
COORDINATE = bytes(60)  # the size of one in the default space
PACKET_BYTES = 63.0  # IPv4 20, UDP 8, QUIC's short header and tag about 35


@dataclass(frozen=True, slots=True)
class IdleSettings:
    """How the network grows, and into how many regions it is divided."""

    grow_s: float = bounded(120.0, least=1.0)
    settle_s: float = bounded(300.0)
    regions: int = bounded(4, least=1, most=100)


def run(run: "Run") -> None:
    """The same network twice: silent, and announcing."""
    settings = run.settings(IdleSettings)
    for name, is_announcing in (("silent", False), ("announcing", True)):
        measure(run, settings, name, is_announcing=is_announcing)


def measure(run: "Run", settings: IdleSettings, name: str, *, is_announcing: bool) -> None:
    """One network's bytes, messages and announcements per node and second."""
    simulation = run.new_simulation(name, size_of=size_bytes)
    heard: dict[str, int] = {}

    def on_announced(peer: "Peer", event: Announced, now_s: float) -> None:
        heard[event.topic] = heard.get(event.topic, 0) + 1

    simulation.observe(Announced, on_announced)
    run.grow(lambda: make(run, simulation, settings, is_announcing=is_announcing), over_s=settings.grow_s)
    begin_s = settings.grow_s + settings.settle_s
    run.until(begin_s)
    sent, messages = sum(simulation.bytes_of_kind.values()), sum(simulation.sent_of_kind.values())
    heard.clear()
    run.until(begin_s + run.duration_s)
    peer_seconds = len(simulation.alive) * run.duration_s
    bytes_s = (sum(simulation.bytes_of_kind.values()) - sent) / peer_seconds
    messages_s = (sum(simulation.sent_of_kind.values()) - messages) / peer_seconds
    run.report.figure(f"{name}_bytes_per_s", bytes_s, "B/s")
    run.report.figure(f"{name}_messages_per_s", messages_s, "/s")
    run.report.figure(f"{name}_bytes_with_packets_per_s", bytes_s + messages_s * PACKET_BYTES, "B/s")
    if is_announcing:
        report_announcements(run, simulation, heard, peer_seconds)


def report_announcements(run: "Run", simulation: "Simulation", heard: dict[str, int], peer_seconds: float) -> None:
    """How many, how well everybody guesses the number of nodes, and the largest envelope."""
    run.report.figure("global_announcements_per_s", heard.get(GLOBAL_TOPIC, 0) / peer_seconds, "/s")
    machines = [peer.machine for peer in simulation.alive if isinstance(peer.machine, Gossip)]
    guesses = sorted(machine.member(GLOBAL_TOPIC).pace.nodes() / len(machines) for machine in machines)
    run.report.figure("nodes_guessed_median", guesses[len(guesses) // 2], "of the true number")
    first = next(peer for peer in simulation.alive if peer.machine is machines[0])
    known = machines[0].announcements(first.clock_s(simulation.now_s))
    run.report.figure("announcement_bytes", float(max(len(each.payload) for each in known)), "B")
    run.report.figure("per_topic_limit", AnnouncingSettings().per_s_max, "/s")


def make(run: "Run", simulation: "Simulation", settings: IdleSettings, *, is_announcing: bool) -> "Peer":
    """A newcomer that knows one member, in the world and in its region."""
    identity = run.identities.new()
    region = f"r{simulation.arrived % settings.regions}"
    topic = region_topic(region)
    machine = Gossip(
        identity.address,
        sign=identity.sign,
        verify=run.identities.verify,
        rng=run.rng_of(identity.address.endpoint_id),
        topics=(GLOBAL_TOPIC, topic),
    )
    if is_announcing:
        machine.announce(
            NodeFacts(price_per_gib=10_000, load_permille=250, mbps=1000, coordinate=COORDINATE, region=region)
        )
    neighbours = simulation.alive[simulation.arrived % settings.regions :: settings.regions]
    seeds = [run.rng.choice(simulation.alive).address] if simulation.alive else []
    near = [run.rng.choice(neighbours).address] if neighbours else []
    peer = simulation.add(machine, identity.address)
    now_s = peer.clock_s(simulation.now_s)
    simulation.give(peer, machine.join(seeds, now_s, GLOBAL_TOPIC))
    simulation.give(peer, machine.join(near, now_s, topic))
    return peer
