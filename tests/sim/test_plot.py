"""Pictures: sound XML, every point inside the frame, axes at round numbers, and nothing that a label could break."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.sim.test_run import outcome_of

from nearcast.sim.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw, write_charts
from nearcast.sim.report import POINTS_MAX, Curve, Report

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def points(svg: str) -> list[tuple[float, float]]:
    """Where the curves go: the paths with an opacity are theirs."""
    found = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if path.get("opacity"):
            found += [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d", ""))]
    return found


def test_a_curve_fills_the_frame() -> None:
    curve = Curve("reach", "", ((0.0, 0.0), (5.0, 0.5), (10.0, 1.0)), "seconds", "share")
    svg = draw("reach", [[curve]], "A title with <angles> & more")
    assert points(svg) == [
        (LEFT, HEIGHT - BOTTOM),
        (pytest.approx((LEFT + WIDTH - RIGHT) / 2), pytest.approx((TOP + HEIGHT - BOTTOM) / 2)),
        (WIDTH - RIGHT, TOP),
    ]
    assert {"reach", "A title with <angles> & more", "seconds", "share", "0", "2", "10", "0.2", "1"} <= set(texts(svg))


def test_a_distribution_on_a_logarithmic_axis() -> None:
    report = Report()
    report.distribution("errors", [0.001, 0.01, 0.1, 1.0], x="error", label="vivaldi", is_log_x=True)
    svg = draw("errors", [report.curves], "t")
    assert {"0.001", "0.01", "0.1", "1", "vivaldi"} <= set(texts(svg))


@pytest.mark.parametrize("curve_points", [(), ((1.0, 1.0),), ((1.0, float("nan")),), ((3.0, 0.0), (3.0, 0.0))])
def test_odd_curves_are_drawn_without_complaint(curve_points: tuple[tuple[float, float], ...]) -> None:
    svg = draw("odd", [[Curve("odd", "x", curve_points, "x", "y")]], "t")
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"


def test_many_points_are_thinned_and_keep_their_ends() -> None:
    report = Report()
    report.series("long", ((float(at), float(at)) for at in range(100_000)), x="x", y="y")
    (curve,) = report.curves
    assert len(curve.points) == POINTS_MAX
    assert (curve.points[0], curve.points[-1]) == ((0.0, 0.0), (99_999.0, 99_999.0))


def test_one_file_per_chart_with_the_curves_of_all_seeds(tmp_path: Path) -> None:
    outcomes = [outcome_of(seed) for seed in (1, 2)]
    for outcome in outcomes:
        for chart in ("reach over time", "hops"):
            outcome.curves.append(Curve(chart, "a", ((0.0, 0.0), (1.0, 2.0)), "x", "y"))
    written = write_charts(outcomes, tmp_path / "new", "t")
    assert [path.name for path in written] == ["mine-reach-over-time.svg", "mine-hops.svg"]
    assert len(points(written[0].read_text())) == 4
