"""Level one: pure machines on an event heap. One process, one thread, invented time, everything from one seed.

How to write a scenario driver
------------------------------
A scenario is a TOML file in sim/scenarios/ with `driver = "lookup"`; its driver is sim/figures/lookup.py with one
function. It is given a `Run` (sim/run.py) and reports figures; which of them are good enough, the scenario's [checks]
table says, e.g. `success = {at_least = 0.999}`.

    def run(run: Run) -> None:
        settings = run.settings(LookupSettings)        # the TOML's [settings] table in a frozen dataclass of yours
        simulation = run.simulation                    # with the network of the scenario, nothing in it yet
        simulation.observe(Found, lambda peer, event, now_s: ...)     # what machines Tell
        def make() -> Peer:                            # one more peer, now
            address = simulation.new_address()         # or run.identities.new() for one with a real ed25519 key
            machine = Kademlia(address, ..., rng=run.rng_of(address.endpoint_id))
            peer = simulation.add(machine, address)    # calls machine.start
            simulation.give(peer, machine.join(seeds, peer.clock_s(simulation.now_s)))    # the effects of a verb
            return peer
        run.grow(make, over_s=60)                      # run.nodes of them, spread over a minute
        run.churn(make)                                # the scenario's [churn], [[partitions]], [slow], [byzantine]
        simulation.call_at(70.0, function)             # anything of yours, at a moment
        run.until(run.duration_s)                      # let it run: the progress bar moves
        run.liveness(lambda: None if all_is_well() else "17 of 100 peers lack a neighbour")  # heals, then waits for it
        run.report.figure("success", found / asked)                    # a share, a count, seconds...
        run.report.series("hops", points, x="hops", y="share")         # a picture with --plot

For a test, or a figure by hand, take `Simulation(seed, Network(constant(0.05), random.Random(1)))` as it is.

Time is true time from 0 on; each machine is given what its own clock shows (`epoch_s` later, and skewed). Nothing here
may depend on the order of a set, on hash() or on the computer it runs on.
"""

import gc
import random
from collections.abc import Callable, Iterable
from heapq import heappop
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from nearcast.errors import NearcastError
from nearcast.overlay.machine import Arm, Drop, Keep, Machine, Send, Tell
from nearcast.sim.addresses import Addresses
from nearcast.sim.guard import nothing_from_outside
from nearcast.sim.network import FAILED, GIVE_UP_S, leads_to
from nearcast.sim.peer import Peer
from nearcast.sim.queue import CALL, TIMER, UNREACHABLE, Queue
from nearcast.sim.trace import Trace
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    from nearcast.sim.network import Network

SILENCE_S = 10.0  # a kept connection whose other end has crashed is given up: keep-alives go unanswered; guess
STEP_S = 1.0  # of simulated time between two calls of `on_progress`
_TIMER_SOURCE, _UNREACHABLE_SOURCE, _TELL_SOURCE = -1, -2, -3

Listener: TypeAlias = Callable[[Peer, Any, float], None]
_Event = TypeVar("_Event")


class MachineFailedError(NearcastError):
    """A simulated machine, or the scenario's own code, raised an error."""


class Simulation:
    """Peers, a network, and what happens next. Everything random comes from `seed`.

    `size_of(message)` gives a message's bytes on the wire; without it bytes are not counted and lines have no limit.
    """

    def __init__(
        self,
        seed: int | str,
        network: "Network",
        *,
        size_of: Callable[[Any], int] | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.seed = seed
        self.network = network
        self.trace = trace or Trace()
        self.now_s = 0.0
        self.epoch_s = 0.0  # what a right clock shows at the beginning; records are dated, so some want unix time
        self.rng = random.Random(f"{seed}/scenario")  # for whoever drives the simulation
        self.peers: dict[bytes, Peer] = {}  # by endpoint id; of one that came back, the newest
        self.alive: list[Peer] = []  # in no particular order, but always the same
        self.on_progress: Callable[[float, int], None] | None = None  # (simulated seconds, events so far)
        self.on_added: list[Callable[[Peer], None]] = []  # called with each new peer before its machine starts
        self.arrived = 0  # peers so far
        self.lived_s = 0.0  # the lives of all that are gone, together
        self.size_of = size_of
        self._sites = list(range(network.latency.sites))
        random.Random(f"{seed}/placing").shuffle(self._sites)
        self._addresses = Addresses(seed)
        self._queue = Queue()
        self._listeners: dict[type, list[Listener]] = {}
        self._tallies: dict[type, list[int]] = {}  # messages and bytes sent, by the message's class

    @property
    def sent_of_kind(self) -> dict[type, int]:
        """Messages sent, by their class."""
        return {kind: tally[0] for kind, tally in self._tallies.items()}

    @property
    def bytes_of_kind(self) -> dict[type, int]:
        """Bytes sent, by the message's class; nothing without `size_of`."""
        return {kind: tally[1] for kind, tally in self._tallies.items()} if self.size_of is not None else {}

    # -- peers ---------------------------------------------------------------------------------------------------

    def new_address(self) -> PeerAddress:
        """A made-up endpoint id and a made-up public IPv4 address, both new."""
        return self._addresses.new()

    def add(self, machine: Machine, address: PeerAddress, *, site: int | None = None) -> Peer:
        """Start a machine now. It stands at `site` of the latency matrix; else sites are dealt out in a random order.

        An address that was here before is the same peer come back, with what its machine remembers.
        """
        rows = self.network.latency.rows
        if site is None:
            site = self._sites[self.arrived % len(rows)]
        former = self.peers.get(address.endpoint_id)
        if former is not None and former.is_alive:
            raise ValueError(f"{former} is here already")
        peer = Peer(self.arrived, address, machine, site, rows[site])
        self.arrived += 1
        peer.joined_s = self.now_s
        peer.clock_offset_s = self.epoch_s
        peer.position = len(self.alive)
        self.alive.append(peer)
        self.peers[address.endpoint_id] = peer
        for shape in self.on_added:
            shape(peer)
        self._perform(peer, machine.start(peer.clock_s(self.now_s)))
        return peer

    def crash(self, peer: Peer) -> None:
        """It says nothing more. Who holds a connection to it learns so after SILENCE_S."""
        self._end(peer, SILENCE_S)

    def leave(self, peer: Peer, farewell: Iterable[Any] = ()) -> None:
        """It says goodbye with these effects and closes its connections: their other ends learn so at once."""
        self._perform(peer, farewell)
        self._end(peer, None)

    def give(self, peer: Peer, effects: Iterable[Any]) -> None:
        """Perform the effects of a verb, such as `machine.join(...)`, as this peer's. A dead peer's are dropped."""
        if peer.is_alive:
            self._perform(peer, effects)

    def sever(self) -> None:
        """Connections that are kept across the network's partition have been silent for too long: they end now."""
        partition = self.network.partition
        if partition is None:
            return
        for peer in self.alive:
            for endpoint_id in peer.kept:
                other = self.peers.get(endpoint_id)
                if other is not None and (partition.blocks(peer, other) or partition.blocks(other, peer)):
                    self._queue.push(self.now_s, peer, UNREACHABLE, endpoint_id)

    def _end(self, peer: Peer, silence_s: float | None) -> None:
        if not peer.is_alive:
            return
        peer.is_alive = False
        peer.left_s = self.now_s
        self.lived_s += self.now_s - peer.joined_s
        last = self.alive.pop()
        if last is not peer:
            self.alive[peer.position] = last
            last.position = peer.position
        for keeper in peer.keepers:
            if peer.endpoint_id in keeper.failing:
                continue
            keeper.failing[peer.endpoint_id] = None
            after_s = peer.delays[keeper.site] if silence_s is None else silence_s
            self._queue.push(self.now_s + after_s, keeper, UNREACHABLE, peer.endpoint_id)
        for endpoint_id in peer.kept:
            kept = self.peers.get(endpoint_id)
            if kept is not None:
                kept.keepers.pop(peer, None)
        peer.keepers = {}
        peer.kept = {}

    # -- the scenario's own acts ---------------------------------------------------------------------------------

    def observe(self, event: type[_Event], listener: Callable[[Peer, _Event, float], None]) -> None:
        """Call `listener(peer, event, true time)` for each event of exactly this class that a machine tells."""
        self._listeners.setdefault(event, []).append(listener)

    def call_at(self, time_s: float, function: Callable[[], None]) -> None:
        """Call it then, or now if that is past."""
        self._queue.push(max(time_s, self.now_s), None, CALL, function)

    def call_after(self, delay_s: float, function: Callable[[], None]) -> None:
        self.call_at(self.now_s + delay_s, function)

    # -- the loop ------------------------------------------------------------------------------------------------

    def run_until(self, end_s: float) -> None:
        """Let everything happen that is due until then. Raises MachineFailedError when a machine fails."""
        was_enabled = gc.isenabled()  # machines make no cycles; looking for some costs a second per ten thousand peers
        gc.disable()
        try:
            while self.now_s < end_s:
                step_s = min(self.now_s + STEP_S, end_s)
                with nothing_from_outside():
                    self._run(step_s)
                self.now_s = step_s
                if self.on_progress is not None:
                    self.on_progress(step_s, self.trace.steps)
        finally:
            if was_enabled:
                gc.enable()

    def _run(self, end_s: float) -> None:
        queue, heap = self._queue, self._queue.heap
        note = self.trace.note
        target: Peer | None = None
        source = what = None
        try:
            while (heap or queue.fill(end_s)) and heap[0][0] <= end_s:
                time_s, _, target, source, what = heappop(heap)
                self.now_s = time_s
                if target is None:
                    what()
                    continue
                if not target.is_alive:
                    if source.__class__ is Peer:
                        self._unreachable(source, target.address.endpoint_id)
                    continue
                if target.pause_s and (wait_s := target.stands_still_s(time_s)):
                    queue.push(time_s + wait_s, target, source, what)
                    continue
                clock_s = time_s * target.clock_rate + target.clock_offset_s
                if source is TIMER:
                    note(time_s, target.index, _TIMER_SOURCE, what)
                    self._perform(target, target.machine.on_timer(what, clock_s))
                elif source is UNREACHABLE:
                    target.failing.pop(what, None)
                    self._drop(target, what)
                    note(time_s, target.index, _UNREACHABLE_SOURCE, what)
                    self._perform(target, target.machine.on_unreachable(what, clock_s))
                else:
                    target.received_messages += 1
                    note(time_s, target.index, source.index, what)
                    self._perform(target, target.machine.on_message(source.address, what, clock_s))
        except MachineFailedError:
            raise
        except Exception as error:
            where = f"{target} on {what!r:.200}" if target is not None else "the scenario"
            reason = f"{type(error).__name__}: {error}"
            raise MachineFailedError(f"at {self.now_s:.6f} s, {where}: {reason}") from error

    def _perform(self, peer: Peer, effects: Iterable[Any]) -> None:
        for effect in effects:
            kind = effect.__class__
            if kind is Send:
                self._send(peer, effect)
            elif kind is Arm:
                self._queue.push(self.now_s + effect.after_s / peer.clock_rate, peer, TIMER, effect.timer)
            elif kind is Tell:
                event = effect.event
                self.trace.note(self.now_s, peer.index, _TELL_SOURCE, event)
                for listener in self._listeners.get(event.__class__, ()):
                    listener(peer, event, self.now_s)
            elif kind is Keep:
                self._keep(peer, effect.peer.endpoint_id)
            elif kind is Drop:
                self._drop(peer, effect.endpoint_id)
            else:
                raise TypeError(f"{effect!r} is not an effect")

    def _send(self, peer: Peer, effect: Send) -> None:
        message, to = effect.message, effect.to
        tally = self._tallies.get(message.__class__)
        if tally is None:
            tally = self._tallies[message.__class__] = [0, 0]
        tally[0] += 1
        peer.sent_messages += 1
        size_bytes = 0
        if self.size_of is not None:
            size_bytes = self.size_of(message)
            peer.sent_bytes += size_bytes
            tally[1] += size_bytes
        target = self.peers.get(to.endpoint_id)
        if target is None or not target.is_alive:
            self._unreachable(peer, to.endpoint_id)
            return
        network, now_s, queue = self.network, self.now_s, self._queue
        is_reliable = effect.is_reliable
        knows_way = to is target.address or leads_to(to, target.address)
        delay_s = network.delay_s(peer, target, is_reliable, size_bytes, now_s, knows_way)
        if delay_s < 0:
            if delay_s == FAILED:
                self._unreachable(peer, to.endpoint_id)
            return
        target.received_bytes += size_bytes
        queue.push(now_s + delay_s, target, peer, message)
        if network.duplication and network.repeats(is_reliable):
            again_s = network.delay_s(peer, target, is_reliable, size_bytes, now_s)
            if again_s >= 0:
                queue.push(now_s + again_s, target, peer, message)

    def _unreachable(self, peer: Peer, endpoint_id: bytes) -> None:
        """A dial that will fail; what else is sent to that peer meanwhile shares its fate."""
        if peer.is_alive and endpoint_id not in peer.failing:
            peer.failing[endpoint_id] = None
            self._queue.push(self.now_s + GIVE_UP_S, peer, UNREACHABLE, endpoint_id)

    def _keep(self, peer: Peer, endpoint_id: bytes) -> None:
        if endpoint_id in peer.kept:
            return
        peer.kept[endpoint_id] = None
        other = self.peers.get(endpoint_id)
        if other is None or not other.is_alive:
            self._unreachable(peer, endpoint_id)
        else:
            other.keepers[peer] = None

    def _drop(self, peer: Peer, endpoint_id: bytes) -> None:
        if endpoint_id in peer.kept:
            del peer.kept[endpoint_id]
            other = self.peers.get(endpoint_id)
            if other is not None:
                other.keepers.pop(peer, None)
