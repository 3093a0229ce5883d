"""Latencies: the measured matrix as it is, a generated one close to it, and no silent exchange of the two."""

import random
from pathlib import Path

import pytest

from nearcast.errors import UsageError
from nearcast.sim import latency
from nearcast.sim.run import make_latency
from nearcast.sim.scenario import NetworkTable

measured = latency.planetlab()


def quantiles_s(matrix: latency.Latency) -> tuple[float, float]:
    """Median and 90th percentile of the round-trip times between different sites."""
    rtts = sorted(matrix.rtt_s(one, other) for one in range(matrix.sites) for other in range(one))
    return rtts[len(rtts) // 2], rtts[len(rtts) * 9 // 10]


@pytest.mark.skipif(measured is None, reason="the PlanetLab matrix is not here")
def test_the_measured_matrix_is_read_as_it_stands() -> None:
    assert measured is not None
    assert (measured.name, measured.sites) == ("PlanetLab", latency.PLANETLAB_SITES)
    assert measured.rtt_s(0, 1) == pytest.approx(0.000175)  # its first row: 0  0.175  2.553 ...
    assert measured.rtt_s(2, 0) == pytest.approx(0.002553)
    median_s, p90_s = quantiles_s(measured)
    assert median_s == pytest.approx(0.135, rel=0.01)
    assert p90_s == pytest.approx(0.2907, rel=0.01)


def test_the_generated_matrix_is_like_the_measured_one() -> None:
    matrix = latency.generated(300, random.Random(1))
    median_s, p90_s = quantiles_s(matrix)
    assert median_s == pytest.approx(0.135, rel=0.1)
    assert p90_s == pytest.approx(0.291, rel=0.1)
    rows = matrix.rows
    assert all(rows[one][other] == rows[other][one] > 0 for one in range(300) for other in range(300))
    assert rows == latency.generated(300, random.Random(1)).rows
    violated = sum(
        matrix.rtt_s(a, b) > matrix.rtt_s(a, c) + matrix.rtt_s(c, b)
        for a, b, c in zip(*[iter(range(300))] * 3, strict=True)
    )
    assert violated, "triangles are violated in the real network as well"


def test_where_the_data_is_absent_one_is_generated_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(latency.DATA_VARIABLE, str(tmp_path))
    assert latency.planetlab() is None
    matrix = make_latency(NetworkTable(latency="planetlab", sites=20), seed=7)
    assert (matrix.name, matrix.sites) == ("generated", 20)


def test_a_damaged_matrix_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import gzip

    (tmp_path / latency.PLANETLAB_FILE).write_bytes(gzip.compress(b"0 1\n1\n"))
    monkeypatch.setenv(latency.DATA_VARIABLE, str(tmp_path))
    with pytest.raises(UsageError, match="not a square matrix"):
        latency.planetlab()


def test_constant() -> None:
    assert make_latency(NetworkTable(latency="constant", rtt_ms=80.0), seed=1).rtt_s(0, 0) == pytest.approx(0.08)
