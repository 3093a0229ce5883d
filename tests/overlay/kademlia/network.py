"""A small network of hash tables on simulated links, and makers of contacts and records for the tests."""

import hashlib
import random
from typing import Any, TypeVar

from nearcast.keys import identity_from_secret, verify
from nearcast.overlay.kademlia import Found, Joined, Kademlia, KademliaSettings, ProviderRecord, Stored, ValueFound
from nearcast.overlay.kademlia.records import signed_provider
from nearcast.sim.latency import constant
from nearcast.sim.network import Network
from nearcast.sim.peer import Peer
from nearcast.sim.simulation import Simulation
from nearcast.transport.base import PeerAddress

UNIX_S = 1_800_000_000
RTT_S = 0.06
Event = TypeVar("Event")


def endpoint(number: int) -> bytes:
    return hashlib.sha256(f"endpoint {number}".encode()).digest()


def contact(number: int, *addresses: str) -> PeerAddress:
    """A peer in a /24 of its own, unless addresses are given."""
    return PeerAddress(
        endpoint(number), addresses or (f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.7:1",)
    )


def key(number: int) -> bytes:
    return hashlib.sha256(f"key {number}".encode()).digest()


def provider_record(number: int, of: bytes, *, sequence: int = 1, expiry_s: int = UNIX_S + 3600) -> ProviderRecord:
    """A genuine one: by the real key number `number`."""
    identity = identity_from_secret(number.to_bytes(32, "big"))
    address = PeerAddress(identity.endpoint_id, contact(number).addresses)
    return signed_provider(of, address, sequence, expiry_s, identity.sign)


class Net:
    """Machines with real keys. `events` has all that they told, in order."""

    def __init__(self, seed: int = 1, settings: KademliaSettings | None = None) -> None:
        self.simulation = Simulation(seed, Network(constant(RTT_S), random.Random(seed)))
        self.settings = settings or KademliaSettings()
        self.rng = random.Random(f"net {seed}")
        self.nodes: list[Peer] = []
        self.events: list[tuple[Peer, Any]] = []
        self._count = 0
        for kind in (Joined, Found, ValueFound, Stored):
            self.simulation.observe(kind, lambda peer, event, now_s: self.events.append((peer, event)))

    def machine(self, *, is_client: bool = False, endpoint_id: bytes | None = None) -> Kademlia:
        """A new one, of a new identity, or of an id whose key nobody has."""
        self._count += 1
        identity = identity_from_secret(self._count.to_bytes(32, "big"))
        address = PeerAddress(endpoint_id or identity.endpoint_id, contact(self._count).addresses)
        return Kademlia(
            address,
            identity.sign,
            verify,
            random.Random(f"dice {self._count}"),
            self.settings,
            unix_clock=lambda now_s: UNIX_S + now_s,
            is_client=is_client,
        )

    def add(self, machine: Kademlia, around: Any = None) -> Peer:
        """It joins by way of two nodes. `around`: the machine that stands for it, if it is not itself."""
        seeds = [node.address for node in self.rng.sample(self.nodes, min(2, len(self.nodes)))]
        peer = self.simulation.add(around or machine, machine.own)
        self.simulation.give(peer, machine.join(seeds, self.simulation.now_s))
        return peer

    def grow(self, count: int) -> None:
        """So many more nodes, one every 50 ms; then all is quiet."""
        for _ in range(count):
            self.nodes.append(self.add(self.machine()))
            self.run(0.05)
        self.run(20)

    def run(self, for_s: float) -> None:
        self.simulation.run_until(self.simulation.now_s + for_s)

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for _, event in self.events if isinstance(event, kind)]

    def provide(self, node: Peer, of: bytes) -> None:
        self.simulation.give(node, table_of(node).provide(of, self.simulation.now_s))

    def find(self, node: Peer, of: bytes, limit: int = 20) -> int:
        lookup_id, effects = table_of(node).find_providers(of, limit, self.simulation.now_s)
        self.simulation.give(node, effects)
        return lookup_id

    def found(self, node: Peer, lookup_id: int) -> Found:
        """What a lookup has ended with."""
        return next(
            event
            for peer, event in self.events
            if peer is node and isinstance(event, Found) and event.lookup_id == lookup_id
        )


def table_of(node: Peer) -> Kademlia:
    assert isinstance(node.machine, Kademlia)
    return node.machine
