"""The drivers: one file per scenario's `driver`, with a function `run(run: Run) -> None` (see sim/simulation.py)."""
