"""How often, how far and at what cost the hash table finds a provider: calm, under churn, with hostile nodes.

All nodes join one after the other, each by way of a few that are there. Then some honest nodes, which stay, publish a
root each, and honest nodes at random look for them, until the end. A lookup succeeds when the provider is among what it
found. `hops` counts as usual: 1 is a contact of one's own table; it is that of the first answer with the provider's
record. `contacts` are those of a table and its spares. Kademlia's paper promises log2 n steps; the measured networks of
its kind need 3 to 5 (Steiner et al. 2008, [M]).
"""

import statistics
from dataclasses import dataclass
from functools import partial

from nearcast.errors import UnavailableError
from nearcast.overlay.kademlia import Found, Joined, Kademlia, ProviderFound, Stored
from nearcast.sim.byzantine import machine_of
from nearcast.sim.figures.lookup_liars import UNIX_S, Conspiracy, Kind, Liar
from nearcast.sim.identities import SimulatedIdentity
from nearcast.sim.peer import Peer
from nearcast.sim.run import Run
from nearcast.sim.tables import bounded
from nearcast.transport.base import PeerAddress

NODES_LEAST = 2  # who publishes does not look for it
HEEDS = ("network", "nat", "clocks", "slow", "churn", "flash_crowd", "mass_failure", "partition")  # `hostile`: its own
SEEDS = 3  # peers that a newcomer knows
SETTLED_S = 60.0  # who has joined so long ago asks and provides
ANSWER_S = 40.0  # before the end: the last lookup is over by then
ASKERS_TRIED = 10_000  # drawn until one is there; guess: one in a thousand suffices
KINDS: tuple[Kind, ...] = ("drop", "lie")


@dataclass(frozen=True, slots=True)
class LookupSettings:
    """[settings]. `keys` roots are published, `lookups` are made; `besieged` of the keys have `besiegers` ids each."""

    join_over_s: float = bounded(120.0, least=1.0)
    publish_over_s: float = bounded(30.0, least=0.1)
    keys: int = bounded(500, least=1)
    lookups: int = bounded(2000, least=1)
    limit: int = bounded(20, least=1, most=100)
    hostile: float = bounded(0.0, most=0.9)  # share of all nodes
    besieged: int = bounded(0)
    besiegers: int = bounded(40)


@dataclass(slots=True)
class Asked:
    """A lookup. `hops`: None until the provider's record was seen."""

    at_s: float
    asker: Peer
    key: bytes
    found: Found | None = None
    hops: int | None = None
    first_s: float = 0.0


class Measurement:
    """One network of one run."""

    def __init__(self, run: Run, settings: LookupSettings) -> None:
        self.run = run
        self.settings = settings
        self.simulation = run.simulation
        self.keys = [run.rng.randbytes(32) for _ in range(settings.keys)]
        self.besieged = self.keys[: settings.besieged]
        self.providers: dict[bytes, Peer] = {}
        self.honest: list[Peer] = []
        self.asked: dict[tuple[int, int], Asked] = {}
        self.joined: list[Joined] = []
        self.stored: list[Stored] = []
        self.conspiracy = Conspiracy(run.rng)
        if settings.hostile:
            self.conspiracy.invent(self._address, self.besieged, run.nodes, settings.besiegers)
        self.simulation.observe(Joined, lambda peer, event, now_s: self.joined.append(event))
        self.simulation.observe(Stored, lambda peer, event, now_s: self.stored.append(event))
        self.simulation.observe(ProviderFound, self._provider_found)
        self.simulation.observe(Found, self._found)

    def make(self) -> Peer:
        """One more peer: honest or not."""
        rng, simulation = self.run.rng, self.simulation
        identity = self.run.identities.new()
        if rng.random() >= self.settings.hostile:
            peer = simulation.add(self._machine(identity.address, identity), identity.address)
            self.honest.append(peer)
            simulation.give(peer, machine_of(peer, Kademlia).join(self._seeds(), peer.clock_s(simulation.now_s)))
            return peer
        kind, address = rng.choice(KINDS), identity.address
        if self.conspiracy.sieges:
            kind, address = "eclipse", self._address(self.conspiracy.sieges.pop())
        liar = Liar(self._machine(address, identity), address, kind, self.conspiracy, identity.sign)
        peer = simulation.add(liar, address)
        simulation.give(peer, liar.join(self._seeds(), peer.clock_s(simulation.now_s)))
        return peer

    def publish(self) -> None:
        """Every key gets an honest provider, which begins now."""
        for key in self.keys:
            peer = self.run.rng.choice(self.honest)
            self.providers[key] = peer
            at_s = self.simulation.now_s + self.run.rng.uniform(0, self.settings.publish_over_s)
            self.simulation.call_at(at_s, partial(self._provide, peer, key))

    def look(self, begin_s: float, end_s: float) -> None:
        """Lookups, evenly from then to then, one in five of a besieged key where there are any."""
        for number in range(self.settings.lookups):
            keys = self.besieged if self.besieged and number % 5 == 0 else self.keys
            key = keys[number % len(keys)]
            at_s = begin_s + (end_s - begin_s) * number / self.settings.lookups
            self.simulation.call_at(at_s, partial(self._ask, key))

    def _machine(self, address: PeerAddress, identity: SimulatedIdentity) -> Kademlia:
        return Kademlia(
            address,
            identity.sign,
            self.run.identities.verify,
            self.run.rng_of(address.endpoint_id),
            unix_clock=lambda now_s: UNIX_S + now_s,
        )

    def _address(self, endpoint_id: bytes) -> PeerAddress:
        return PeerAddress(endpoint_id, self.simulation.new_address().addresses)

    def _seeds(self) -> list[PeerAddress]:
        """Whoever is there; one of them at least is honest, since a newcomer chose it."""
        alive, rng = self.simulation.alive, self.run.rng
        others = [rng.choice(alive).address for _ in range(min(SEEDS, len(alive)) - 1)]
        honest = [peer for peer in (rng.choice(self.honest) for _ in range(20 if self.honest else 0)) if peer.is_alive]
        return [*others, *(peer.address for peer in honest[:1])]

    def _provide(self, peer: Peer, key: bytes) -> None:
        effects = machine_of(peer, Kademlia).provide(key, peer.clock_s(self.simulation.now_s))
        self.simulation.give(peer, effects)

    def _ask(self, key: bytes) -> None:
        now_s = self.simulation.now_s
        for _ in range(ASKERS_TRIED):
            asker = self.run.rng.choice(self.honest)
            if asker.is_alive and asker.joined_s + SETTLED_S <= now_s and asker is not self.providers[key]:
                break
        else:
            raise UnavailableError("hardly a peer is there that could look for it: it takes more nodes")
        machine = machine_of(asker, Kademlia)
        lookup_id, effects = machine.find_providers(key, self.settings.limit, asker.clock_s(now_s))
        self.asked[asker.index, lookup_id] = Asked(now_s, asker, key)
        self.simulation.give(asker, effects)

    def _provider_found(self, peer: Peer, event: ProviderFound, now_s: float) -> None:
        asked = self.asked.get((peer.index, event.lookup_id))
        if asked is not None and asked.hops is None and event.record.owner == self.providers[asked.key].endpoint_id:
            asked.hops, asked.first_s = event.hops, now_s - asked.at_s

    def _found(self, peer: Peer, event: Found, now_s: float) -> None:
        asked = self.asked.get((peer.index, event.lookup_id))
        if asked is not None:
            asked.found = event

    def report(self) -> None:
        """The figures."""
        report, simulation = self.run.report, self.simulation
        judged = [asked for asked in self.asked.values() if asked.found is not None or asked.asker.is_alive]
        good = [asked for asked in judged if self._is_good(asked)]
        report.figure("success", len(good) / max(len(judged), 1), "share")
        if self.besieged:
            of_besieged = [asked for asked in judged if asked.key in self.besieged]
            found = sum(self._is_good(asked) for asked in of_besieged)
            report.figure("success_besieged", found / max(len(of_besieged), 1), "share")
        report.quantiles("hops", [asked.hops for asked in good if asked.hops is not None], "hops")
        report.quantiles("first_provider", [asked.first_s for asked in good], "s")
        ended = [asked.found for asked in judged if asked.found is not None]
        report.quantiles("lookup", [found.duration_s for found in ended], "s")
        report.quantiles("messages_per_lookup", [found.messages for found in ended], "messages")
        contacts = [machine_of(peer, Kademlia).snapshot() for peer in self.honest if peer.is_alive]
        report.quantiles("contacts", [each["contacts"] + each["spares"] for each in contacts], "contacts")
        report.quantiles("join", [joined.duration_s for joined in self.joined], "s")
        report.figure("holders_median", statistics.median(stored.holders for stored in self.stored), "nodes")
        report.figure("lookups", len(judged))
        report.figure("replaced", self.run.replaced)
        lived_s = simulation.lived_s + sum(simulation.now_s - peer.joined_s for peer in simulation.alive)
        report.figure("requests_per_node", sum(simulation.sent_of_kind.values()) / lived_s, "messages/s")
        report.distribution("hops", [asked.hops for asked in good if asked.hops is not None], x="hops")
        report.distribution("lookup", [found.duration_s for found in ended], x="seconds", is_log_x=True)

    def _is_good(self, asked: Asked) -> bool:
        if asked.found is None:
            return False
        provider = self.providers[asked.key].endpoint_id
        return any(record.owner == provider for record in asked.found.providers)


def run(run: Run) -> None:
    """Join, publish, look."""
    settings = run.settings(LookupSettings)
    measurement = Measurement(run, settings)
    run.grow(measurement.make, over_s=settings.join_over_s)
    run.until(settings.join_over_s + SETTLED_S)
    measurement.publish()
    begin_s = run.simulation.now_s + settings.publish_over_s + SETTLED_S
    run.churn(measurement.make, immortal=list(measurement.providers.values()))
    measurement.look(begin_s, max(run.duration_s - ANSWER_S, begin_s))
    run.until(max(run.duration_s, begin_s + ANSWER_S))
    measurement.report()
