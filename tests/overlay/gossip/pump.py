"""A small network for gossip machines: a heap of events, a latency per pair, no time but what is on the heap.

Messages between two peers stay in order, or not, as one likes. A send to a peer that is down comes back as
`on_unreachable` after the dial's time, and the end of a kept connection is told after a while, as a transport would.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from nearcast.overlay.gossip.machine import Gossip
from nearcast.overlay.gossip.messages import fields, parse
from nearcast.overlay.gossip.settings import GossipSettings
from nearcast.overlay.machine import Arm, Drop, Effect, Keep, Send, Tell
from nearcast.transport.base import PeerAddress
from nearcast.wire import decode_message, encode_message

START_S = 1_700_000_000.0
LATENCY_S = (0.01, 0.15)  # uniform, fixed for each pair
DIAL_FAILED_S = 3.0
BROKEN_S = 5.0  # until the end of a kept connection is noticed


def fake_sign(endpoint_id: bytes) -> Callable[[bytes], bytes]:
    """A signature that costs nothing: right by construction, and false when anything is changed."""
    return lambda message: fake_signature(endpoint_id, message)


def fake_signature(endpoint_id: bytes, message: bytes) -> bytes:
    return endpoint_id + (sum(message) * 2654435761 % 2**256).to_bytes(32, "big")


def fake_verify(endpoint_id: bytes, message: bytes, signature: bytes) -> bool:
    return signature == fake_signature(endpoint_id, message)


class Pump:
    """Peers, what is under way between them, and what they told."""

    def __init__(self, seed: int, *, is_encoding: bool = False, is_ordered: bool = True) -> None:
        self.rng = random.Random(seed)
        self.now_s = START_S
        self.peers: dict[bytes, Gossip] = {}
        self.addresses: dict[bytes, PeerAddress] = {}
        self.told: dict[bytes, list[Any]] = {}
        self.kept: dict[bytes, set[bytes]] = {}
        self.sent: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()
        self.is_encoding = is_encoding
        self.is_ordered = is_ordered
        self.intercept: Callable[[bytes, bytes, Any], bool] | None = None  # True: the message is swallowed
        self.partition: Callable[[bytes, bytes], bool] | None = None  # True: they cannot reach each other
        self._heap: list[tuple[float, int, bytes, str, Any]] = []
        self._number = 0
        self._last_s: dict[tuple[bytes, bytes], float] = {}
        self._latency_s: dict[tuple[bytes, bytes], float] = {}

    def add(
        self,
        number: int,
        *,
        settings: GossipSettings | None = None,
        topics: tuple[str, ...] = ("global",),
        is_client: bool = False,
    ) -> bytes:
        """One more peer, started; its endpoint id."""
        endpoint_id = random.Random(number).randbytes(32)
        own = PeerAddress(endpoint_id, (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:4001",))
        peer = Gossip(
            own,
            sign=fake_sign(endpoint_id),
            verify=fake_verify,
            rng=random.Random(f"{number}/{self.rng.random()}"),
            settings=settings,
            topics=topics,
            is_client=is_client,
        )
        self.peers[endpoint_id] = peer
        self.addresses[endpoint_id] = own
        self.told[endpoint_id] = []
        self.kept[endpoint_id] = set()
        self.give(endpoint_id, peer.start(self.now_s))
        return endpoint_id

    def start_again(self, endpoint_id: bytes, number: int) -> None:
        """The peer that was added under this number has restarted: it knows nothing, and nobody has noticed."""
        assert self.add(number) == endpoint_id

    def grow(self, count: int, *, per_s: float = 10.0, **kwargs: Any) -> list[bytes]:
        """A network: each newcomer joins through a random peer that is there already."""
        ids: list[bytes] = []
        for _ in range(count):
            seeds = [self.addresses[self.rng.choice(ids)]] if ids else []
            ids.append(self.add(len(self.addresses) + 1, **kwargs))
            self.give(ids[-1], self.peers[ids[-1]].join(seeds, self.now_s))
            self.run(1 / per_s)
        return ids

    def crash(self, endpoint_id: bytes) -> None:
        """Gone without a word."""
        del self.peers[endpoint_id]
        for other, kept in self.kept.items():
            if endpoint_id in kept:
                self._push(self.now_s + self.rng.uniform(0.5, 1.0) * BROKEN_S, other, "broken", endpoint_id)

    def give(self, endpoint_id: bytes, effects: Iterable[Effect]) -> None:
        """Do what a peer wants done."""
        for effect in effects:
            match effect:
                case Send(to, message):
                    self._send(endpoint_id, to.endpoint_id, message)
                case Arm(after_s, timer):
                    self._push(self.now_s + after_s, endpoint_id, "timer", timer)
                case Keep(peer):
                    self.kept[endpoint_id].add(peer.endpoint_id)
                case Drop(other):
                    self.kept[endpoint_id].discard(other)
                case Tell(event):
                    self.told[endpoint_id].append(event)

    def run(self, duration_s: float) -> None:
        """Let time pass."""
        end_s = self.now_s + duration_s
        while self._heap and self._heap[0][0] <= end_s:
            at_s, _, endpoint_id, kind, what = heapq.heappop(self._heap)
            self.now_s = at_s
            self._ring(endpoint_id, kind, what)
        self.now_s = end_s

    def _ring(self, endpoint_id: bytes, kind: str, what: Any) -> None:
        peer = self.peers.get(endpoint_id)
        if peer is None:
            if kind == "message":  # the dial fails
                self._push(self.now_s + DIAL_FAILED_S, what[0], "unreachable", endpoint_id)
            return
        if kind == "message":
            self.give(endpoint_id, peer.on_message(PeerAddress(what[0]), what[1], self.now_s))
        elif kind == "timer":
            self.give(endpoint_id, peer.on_timer(what, self.now_s))
        elif kind == "unreachable" or what in self.kept[endpoint_id]:
            self.give(endpoint_id, peer.on_unreachable(what, self.now_s))

    def _send(self, sender: bytes, to: bytes, message: Any) -> None:
        name = type(message).__name__
        self.sent[name] += 1
        if self.is_encoding:
            frame = encode_message(fields(message))
            self.sent_bytes[name] += len(frame)
            message = parse(decode_message(frame[4:]))
        if self.intercept is not None and self.intercept(sender, to, message):
            return
        if self.partition is not None and self.partition(sender, to):
            self._push(self.now_s + DIAL_FAILED_S, sender, "unreachable", to)
            return
        pair = (sender, to)
        latency_s = self._latency_s.get(pair)
        if latency_s is None:
            latency_s = self._latency_s[pair] = self._latency_s[to, sender] = self.rng.uniform(*LATENCY_S)
        if self.is_ordered:
            at_s = max(self.now_s + latency_s, self._last_s.get(pair, 0.0))
        else:
            at_s = self.now_s + latency_s * self.rng.uniform(0.5, 3.0)
        self._last_s[pair] = at_s
        self._push(at_s, to, "message", (sender, message))

    def _push(self, at_s: float, endpoint_id: bytes, kind: str, what: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (at_s, self._number, endpoint_id, kind, what))
