"""Broadcasts in a small network: everybody gets them, once, for little more than one payload each."""

from collections import Counter

import pytest
from tests.overlay.gossip.pump import Pump

from nearcast.overlay.gossip.events import Delivered

PEERS = 120


def broadcast_and_count(pump: Pump, count: int, *, pause_s: float, wait_s: float) -> list[float]:
    """Broadcast from random peers; the share of the others that got each, by the end."""
    ids = []
    alive = list(pump.peers)
    for number in range(count):
        origin = pump.rng.choice(alive)
        message_id, effects = pump.peers[origin].broadcast("global", f"message {number}".encode(), pump.now_s)
        pump.give(origin, effects)
        ids.append(message_id)
        pump.run(pause_s)
    pump.run(wait_s)
    got = Counter(event.message_id for peer in alive for event in pump.told[peer] if isinstance(event, Delivered))
    return [got[message_id] / (len(alive) - 1) for message_id in ids]


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_gets_everything_once_and_cheaply(seed: int) -> None:
    pump = Pump(seed)
    pump.grow(PEERS)
    pump.run(30)
    assert broadcast_and_count(pump, 3, pause_s=1, wait_s=10) == [1.0] * 3  # the tree forms
    before = Counter(pump.sent)
    assert broadcast_and_count(pump, 20, pause_s=1, wait_s=10) == [1.0] * 20
    payloads = (pump.sent["Push"] - before["Push"]) / (20 * PEERS)
    control = sum(pump.sent[name] - before[name] for name in ("Have", "Graft", "Prune")) / (20 * PEERS)
    assert 0.99 <= payloads <= 1.1
    assert control <= 29_987 / 10_000 / 2, "half of what Plumtree's paper needs"


@pytest.mark.parametrize(("seed", "share"), [(1, 0.5), (2, 0.5), (3, 0.8)])
def test_half_of_the_peers_fail_at_once(seed: int, share: float) -> None:
    pump = Pump(seed)
    pump.grow(PEERS)
    pump.run(60)
    broadcast_and_count(pump, 3, pause_s=1, wait_s=10)
    for endpoint_id in pump.rng.sample(list(pump.peers), int(share * PEERS)):
        pump.crash(endpoint_id)
    assert broadcast_and_count(pump, 1, pause_s=0, wait_s=60)[0] >= 0.99, "sent before anybody noticed"
    assert broadcast_and_count(pump, 5, pause_s=1, wait_s=10) == [1.0] * 5
