"""Amounts as people read them."""

import pytest

from nearcast.cli.amounts import bytes_text, count_text, percent_text, rate_text, seconds_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (18_400_000, "18.4 MB"), (999_600, "1.00 MB"), (10**9, "1.00 GB")],
)
def test_bytes(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0008, "0.8 ms"), (0.4123, "412 ms"), (2.06, "2.1 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_counts_rates_and_parts() -> None:
    assert count_text(1, "file") == "1 file"
    assert count_text(12_000, "file") == "12,000 files"
    assert rate_text(10**8, 2) == "50.0 MB/s"
    assert rate_text(10**8, 0) == "-"
    assert percent_text(37, 100) == "37 %"
    assert percent_text(0, 0) == "100 %"
