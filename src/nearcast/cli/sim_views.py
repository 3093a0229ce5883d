"""How the simulator's outcomes are shown: a table of figures, failures with the command that replays them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from nearcast.cli.amounts import bytes_text, count_text, seconds_text
from nearcast.cli.output import Mode, Output
from nearcast.sim.runner import Outcome, ScenarioFailedError, summary
from nearcast.sim.scenario import Scenario

FAILURES_SHOWN = 5  # of one seed


def show_scenarios(output: Output, scenarios: Sequence[Scenario]) -> None:
    """Their names, sizes and titles."""
    value = [
        {"name": each.name, "title": each.title, "nodes": each.nodes, "duration_s": each.duration_s}
        for each in scenarios
    ]
    width = max((len(each.name) for each in scenarios), default=0)
    lines = [
        "",
        "  Scenarios",
        *(f"    {each.name:<{width}}  {each.nodes:>6,}  {each.title}" for each in scenarios),
        "",
    ]
    lines += ["  Run one: nearcast sim NAME --seed 1", ""]
    output.result({"scenarios": value}, lines=lines, essential=[each.name for each in scenarios])


def show_outcomes(
    output: Output,
    scenario: Scenario,
    outcomes: Sequence[Outcome],
    pictures: Sequence[Path],
    smaller: Outcome | None,
    *,
    judges: bool,
) -> None:
    """The summary. When a seed failed: raises ScenarioFailedError, or with --json ends the command with its code."""
    rows = summary(outcomes, scenario, judges=judges)
    failed = [each for each in outcomes if not each.is_good]
    value = _json(scenario, outcomes, rows) | {"pictures": [str(path) for path in pictures]}
    if smaller is not None:
        value["smallest"] = {"nodes": smaller.nodes, "failures": smaller.failures, "replay": smaller.replay}
    lines = _lines(scenario, outcomes, rows, pictures)
    for each in failed:
        lines += _failure_lines(each)
    if smaller is not None:
        lines += [f"  It also fails with {smaller.nodes:,} peers:", f"    {smaller.replay}", ""]
    output.result(value, lines=lines, essential=[each.replay for each in failed] or ["good"])
    if failed:
        if output.mode is Mode.JSON:  # the object says it all, and there is only one
            raise typer.Exit(ScenarioFailedError.exit_code)
        seeds = ", ".join(str(each.seed) for each in failed)
        message = f"{scenario.name} failed with {'seed' if len(failed) == 1 else 'seeds'} {seeds}: "
        reason = failed[0].failures[0].split("\n", 1)[0]  # a world's story is told above
        raise ScenarioFailedError(message + reason, fix=f"replay it: {failed[0].replay}")


def _json(scenario: Scenario, outcomes: Sequence[Outcome], rows: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {row["figure"]: {key: _number(row[key]) for key in row if key != "figure"} for row in rows}
    runs = [
        {
            "seed": each.seed,
            "good": each.is_good,
            "figures": {name: _number(figure.value) for name, figure in each.figures.items()},
            "failures": each.failures,
            "notes": each.notes,
            "drawn": each.drawn,
            "trace": each.trace,
            "events": each.events,
            "simulated_s": each.simulated_s,
            "wall_s": each.wall_s,
            "replay": each.replay,
        }
        for each in outcomes
    ]
    good = all(each.is_good for each in outcomes)
    of_all = {"scenario": scenario.name, "nodes": outcomes[0].nodes, "duration_s": scenario.duration_s}
    return of_all | {"good": good, "figures": figures, "runs": runs}


def _lines(
    scenario: Scenario, outcomes: Sequence[Outcome], rows: list[dict[str, Any]], pictures: Sequence[Path]
) -> list[str]:
    first, many = outcomes[0], len(outcomes) > 1
    events, wall_s = sum(each.events for each in outcomes), sum(each.wall_s for each in outcomes)
    simulated_s = sum(each.simulated_s for each in outcomes)
    seeds = f"seeds {first.seed} to {outcomes[-1].seed}" if many else f"seed {first.seed}"
    rate = f"{events / wall_s:,.0f}" if wall_s else "∞"
    lines = ["", f"  {scenario.title}", f"  {count_text(first.nodes, 'peer')}, {seeds}"]
    lines += [f"  {note}" for note in first.notes]
    if first.drawn and not many:
        lines += ["  drawn: " + ", ".join(f"{name} {value:.3g}" for name, value in first.drawn.items())]
    lines += ["", *_table(rows, many), ""]
    took = f"  {seconds_text(simulated_s)} simulated in {seconds_text(wall_s)}: {count_text(events, 'event')}, {rate}/s"
    lines += [took]
    lines += [f"  trace  {each.trace}" + (f"  seed {each.seed}" if many else "") for each in outcomes]
    lines += [f"  picture  {path}" for path in pictures]
    return [*lines, ""]


def _table(rows: list[dict[str, Any]], many: bool) -> list[str]:
    cells = [["", "median", "worst", "demanded"] if many else ["", "", "", ""]]
    for row in rows:
        unit = row["unit"]
        worst = value_text(row["worst"], unit) if many else ""
        cells.append([row["figure"].replace("_", " "), value_text(row["median"], unit), worst, _demanded(row)])
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = []
    for name, median, worst, demanded in cells:
        numbers = f"{median:>{widths[1]}}" + (f"  {worst:>{widths[2]}}" if many else "")
        lines.append(f"    {name:<{widths[0]}}  {numbers}  {demanded}".rstrip())
    return lines if many else lines[1:]


def _demanded(row: dict[str, Any]) -> str:
    if "at_least" not in row:
        return ""
    least, most, unit = row["at_least"], row["at_most"], row["unit"]
    bounds = ([f"≥ {value_text(least, unit)}"] if least is not None else []) + (
        [f"≤ {value_text(most, unit)}"] if most is not None else []
    )
    return " and ".join(bounds) + ("  ✓" if row["good"] else "  ✗")


def value_text(value: float, unit: str) -> str:
    """A figure as people read it."""
    if math.isnan(value):
        return "-"
    match unit:
        case "share":
            return f"{value * 100:.2f} %"
        case "B" | "B/s":
            return bytes_text(value) + unit[1:]
        case "s":
            return seconds_text(value) if value >= 1 else f"{value * 1000:.3g} ms"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text + (unit if unit.startswith("/") else f" {unit}" if unit else "")


def _failure_lines(outcome: Outcome) -> list[str]:
    shown = outcome.failures[:FAILURES_SHOWN]
    more = len(outcome.failures) - len(shown)
    lines = [f"  Seed {outcome.seed} failed", *(f"    {failure}" for failure in shown)]
    return [*lines, *([f"    and {more} more"] if more else []), f"    replay: {outcome.replay}", ""]


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
