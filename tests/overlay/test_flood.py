"""What one peer may cost: rates and faults."""

from hypothesis import given
from hypothesis import strategies as st

from nearcast.overlay.flood import FAULT_MEMORY_S, FAULTS_MAX, TRACKED_MAX, Bucket, Conduct

PEER, OTHER = bytes(32), bytes([1]) * 32


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 50)), max_size=60))
def test_whoever_waits_as_told_stays_within_the_rate(steps: list[tuple[float, int]]) -> None:
    rate, burst = 10.0, 20.0
    bucket, now_s, taken = Bucket(rate, burst), 0.0, 0.0
    for pause_s, amount in steps:
        now_s += pause_s
        now_s += bucket.take(amount, now_s)
        taken += amount
        assert taken <= burst + rate * now_s + 1e-6


def test_a_flood_waits_and_nobody_else_does() -> None:
    conduct = Conduct(rate_per_s=10, burst=100)
    waits = [conduct.received(PEER, 10, 0.0) for _ in range(300)]
    assert waits[:100] == [0.0] * 100
    assert waits[-1] == 20.0
    assert conduct.received(OTHER, 10, 0.0) == 0.0


def test_large_messages_count_as_several() -> None:
    conduct = Conduct(rate_per_s=10, burst=10)
    assert conduct.received(PEER, 20 << 10, 0.0) > 1.0


def test_faults_ban_for_a_while_and_are_forgotten() -> None:
    conduct = Conduct()
    for _ in range(FAULTS_MAX):
        assert not conduct.is_banned(PEER, 0.0)
        conduct.fault(PEER, 0.0)
    assert conduct.is_banned(PEER, FAULT_MEMORY_S - 1)
    assert not conduct.is_banned(OTHER, 0.0)
    assert not conduct.is_banned(PEER, FAULT_MEMORY_S)
    conduct.fault(PEER, FAULT_MEMORY_S)
    assert not conduct.is_banned(PEER, FAULT_MEMORY_S), "it starts anew"


def test_memory_is_bounded() -> None:
    conduct = Conduct()
    for number in range(TRACKED_MAX + 10):
        conduct.received(number.to_bytes(32), 1, 0.0)
    assert len(conduct._peers) == TRACKED_MAX
