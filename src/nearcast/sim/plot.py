"""Charts as SVG, by hand: a few axes, lines and labels need no library.

One chart holds the curves of one name; of several seeds, each curve has the same colour and all but the first are thin.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from nearcast.sim.report import Curve
from nearcast.sim.runner import Outcome

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 56, 56
TICKS = 6  # about so many on each axis
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito: for all eyes
DECADES_LABELLED_MAX = 12
Span = tuple[float, float]


def write_charts(outcomes: Sequence[Outcome], folder: Path, title: str) -> list[Path]:
    """One file per chart, named after scenario and chart. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in dict.fromkeys(curve.chart for outcome in outcomes for curve in outcome.curves):
        curves = [[curve for curve in outcome.curves if curve.chart == chart] for outcome in outcomes]
        path = folder / f"{outcomes[0].scenario}-{_file_name(chart)}.svg"
        path.write_text(draw(chart, curves, title), encoding="utf-8")
        written.append(path)
    return written


def draw(chart: str, seeds: Sequence[Sequence[Curve]], title: str) -> str:
    """The SVG: `seeds` holds the curves of each seed, in the same order."""
    curves = [curve for seed in seeds for curve in seed if _finite(curve)]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 22, chart, size=15, weight="bold"),
        _text(LEFT, 40, _clipped(title), colour="#555"),
    ]
    if curves:
        is_log = curves[0].is_log_x and all(x > 0 for curve in curves for x, _ in _finite(curve))
        across = _across(curves, is_log)
        up = _span([y for curve in curves for _, y in _finite(curve)], from_zero=True)
        lines += _axes(curves[0], across, up, is_log)
        for at, seed in enumerate(seeds):
            lines += [_path(curve, across, up, is_log, which, at) for which, curve in enumerate(seed)]
        lines += _legend(seeds[0])
    else:
        lines.append(_text(WIDTH / 2, HEIGHT / 2, "no points", anchor="middle", colour="#555"))
    return "\n".join([*lines, "</svg>", ""])


def _across(curves: Sequence[Curve], is_log: bool) -> Span:
    values = [x for curve in curves for x, _ in _finite(curve)]
    if not is_log:
        return _span(values, from_zero=False)
    return 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)) + 1e-9)


def _span(values: Sequence[float], *, from_zero: bool) -> Span:
    least, most = min(values), max(values)
    if from_zero and least > 0:
        least = 0.0
    return (least, most) if most > least else (least, least + 1)


def _axes(curve: Curve, across: Span, up: Span, is_log: bool) -> list[str]:
    lines = []
    for x in _decades(across) if is_log else _ticks(across):
        at = _x(x, across, is_log)
        lines.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>')
        lines.append(_text(at, HEIGHT - BOTTOM + 18, f"{x:g}", anchor="middle", colour="#333"))
    for y in _ticks(up):
        at = _y(y, up)
        lines.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        lines.append(_text(LEFT - 8, at + 4, f"{y:g}", anchor="end", colour="#333"))
    lines.append(f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#333"/>')
    lines.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, curve.x, anchor="middle", colour="#333"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    label = _text(18, middle, curve.y, anchor="middle", colour="#333", extra=f' transform="rotate(-90 18 {middle:g})"')
    return [*lines, label]


def _path(curve: Curve, across: Span, up: Span, is_log: bool, which: int, seed: int) -> str:
    steps = []
    last: str | None = None
    for x, y in _finite(curve):
        right, down = f"{_x(x, across, is_log):.1f}", f"{_y(y, up):.1f}"
        if last is None:
            steps.append(f"M{right} {down}")
        else:
            steps.append(f"H{right}V{down}" if curve.is_stepped else f"L{right} {down}")
        last = down
    width, opacity = (2, 1) if seed == 0 else (1, 0.45)
    colour = COLOURS[which % len(COLOURS)]
    return f'<path d="{"".join(steps)}" fill="none" stroke="{colour}" stroke-width="{width}" opacity="{opacity}"/>'


def _legend(curves: Sequence[Curve]) -> Iterator[str]:
    """A row each, at the right: up to two above the frame, more where distributions are not: below, others above.

    A chart of unnamed curves needs none.
    """
    named = [(which, curve.label) for which, curve in enumerate(curves) if curve.label]
    first = 22 if len(named) <= 2 else TOP + 14
    if len(named) > 2 and curves[0].is_stepped:
        first = HEIGHT - BOTTOM - 16 * len(named)
    for row, (which, label) in enumerate(named):
        y = first + 16 * row
        yield _text(WIDTH - RIGHT - 22, y, label, anchor="end", colour="#333")
        x = WIDTH - RIGHT - 16
        yield f'<path d="M{x} {y - 4}h16" stroke="{COLOURS[which % len(COLOURS)]}" stroke-width="3"/>'


def _ticks(span: Span) -> Iterator[float]:
    """Round numbers inside the span: steps of 1, 2 or 5 times a power of ten."""
    rough = (span[1] - span[0]) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.999)
    at = math.ceil(span[0] / step - 1e-9)
    while at * step <= span[1] + step * 1e-9:
        yield round(at * step, 12)
        at += 1


def _decades(span: Span) -> Iterator[float]:
    first, last = round(math.log10(span[0])), round(math.log10(span[1]))
    every = max(1, math.ceil((last - first) / DECADES_LABELLED_MAX))
    for power in range(first, last + 1, every):
        yield 10.0**power


def _x(value: float, span: Span, is_log: bool) -> float:
    low, high = (math.log10(span[0]), math.log10(span[1])) if is_log else span
    share = ((math.log10(value) if is_log else value) - low) / (high - low)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(value: float, span: Span) -> float:
    return HEIGHT - BOTTOM - (value - span[0]) / (span[1] - span[0]) * (HEIGHT - TOP - BOTTOM)


def _finite(curve: Curve) -> list[tuple[float, float]]:
    return [(x, y) for x, y in curve.points if math.isfinite(x) and math.isfinite(y)]


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    colour: str = "#000",
    size: int = 12,
    weight: str = "normal",
    extra: str = "",
) -> str:
    style = f'text-anchor="{anchor}" fill="{colour}" font-size="{size}" font-weight="{weight}"'
    return f'<text x="{x:g}" y="{y:g}" {style}{extra}>{escape(text)}</text>'


def _clipped(text: str, columns: int = 100) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _file_name(chart: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in chart.lower()).split())
