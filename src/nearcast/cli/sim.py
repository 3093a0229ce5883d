"""`nearcast sim`: run a scenario in the simulator, judge it, and say how to see the same again."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from nearcast.cli.options import Call, command

if TYPE_CHECKING:
    from nearcast.sim.runner import Outcome
    from nearcast.sim.scenario import Scenario
    from nearcast.sim.seeds import Series

SEEDS_MAX = 10_000
JOBS_MAX = 1_024  # guess: no machine of today has more CPUs

Name = Annotated[str | None, typer.Argument(metavar="SCENARIO", help="A name of --list, or a file that ends in .toml.")]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Whence all chance comes.")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, max=SEEDS_MAX, metavar="N", help="Run N seeds, from --seed on.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, max=JOBS_MAX, metavar="N", help="Seeds at once, each a process; else one per CPU."),
]
Nodes = Annotated[int | None, typer.Option("--nodes", min=1, metavar="N", help="Peers; else what the scenario says.")]
Duration = Annotated[
    float | None, typer.Option("--duration", metavar="S", help="Simulated seconds; else what the scenario says.")
]
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
        jobs: Jobs = None,
        nodes: Nodes = None,
        duration: Duration = None,
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
        from nearcast.sim.runner import check_nodes, for_seconds
        from nearcast.sim.scenario import NODES_MAX, load_scenario, packaged_scenarios
        from nearcast.sim.seeds import Series

        if show_list or scenario is None:
            show_scenarios(call.output, packaged_scenarios())
            return
        if trace is not None and seeds > 1:
            raise UsageError("--trace writes down one run", fix="leave --seeds out")
        if nodes is not None and nodes > NODES_MAX:
            raise UsageError(f"--nodes is at most {NODES_MAX:,}")
        loaded = load_scenario(scenario)
        if nodes is not None:
            check_nodes(loaded, nodes)
        series = Series(loaded, nodes, duration, swarm, scenario)
        if duration is not None:
            loaded = for_seconds(loaded, duration)
        outcomes = _outcomes(call, series, range(seed, seed + seeds), jobs, trace, loaded.duration_s)
        smaller = _shrunk(call, series, outcomes, loaded.duration_s) if shrink else None
        pictures = _draw(outcomes, plot, loaded)
        show_outcomes(call.output, loaded, outcomes, pictures, smaller, judges=not swarm)


def _outcomes(
    call: Call, series: "Series", seeds: range, jobs: int | None, trace: Path | None, duration_s: float
) -> "list[Outcome]":
    """One after the other with a bar each, or several at once with one bar for all."""
    from nearcast.cli.sim_bars import seeds_bar, simulated_bar
    from nearcast.sim.seeds import jobs_by_default, run_at_once

    name = series.scenario.name
    jobs = min(jobs or jobs_by_default(), len(seeds))
    if jobs > 1:
        with seeds_bar(call.output, f"{name}, {jobs} at once", len(seeds)) as on_done:
            return run_at_once(series, seeds, jobs, on_done)
    outcomes = []
    with _trace_file(trace) as file:
        for seed in seeds:
            with simulated_bar(call.output, f"{name}, seed {seed}", duration_s) as on_progress:
                outcomes.append(series.run(seed, file, on_progress))
    return outcomes


def _shrunk(call: Call, series: "Series", outcomes: "list[Outcome]", duration_s: float) -> "Outcome | None":
    """Half as many peers, as long as that fails, too: the smallest failing run, of the first seed that failed."""
    from nearcast.cli.sim_bars import simulated_bar
    from nearcast.errors import UsageError
    from nearcast.sim.runner import check_nodes

    smallest = failed = next((each for each in outcomes if not each.is_good), None)
    while smallest is not None and smallest.nodes > 1:
        nodes = smallest.nodes // 2
        try:
            check_nodes(series.scenario, nodes)
        except UsageError:  # so few make no sense
            break
        with simulated_bar(call.output, f"{series.scenario.name}, {nodes} peers", duration_s) as on_progress:
            outcome = replace(series, nodes=nodes).run(smallest.seed, on_progress=on_progress)
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
def _trace_file(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file
