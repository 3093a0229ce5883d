"""Whom a node has heard of lately: bounded, in order, with smoothed round-trip times."""

import pytest

from nearcast.overlay.heard import SAMPLE_WEIGHT, STALE_S, HeardPeers
from nearcast.transport.base import PeerAddress


def peer(number: int, *addresses: str) -> PeerAddress:
    return PeerAddress(number.to_bytes(32, "big"), addresses)


def test_who_was_silent_for_longest_makes_room() -> None:
    heard = HeardPeers(3)
    for number in (1, 2, 3):
        heard.heard(peer(number), float(number))
    heard.heard(peer(1), STALE_S + 10.0)
    heard.heard(peer(4), STALE_S + 11.0)
    assert [entry.address for entry in heard.all()] == [peer(3), peer(1), peer(4)]
    assert heard.get(peer(2).endpoint_id) is None


def test_round_trips_are_smoothed() -> None:
    heard = HeardPeers(3)
    heard.measured(peer(1), 0.1, 1.0)
    heard.measured(peer(1), 0.2, 2.0)
    entry = heard.get(peer(1).endpoint_id)
    assert entry is not None
    assert entry.rtt_s == pytest.approx(0.1 + SAMPLE_WEIGHT * 0.1)
    assert entry.heard_s == 2.0


def test_an_address_learnt_later_counts_and_none_does_not_erase_it() -> None:
    heard = HeardPeers(3)
    heard.heard(peer(1), 0.0)
    heard.heard(peer(1, "192.0.2.1:1"), STALE_S + 1.0)
    heard.heard(peer(1), 3 * STALE_S)
    entry = heard.get(peer(1).endpoint_id)
    assert entry is not None
    assert entry.address == peer(1, "192.0.2.1:1")
