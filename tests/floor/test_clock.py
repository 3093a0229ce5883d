"""The machine's clock."""

from nearcast.clock import Clock, SystemClock


def test_the_clock_goes_forward() -> None:
    clock: Clock = SystemClock()
    before_s = clock.monotonic_s()
    assert clock.unix_s() > 1_700_000_000
    assert clock.monotonic_s() >= before_s
