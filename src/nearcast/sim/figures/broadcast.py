"""What a broadcast costs and whom it reaches: HyParView and Plumtree against the published figures.

Plumtree's paper (SRDS 2007): 10,000 nodes, per broadcast 9,999 payloads and 29,987 control messages (IHAVE, GRAFT,
PRUNE), after a warm-up that forms the tree. The same is counted here from random origins, at two rates: one broadcast
every two seconds, which is what a topic's announcements are held to, and single ones far apart, where nothing can be
gathered. Then a share of all peers crashes at one instant. One broadcast begins `after_s` later, when nobody has
noticed anything; its reach among the survivors is looked at 30 s and 60 s after the crash. Later ones show the repair.
All of it takes 463 s as the settings are; a scenario that lasts longer has more broadcasts of the first rate.
"""

import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nearcast.overlay.gossip.events import Delivered
from nearcast.overlay.gossip.machine import Gossip
from nearcast.overlay.gossip.messages import Graft, Have, Prune, Push
from nearcast.overlay.gossip.settings import GossipSettings, TreeSettings
from nearcast.overlay.gossip.topics import GLOBAL_TOPIC
from nearcast.sim.tables import bounded

if TYPE_CHECKING:
    from nearcast.sim.peer import Peer
    from nearcast.sim.run import Run

HEEDS = ("network", "nat", "clocks", "slow", "byzantine", "liveness")  # who fails, and when, its settings say
NODES_LEAST = 4  # so that two are left when half of them fail
BODY_BYTES = 300  # an announcement's size
SEEDS = 3  # members that a newcomer knows; it asks one after the other
SETTLE_S = 90.0  # after the last join: shuffles fill the passive views
QUIET_S = 12.0  # after a series: grafts and prunes are over
FAILED_S = 60.0  # after the crash of many: what reached the survivors until then counts, then the repair is looked at
PUBLISHED_CONTROL = 29_987  # per broadcast and 10,000 nodes, in the paper


@dataclass(frozen=True, slots=True)
class BroadcastSettings:
    """How many broadcasts of each kind, how fast the network grows, and how much of it fails."""

    grow_s: float = bounded(120.0, least=1.0)
    warm_up: int = bounded(5)
    steady: int = bounded(20, least=1)
    steady_every_s: float = bounded(2.0, least=0.01)
    single: int = bounded(5, least=1)
    single_every_s: float = bounded(15.0, least=0.01)
    failed_share: float = bounded(0.5, most=0.95)
    after_s: float = bounded(0.1)
    later: int = bounded(10, least=1)
    have_batch_s: float = bounded(TreeSettings().have_batch_s, least=0.01)
    missing_s: float = bounded(TreeSettings().missing_s, least=0.01)
    optimise_hops: int = bounded(TreeSettings().optimise_hops, least=1)


@dataclass(slots=True)
class Heard:
    """One broadcast: when it began, when each peer got it."""

    begin_s: float
    at_s: list[float] = field(default_factory=list)

    def reach(self, others: int, until_s: float) -> float:
        """The share of the others that had it then."""
        return sum(at_s <= until_s for at_s in self.at_s) / others


class Broadcasts:
    """Makes peers, broadcasts from random ones, and counts."""

    def __init__(self, run: "Run", settings: BroadcastSettings) -> None:
        self._run = run
        self._simulation = run.simulation
        self.heard: dict[bytes, Heard] = {}
        tree = TreeSettings(
            have_batch_s=settings.have_batch_s, missing_s=settings.missing_s, optimise_hops=settings.optimise_hops
        )
        self._gossip = replace(GossipSettings(), tree=tree)
        self._simulation.observe(Delivered, self._on_delivered)

    def make(self) -> "Peer":
        """A newcomer that knows a few random members: the one that it asks first may be behind a NAT."""
        identity = self._run.identities.new()
        machine = Gossip(
            identity.address,
            sign=identity.sign,
            verify=self._run.identities.verify,
            rng=self._run.rng_of(identity.address.endpoint_id),
            settings=self._gossip,
        )
        members = self._simulation.alive
        seeds = [self._run.rng.choice(members).address for _ in range(SEEDS)] if members else []
        peer = self._simulation.add(self._run.wrap(machine), identity.address)
        self._simulation.give(peer, machine.join(seeds, peer.clock_s(self._simulation.now_s)))
        return peer

    def broadcast(self) -> Heard:
        """One, from a random peer, now."""
        peer = self._run.rng.choice(self._simulation.alive)
        machine = gossip_of(peer)
        number = len(self.heard)
        message_id, effects = machine.broadcast(
            GLOBAL_TOPIC, number.to_bytes(BODY_BYTES, "big"), peer.clock_s(self._simulation.now_s)
        )
        heard = self.heard[message_id] = Heard(self._simulation.now_s)
        self._simulation.give(peer, effects)
        return heard

    def series(self, count: int, every_s: float) -> tuple[list[Heard], dict[type, float]]:
        """`count` broadcasts; each kind of message per broadcast and peer, until QUIET_S after the last."""
        before = dict(self._simulation.sent_of_kind)
        heard = []
        for _ in range(count):
            heard.append(self.broadcast())
            self._simulation.run_until(self._simulation.now_s + every_s)
        self._simulation.run_until(self._simulation.now_s + QUIET_S)
        shares = count * len(self._simulation.alive)
        sent = self._simulation.sent_of_kind
        return heard, {kind: (sent[kind] - before.get(kind, 0)) / shares for kind in sent}

    def _on_delivered(self, peer: "Peer", event: Delivered, now_s: float) -> None:
        self.heard[event.message_id].at_s.append(now_s)


def gossip_of(peer: "Peer") -> Gossip:
    """A liar's machine is inside it."""
    machine = getattr(peer.machine, "machine", peer.machine)
    assert isinstance(machine, Gossip)
    return machine


def run(run: "Run") -> None:
    """Grow, warm up, count, fail, count again."""
    settings = run.settings(BroadcastSettings)
    broadcasts = Broadcasts(run, settings)
    simulation, report = run.simulation, run.report
    run.grow(broadcasts.make, over_s=settings.grow_s)
    run.until(settings.grow_s + SETTLE_S)
    broadcasts.series(settings.warm_up, settings.steady_every_s)

    others = len(simulation.alive) - 1
    steady, costs = broadcasts.series(steady_count(run, settings), settings.steady_every_s)
    report.figure("reach", min(each.reach(others, simulation.now_s) for each in steady), "share")
    report.figure("payloads_per_node", costs[Push])
    report.figure("control_per_10000", control(costs))
    delays_s = sorted(at_s - each.begin_s for each in steady for at_s in each.at_s)
    report.figure("delay_median", statistics.median(delays_s), "s")
    report.figure("delay_99", delays_s[int(0.99 * len(delays_s))], "s")
    report.figure("rounds_max", float(max(rounds(simulation.alive))))
    single, single_costs = broadcasts.series(settings.single, settings.single_every_s)
    report.figure("single_reach", min(each.reach(others, simulation.now_s) for each in single), "share")
    report.figure("single_payloads_per_node", single_costs[Push])
    report.figure("single_control_per_10000", control(single_costs))
    report.series("reach before", curve(steady[-1], others), x="seconds", y="share of the others")
    fail(run, settings, broadcasts)
    run.until(run.duration_s)
    run.liveness(lambda: asymmetric(simulation.alive))


def steady_count(run: "Run", settings: BroadcastSettings) -> int:
    """As many as the settings say, or as fit into the duration with all that comes after them."""
    after_s = settings.single * settings.single_every_s + QUIET_S + FAILED_S
    after_s += settings.later * settings.steady_every_s + QUIET_S
    left_s = run.duration_s - run.simulation.now_s - QUIET_S - after_s
    return max(settings.steady, int(left_s / settings.steady_every_s))


def fail(run: "Run", settings: BroadcastSettings, broadcasts: Broadcasts) -> None:
    """A share crashes; one broadcast at once, others after a minute."""
    simulation, report = run.simulation, run.report
    begin_s = simulation.now_s
    for peer in run.rng.sample(simulation.alive, int(settings.failed_share * len(simulation.alive))):
        simulation.crash(peer)
    others = len(simulation.alive) - 1
    simulation.run_until(begin_s + settings.after_s)
    heard = broadcasts.broadcast()
    simulation.run_until(begin_s + FAILED_S)
    report.figure("failed_reach_30s", heard.reach(others, begin_s + 30.0), "share")
    report.figure("failed_reach_60s", heard.reach(others, begin_s + FAILED_S), "share")
    report.series("reach after", curve(heard, others), x="seconds", y="share of the others")
    later, costs = broadcasts.series(settings.later, settings.steady_every_s)
    report.figure("repaired_reach", min(each.reach(others, simulation.now_s) for each in later), "share")
    report.figure("repaired_payloads_per_node", costs[Push])
    links = [len(gossip_of(peer).member(GLOBAL_TOPIC).membership.active) for peer in simulation.alive]
    report.figure("repaired_neighbours", statistics.mean(links))


def control(costs: dict[type, float]) -> float:
    """Control messages per broadcast, scaled to the paper's 10,000 nodes."""
    return 10_000 * sum(costs.get(kind, 0.0) for kind in (Have, Graft, Prune))


def rounds(peers: "list[Peer]") -> list[int]:
    """How many hops the payloads that each peer still has have come."""
    return [gossip_of(peer).member(GLOBAL_TOPIC).tree.depth for peer in peers]


def curve(heard: Heard, others: int) -> list[tuple[float, float]]:
    """The reach over time, at most 200 points."""
    step = max(len(heard.at_s) // 200, 1)
    at_s = sorted(heard.at_s)
    return [(at_s[place] - heard.begin_s, (place + 1) / others) for place in range(0, len(at_s), step)]


def asymmetric(peers: "list[Peer]") -> str | None:
    """Whether somebody has a neighbour that does not think so, or is gone."""
    views = {peer.endpoint_id: gossip_of(peer).member(GLOBAL_TOPIC).membership.active for peer in peers}
    wrong = sum(own not in views.get(other, {}) for own, active in views.items() for other in active)
    lonely = sum(not active for active in views.values())
    return f"{wrong} links have one end, {lonely} peers have none" if wrong or lonely else None
