"""Rates are learned, spans follow them, and lateness is judged by what a source has shown."""

from nearcast.delivery.select import (
    LATE_AFTER_S,
    LATE_UNMEASURED_S,
    PACES_MAX,
    SPAN_BYTES_MAX,
    SPAN_BYTES_MIN,
    Pace,
    Paces,
    is_silent,
    is_slow,
)

MIB = 1 << 20


def pace(rate_bytes_per_s: float) -> Pace:
    return Pace(rate_bytes_per_s)


def test_the_newest_measurement_weighs_most_but_not_alone() -> None:
    known = Pace()
    known.measured(100, 1.0)
    assert known.rate_bytes_per_s == 100
    known.measured(200, 1.0)
    assert known.rate_bytes_per_s is not None
    assert 120 < known.rate_bytes_per_s < 180
    known.measured(0, 1.0)
    known.measured(10, 0.0)
    assert 120 < known.rate_bytes_per_s < 180


def test_spans_take_about_as_long_whatever_the_rate_within_bounds() -> None:
    assert Pace().span_bytes() == SPAN_BYTES_MIN
    assert pace(10_000).span_bytes() == SPAN_BYTES_MIN
    assert pace(8 * MIB).span_bytes() == 4 * MIB
    assert pace(1e12).span_bytes() == SPAN_BYTES_MAX


def test_silence_is_judged_by_the_usual_time_of_a_leaf() -> None:
    assert not is_silent(Pace(), MIB, LATE_UNMEASURED_S - 0.01)
    assert is_silent(Pace(), MIB, LATE_UNMEASURED_S)
    assert is_silent(pace(100 * MIB), MIB, LATE_AFTER_S)
    assert not is_silent(pace(MIB), MIB, 1.5)
    assert is_silent(pace(MIB), MIB, 2.0)


def test_a_slow_source_is_helped_only_by_a_much_faster_one() -> None:
    assert is_slow(pace(MIB), pace(100 * MIB), 4 * MIB)
    assert not is_slow(pace(MIB), pace(1.5 * MIB), 4 * MIB)
    assert not is_slow(pace(100 * MIB), pace(400 * MIB), 4 * MIB)
    assert not is_slow(Pace(), pace(100 * MIB), 4 * MIB)
    assert not is_slow(pace(MIB), Pace(), 4 * MIB)


def test_the_fastest_known_goes_first_and_strangers_keep_their_order() -> None:
    paces = Paces()
    paces.of("slow").measured(10, 1.0)
    paces.of("fast").measured(1000, 1.0)
    assert paces.in_order(["new", "slow", "newer", "fast"]) == ["fast", "slow", "new", "newer"]


def test_only_so_many_sources_are_remembered() -> None:
    paces = Paces()
    first = paces.of("first")
    for number in range(PACES_MAX):
        paces.of(f"other-{number}")
    assert paces.of("first") is not first
