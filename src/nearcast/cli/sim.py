"""`nearcast sim`: run a scenario in the simulator, judge it, and say how to see the same again."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.cli.options import Call, command

if TYPE_CHECKING:
    from nearcast.sim.runner import Outcome
    from nearcast.sim.scenario import Scenario

SEEDS_MAX = 10_000
Progressing = Callable[[float, int], None]

Name = Annotated[str | None, typer.Argument(metavar="SCENARIO", help="A name of --list, or a file that ends in .toml.")]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Whence all chance comes.")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, max=SEEDS_MAX, metavar="N", help="Run N seeds, from --seed on.")]
Nodes = Annotated[int | None, typer.Option("--nodes", min=1, metavar="N", help="Peers; else what the scenario says.")]
Swarm = Annotated[bool, typer.Option("--swarm", help="Draw faults of every kind from the seed; judge liveness alone.")]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="DIR", help="Write pictures there (SVG).")]
TraceFile = Annotated[Path | None, typer.Option("--trace", metavar="FILE", help="Write every step there (JSON lines).")]
Shrink = Annotated[bool, typer.Option("--shrink", help="When a seed fails, look for fewer peers that fail as well.")]
ShowList = Annotated[bool, typer.Option("--list", help="Show the scenarios that come with Nearcast.")]


def register(app: typer.Typer) -> None:
    @command(app, "sim")
    def sim(
        call: Call,
        scenario: Name = None,
        seed: Seed = 1,
        seeds: Seeds = 1,
        nodes: Nodes = None,
        swarm: Swarm = False,
        plot: Plot = None,
        trace: TraceFile = None,
        shrink: Shrink = False,
        show_list: ShowList = False,
    ) -> None:
        """Run the network's own code with thousands of simulated peers, lossy lines and liars, from one seed.

        The same seed gives the same run, to the last message. docs/simulator.md tells how to write a scenario.
        """
        from nearcast.cli.sim_views import show_outcomes, show_scenarios
        from nearcast.errors import UsageError
        from nearcast.sim.scenario import NODES_MAX, load_scenario, packaged_scenarios

        if show_list or scenario is None:
            show_scenarios(call.output, packaged_scenarios())
            return
        if trace is not None and seeds > 1:
            raise UsageError("--trace writes down one run", fix="leave --seeds out")
        if nodes is not None and nodes > NODES_MAX:
            raise UsageError(f"--nodes is at most {NODES_MAX:,}")
        loaded = load_scenario(scenario)
        outcomes = []
        with _trace_file(trace) as file:
            for each in range(seed, seed + seeds):
                label = f"{loaded.name}, seed {each}"
                with _bar(call, label, loaded.duration_s) as on_progress:
                    outcomes.append(_run(loaded, each, nodes, swarm, scenario, file, on_progress))
        smaller = _shrunk(call, loaded, outcomes, swarm, scenario) if shrink else None
        pictures = _draw(outcomes, plot, loaded)
        show_outcomes(call.output, loaded, outcomes, pictures, smaller, judges=not swarm)


def _run(
    scenario: "Scenario",
    seed: int,
    nodes: int | None,
    swarm: bool,
    source: str,
    trace_file: object = None,
    on_progress: Progressing | None = None,
) -> "Outcome":
    from nearcast.sim.runner import run_seed

    return run_seed(
        scenario,
        seed,
        nodes,
        all_faults=swarm,
        source=source,
        trace_file=trace_file,  # type: ignore[arg-type]  # a text file, or None
        on_progress=on_progress,
    )


def _shrunk(call: Call, scenario: "Scenario", outcomes: "list[Outcome]", swarm: bool, source: str) -> "Outcome | None":
    """Half as many peers, as long as that fails, too: the smallest failing run, of the first seed that failed."""
    smallest = failed = next((each for each in outcomes if not each.is_good), None)
    while smallest is not None and smallest.nodes > 1:
        nodes = smallest.nodes // 2
        with _bar(call, f"{scenario.name}, {nodes} peers", scenario.duration_s) as on_progress:
            outcome = _run(scenario, smallest.seed, nodes, swarm, source, on_progress=on_progress)
        if outcome.is_good:
            break
        smallest = outcome
    return smallest if smallest is not failed else None


def _draw(outcomes: "list[Outcome]", folder: Path | None, scenario: "Scenario") -> list[Path]:
    if folder is None:
        return []
    from nearcast.sim.plot import write_charts

    return write_charts(outcomes, folder, scenario.title)


@contextlib.contextmanager
def _trace_file(path: Path | None) -> Iterator[object]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file


@contextlib.contextmanager
def _bar(call: Call, label: str, duration_s: float) -> Iterator[Progressing | None]:
    """Simulated seconds on a terminal; nothing elsewhere."""
    if not call.output.shows_bars:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("  {task.description}"), BarColumn(22), TextColumn("{task.fields[amount]}"))
    with Progress(*columns, TimeElapsedColumn(), console=call.output.console(), transient=True) as progress:
        task = progress.add_task(label, total=duration_s, amount="")

        def show(simulated_s: float, events: int) -> None:
            amount = f"{simulated_s:,.0f} of {duration_s:,.0f} s simulated, {events:,} events"
            progress.update(task, completed=simulated_s, amount=amount)

        yield show
