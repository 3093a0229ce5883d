"""What a run found out: figures with units, curves for pictures, and what went wrong."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nearcast.sim.scenario import Check

POINTS_MAX = 2000  # of one curve; a picture has no more pixels


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `unit`: "share" is shown in per cent; else "s", "ms", "B", "B/s", "hops", "messages", ""..."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a picture; curves of one `chart` are drawn together."""

    chart: str
    label: str
    points: tuple[tuple[float, float], ...]
    x: str
    y: str
    is_stepped: bool = False  # a distribution
    is_log_x: bool = False


@dataclass
class Report:
    """A driver writes into it; runner.py judges it.

    A driver that runs something else than `run.simulation` sets trace, events and simulated_s itself.
    """

    figures: dict[str, Figure] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trace: str = ""
    events: int = 0
    simulated_s: float = 0.0

    def figure(self, name: str, value: float, unit: str = "") -> None:
        """One number, under a name that the scenario's [checks] can speak of: `lookup_success`, `hops_median`."""
        self.figures[name] = Figure(name, value, unit)

    def quantiles(self, name: str, values: Iterable[float], unit: str = "") -> None:
        """Median, 90th and 99th percentile and the worst, as name_median, name_p90, name_p99, name_max."""
        ordered = sorted(values)
        for suffix, share in (("median", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
            self.figure(f"{name}_{suffix}", quantile(ordered, share), unit)

    def series(self, chart: str, points: Iterable[tuple[float, float]], *, x: str, y: str, label: str = "") -> None:
        """A curve through these points."""
        self.curves.append(Curve(chart, label, tuple(_thinned(list(points))), x, y))

    def distribution(
        self, chart: str, values: Iterable[float], *, x: str, label: str = "", is_log_x: bool = False
    ) -> None:
        """A cumulative distribution: which share of the values is at most x."""
        ordered = sorted(values)
        points = [(value, (at + 1) / len(ordered)) for at, value in enumerate(ordered)]
        self.curves.append(Curve(chart, label, tuple(_thinned(points)), x, "share", True, is_log_x))

    def fail(self, why: str) -> None:
        """The run has failed, and goes on."""
        self.failures.append(why)

    def note(self, line: str) -> None:
        """Something worth a line in the summary."""
        self.notes.append(line)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; NaN of nothing."""
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def broken(figure: Figure, check: Check) -> str | None:
    """Why the figure does not pass the check; NaN passes none."""
    if check.at_least is not None and not figure.value >= check.at_least:
        return f"{figure.name} is {figure.value:g}, at least {check.at_least:g} is demanded"
    if check.at_most is not None and not figure.value <= check.at_most:
        return f"{figure.name} is {figure.value:g}, at most {check.at_most:g} is demanded"
    return None


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= POINTS_MAX:
        return points
    step = (len(points) - 1) / (POINTS_MAX - 1)
    return [points[round(at * step)] for at in range(POINTS_MAX)]
