"""The network between whole nodes: distances, narrow links, loss, partitions, NAT; under transport/memory.py.

What is lost is sent again, as QUIC does, so loss is delay. What is sent into a partition waits for its end; a side that
heard nothing for IDLE_S ends its connection. A machine that crashed says nothing any more: the others find out by that.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from nearcast.errors import UnavailableError
from nearcast.keys import Identity
from nearcast.sim.latency import Latency
from nearcast.sim.whole.story import Story
from nearcast.transport import memory_pipe
from nearcast.transport.memory import MemoryConnection, MemoryEndpoint, MemoryNetwork
from nearcast.transport.memory_way import Way

Nat = Literal["open", "cone", "symmetric"]
IDLE_S: Final = 30.0  # quinn's default of QUIC's max_idle_timeout, which iroh leaves as it is
ABANDONED_S: Final = 90.0  # longer than anything waits without a word (LOST_S, BRING_S)
PACKET_BYTES: Final = 1_200  # QUIC's smallest maximum, RFC 9000 section 14
RESEND_RTTS: Final = 9 / 8  # until a loss is noticed: kTimeThreshold of RFC 9002
PIECE_S: Final = 0.5  # of a slow line: some round trips, else a stream alone could not fill it; guess
FRAME_BYTES: Final = 60  # of a packet that carries only a word: headers of IP, UDP and QUIC; guess


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all links are like. `jitter`: mean, as a share of the one-way delay; `loss`: of packets."""

    jitter: float = 0.1
    loss: float = 0.0


@dataclass(slots=True, eq=False)
class Host:
    """A machine's line. Bytes per second; `free_s`: when what was handed to the line before is through."""

    name: str
    site: int
    up_bytes_per_s: float
    down_bytes_per_s: float
    nat: Nat = "open"
    up_free_s: float = 0.0
    down_free_s: float = 0.0
    is_off: bool = False  # it crashed: nothing leaves, nothing is taken


class HostEndpoint(MemoryEndpoint):
    """An endpoint on a host."""

    host: Host


@contextmanager
def narrow(bytes_per_s: float) -> Iterator[None]:
    """While the block runs, a stream on lines so slow hands over less at a time.

    What is handed over arrives all at once, and a line carries one thing after the other; so streams that share a slow
    one get their pieces in turn, and in time.
    """
    usual_bytes = memory_pipe.STREAM_BUFFER_BYTES
    memory_pipe.STREAM_BUFFER_BYTES = min(usual_bytes, int(bytes_per_s * PIECE_S))
    try:
        yield
    finally:
        memory_pipe.STREAM_BUFFER_BYTES = usual_bytes


@dataclass(eq=False)
class _Wire(Way):
    """One direction between two hosts."""

    network: "WorldNetwork"
    sender: Host
    receiver: Host
    base_s: float
    used_s: float = 0.0

    def send(self, arrive: Callable[[], None], size_bytes: int, after_s: float) -> float:
        if self.sender.is_off:
            return after_s
        network, loop = self.network, asyncio.get_running_loop()
        self.used_s = loop.time()
        arrival_s = max(after_s, self._arrival_s(loop.time(), size_bytes))

        def here() -> None:
            network.arrived(self, arrive, size_bytes)

        loop.call_at(arrival_s, here)
        return arrival_s

    def _arrival_s(self, now_s: float, size_bytes: int) -> float:
        rng, conditions, size = self.network.rng, self.network.conditions, size_bytes + FRAME_BYTES
        self.sender.up_free_s = max(now_s, self.sender.up_free_s) + size / self.sender.up_bytes_per_s
        there_s = self.sender.up_free_s + self.base_s
        if conditions.jitter:
            there_s += rng.expovariate(1.0) * conditions.jitter * self.base_s
        if conditions.loss:
            packets = -(-size // PACKET_BYTES)
            chance = 1 - (1 - conditions.loss) ** packets
            while rng.random() < chance:
                there_s += 2 * self.base_s * RESEND_RTTS
                chance = conditions.loss
        self.receiver.down_free_s = max(there_s, self.receiver.down_free_s) + size / self.receiver.down_bytes_per_s
        return self.receiver.down_free_s


@dataclass
class WorldNetwork(MemoryNetwork):
    """All hosts, and what is wrong between them. Blocked directions are (sender's name, receiver's name)."""

    rng: random.Random = field(default_factory=lambda: random.Random(0))
    latency: Latency | None = None
    conditions: Conditions = field(default_factory=Conditions)
    story: Story = field(default_factory=Story)
    carried_bytes: Counter[tuple[str, str]] = field(default_factory=Counter)  # that arrived
    newest_receiver: str = ""  # whom something reached last
    _by_name: "dict[str, HostEndpoint]" = field(default_factory=dict)
    _blocked: dict[tuple[str, str], float] = field(default_factory=dict)
    _held: dict[tuple[str, str], list[Callable[[], None]]] = field(default_factory=lambda: defaultdict(list))

    # What the transport asks.

    def place(self, identity: Identity, host: Host, location: str) -> MemoryEndpoint:
        """A new endpoint on a host, which is on from now on."""
        endpoint = HostEndpoint(self, identity.endpoint_id, location)
        endpoint.host = host
        host.is_off = False
        self._by_name[host.name] = endpoint
        self.put(endpoint)
        return endpoint

    def way(self, sender: MemoryEndpoint, receiver: MemoryEndpoint) -> Way:
        one, other = _host(sender), _host(receiver)
        return _Wire(self, one, other, self._one_way_s(one, other))

    def rtt_s(self, one: MemoryEndpoint, other: MemoryEndpoint) -> float:
        there_s = self._one_way_s(_host(one), _host(other)) + self._one_way_s(_host(other), _host(one))
        return there_s * (1 + self.conditions.jitter * self.rng.random())

    async def handshake(self, dialler: MemoryEndpoint, remote: MemoryEndpoint) -> None:
        one, other = _host(dialler), _host(remote)
        round_trips = 1 if other.nat == "open" else 2  # the second to agree on a moment, over a relay
        if "symmetric" in (one.nat, other.nat) and "open" not in (one.nat, other.nat):
            await asyncio.get_running_loop().create_future()  # nobody answers: the dial's own patience ends it
        for _ in range(round_trips):
            for way in (self.way(dialler, remote), self.way(remote, dialler)):
                came = asyncio.Event()
                way.send(came.set, 0, 0.0)
                await came.wait()
        if self.find(remote.address()) is not remote:
            raise UnavailableError(f"{other.name} is gone")

    def arrived(self, wire: _Wire, arrive: Callable[[], None], size_bytes: int) -> None:
        """Something reaches its receiver, unless that is off or cut off."""
        pair = (wire.sender.name, wire.receiver.name)
        if pair in self._blocked:
            self._held[pair].append(lambda: self.arrived(wire, arrive, size_bytes))
        elif not wire.receiver.is_off:
            if size_bytes:
                self.carried_bytes[pair] += size_bytes
            self.newest_receiver = pair[1]
            self.story.note(pair[1], f"< {pair[0]} {size_bytes}")
            arrive()

    # What the world does.

    async def end_idle_connections(self) -> None:
        """Until cancelled: a connection that somebody dropped without a word does not stay for ever.

        Without a stream it ends after IDLE_S, with streams that nobody speaks on after ABANDONED_S: over QUIC a stream
        that was dropped ends by itself, here nobody notices.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(IDLE_S / 2)
            for endpoint in self.endpoints():
                for connection in endpoint.connections:
                    ends = (connection, connection.peer)
                    ways = [end.way for end in ends]
                    quiet_s = min(loop.time() - way.used_s for way in ways if isinstance(way, _Wire))
                    has_streams = any(end.load()[0] for end in ends)
                    if quiet_s >= (ABANDONED_S if has_streams else IDLE_S):
                        for end in ends:
                            end.lose(f"nothing was heard for {IDLE_S:g} s")

    def cut_off(self, endpoint: MemoryEndpoint) -> None:
        """Its machine crashed, without a word; who was connected to it hears nothing any more."""
        host = _host(endpoint)
        host.is_off = True
        self.forget(endpoint)
        loop = asyncio.get_running_loop()
        for connection in endpoint.connections:
            connection.lose("this machine crashed")
            loop.call_later(IDLE_S, connection.peer.lose, f"nothing was heard from {host.name} for {IDLE_S:g} s")

    def block(self, sender: str, receiver: str) -> None:
        """Nothing that one sends reaches the other from now on."""
        if (sender, receiver) in self._blocked:
            return
        loop = asyncio.get_running_loop()
        since_s = self._blocked[sender, receiver] = loop.time()
        loop.call_later(IDLE_S, self._idle, sender, receiver, receiver, since_s)  # it hears nothing
        loop.call_later(2 * IDLE_S, self._idle, sender, receiver, sender, since_s)  # nor, by then, does the other

    def open(self, sender: str, receiver: str) -> None:
        """The way is free again; what waited arrives."""
        if self._blocked.pop((sender, receiver), None) is not None:
            for arrive in self._held.pop((sender, receiver), []):
                arrive()

    def heal(self) -> None:
        """All ways are free, and nothing is lost any more."""
        for sender, receiver in list(self._blocked):
            self.open(sender, receiver)
        self.conditions = Conditions(jitter=self.conditions.jitter)

    @property
    def blocked(self) -> list[tuple[str, str]]:
        """The directions that are blocked."""
        return list(self._blocked)

    def reset(self, one: str, other: str) -> int:
        """The connections between two are torn down, as by a router that forgot them; how many there were."""
        torn = self._between(one, other)
        for connection in torn:
            connection.lose("the connection was reset")
            connection.peer.lose("the connection was reset")
        return len(torn)

    def _idle(self, sender: str, receiver: str, listener: str, since_s: float) -> None:
        if self._blocked.get((sender, receiver)) != since_s:
            return
        speaker = sender if listener == receiver else receiver
        for connection in self._between(listener, speaker):
            connection.lose(f"nothing was heard from {speaker} for {IDLE_S:g} s")

    def _between(self, one: str, other: str) -> list[MemoryConnection]:
        """One's ends of its connections to another."""
        endpoint = self._by_name.get(one)
        connections = () if endpoint is None else endpoint.connections
        return [each for each in connections if _host(each.peer.endpoint).name == other]

    def _one_way_s(self, one: Host, other: Host) -> float:
        return self.latency_s if self.latency is None else self.latency.rows[one.site][other.site]


def _host(endpoint: MemoryEndpoint) -> Host:
    assert isinstance(endpoint, HostEndpoint)
    return endpoint.host
