"""The median of a peer's last times, the adjustment, and what is remembered of surprises: right, and bounded."""

import pytest

from nearcast.overlay.coordinates.filters import Adjustment, LatencyFilter
from nearcast.overlay.coordinates.guard import (
    DOUBT,
    ERROR_MIN,
    REMEMBERED_PEERS_MAX,
    SETTLED,
    SETTLED_WEIGHT,
    SLACK_S,
    SURPRISE_MAX,
    Guard,
)

PEER = b"p" * 32


def test_one_late_answer_is_not_believed() -> None:
    latency = LatencyFilter(of=3)
    assert latency.median_s(PEER, 0.1) == 0.1
    assert latency.median_s(PEER, 5.0) == 0.1
    assert latency.median_s(PEER, 0.11) == 0.11
    assert latency.median_s(PEER, 0.12) == 0.12
    assert latency.median_s(b"q" * 32, 0.3) == 0.3


def test_the_filter_forgets_whom_it_did_not_hear_of_for_longest() -> None:
    latency = LatencyFilter(of=3, peers_max=2)
    for peer in (b"a", b"b", b"a", b"c"):
        latency.median_s(peer, 0.1)
    assert len(latency) == 2
    assert latency.median_s(b"a", 9.0) == 0.1
    latency.forget(b"a")
    assert latency.median_s(b"a", 9.0) == 9.0


def test_the_adjustment_is_half_of_the_mean_surplus() -> None:
    adjustment = Adjustment(window=4)
    for _ in range(4):
        last_s = adjustment.after_s(0.12, 0.1)
    assert last_s == pytest.approx(0.01)
    for _ in range(4):
        last_s = adjustment.after_s(0.1, 0.1)
    assert last_s == pytest.approx(0.0)


def test_a_peer_that_keeps_contradicting_is_believed_less_whatever_it_states() -> None:
    guard = Guard()
    assert guard.error_of(PEER, 0.0, 0.1, 0.1, 0.1) == ERROR_MIN
    errors = [guard.error_of(PEER, 0.0, 0.5, 0.1, 0.1) for _ in range(10)]
    assert errors == sorted(errors)
    assert errors[-1] > 2.0
    assert guard.error_of(b"q" * 32, 0.3, 0.1, 0.1, 0.1) == 0.3


def test_a_surprise_counts_only_as_far_as_the_two_errors_do_not_explain_it() -> None:
    guard = Guard()
    assert guard.error_of(PEER, 0.5, 0.15, 0.1, 0.1) == 0.5
    assert guard.error_of(PEER, ERROR_MIN, 0.15, 0.1, 1.5) == ERROR_MIN
    assert Guard().error_of(PEER, 0.0, 10.0, 0.00001, 0.0) <= SURPRISE_MAX


def test_a_name_is_restored_by_samples_that_agree() -> None:
    guard = Guard()
    guard.error_of(PEER, 0.05, 1.0, 0.1, 0.05)
    for _ in range(20):
        error = guard.error_of(PEER, 0.05, 0.1, 0.1, 0.05)
    assert error == ERROR_MIN


def test_contradiction_weighs_more_for_whoever_knows_where_it_is() -> None:
    lost, settled = Guard(), Guard()
    surprise = 1.0
    far_s = 0.1 + (surprise + SETTLED) * (0.1 + SLACK_S)
    while_lost = lost.error_of(PEER, 0.0, far_s, 0.1, SETTLED)
    near_s = far_s - 0.01 * (0.1 + SLACK_S)  # an own error smaller by 0.01 explains as much less
    once_settled = settled.error_of(PEER, 0.0, near_s, 0.1, SETTLED - 0.01)
    assert once_settled == pytest.approx(SETTLED_WEIGHT * while_lost)


def test_the_guard_is_bounded() -> None:
    guard = Guard()
    for at in range(REMEMBERED_PEERS_MAX + 10):
        guard.error_of(at.to_bytes(32), 0.0, 1.0, 0.1, 0.1)
    assert len(guard) == REMEMBERED_PEERS_MAX
    guard.forget((REMEMBERED_PEERS_MAX + 9).to_bytes(32))
    assert len(guard) == REMEMBERED_PEERS_MAX - 1


def test_who_contradicts_all_others_is_doubted_until_it_no_longer_does() -> None:
    guard = Guard()
    assert not guard.is_doubted(PEER)
    guard.error_of(PEER, 0.05, 0.11, 0.1, 0.05)
    assert not guard.is_doubted(PEER)
    for _ in range(4):
        guard.error_of(PEER, 0.05, 0.6, 0.1, 0.05)
    assert guard.is_doubted(PEER)
    for _ in range(12):
        error = guard.error_of(PEER, 0.05, 0.1, 0.1, 0.05)
    assert error < DOUBT
    assert not guard.is_doubted(PEER)
