"""Swarm mode: faults drawn from the seed, so that each seed is another kind of bad day.

A scenario's [swarm] table names numbers of its other tables and a range for each: `"network.loss" = [0.0, 0.3]`. One
in COIN of them keeps what the scenario says: runs in which a fault is absent find other errors than runs with a little
of everything (Groce et al., "Swarm Testing", ISSTA 2012). `--swarm` does it to any scenario, with DEFAULT_RANGES.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from nearcast.errors import UsageError

if TYPE_CHECKING:
    from nearcast.sim.scenario import Scenario

COIN = 2
# After the ranges of TigerBeetle's simulator, where it has such a fault; the others are guesses.
DEFAULT_RANGES = {
    "network.jitter": (0.0, 1.0),
    "network.loss": (0.0, 0.3),
    "network.duplication": (0.0, 0.5),
    "network.reordering": (0.0, 0.3),
    "nat.cone": (0.0, 0.4),
    "nat.symmetric": (0.0, 0.2),
    "clocks.skew_s": (0.0, 30.0),
    "clocks.drift_ppm": (0.0, 500.0),
    "slow.share": (0.0, 0.2),
    "slow.pause_s": (0.1, 5.0),
    "churn.replaced_per_hour": (0.0, 2.0),
    "churn.crash_share": (0.0, 1.0),
}


def parse_ranges(scenario: "Scenario", where: str) -> Mapping[str, tuple[float, float]]:
    """The [swarm] table, checked against the tables that it names. Raises UsageError."""
    ranges = {}
    for path, value in scenario.swarm.items():
        table, _, key = path.partition(".")
        old = getattr(getattr(scenario, table, None), key, None)
        if isinstance(old, bool) or not isinstance(old, int | float):
            raise UsageError(f"{where}: {path} is not a number of the scenario", fix='for example "network.loss"')
        is_pair = isinstance(value, list) and len(value) == 2 and all(type(each) in (int, float) for each in value)
        if not is_pair or value[0] > value[1]:
            raise UsageError(f"{where}: {path}: expected [least, most], not {value!r}")
        for each in value:
            _with(scenario, path, each, f"{where}: {path}")
        ranges[path] = (float(value[0]), float(value[1]))
    return ranges


def drawn(
    scenario: "Scenario", seed: int, *, all_faults: bool = False, heeds: Callable[[str], bool] = lambda path: True
) -> "Scenario":
    """The scenario of this seed; `all_faults`: with DEFAULT_RANGES for what it does not name itself.

    What its driver does not heed stays as it is; the dice are thrown all the same.
    """
    rng = random.Random(f"{seed}/swarm")
    ranges = {**DEFAULT_RANGES, **scenario.swarm} if all_faults else scenario.swarm
    for path, (least, most) in ranges.items():
        value, keeps = rng.uniform(least, most), rng.randrange(COIN) == 0
        if not keeps and heeds(path):
            scenario = _with(scenario, path, value, path)
    return scenario


def draws(before: "Scenario", after: "Scenario") -> dict[str, float]:
    """What swarm mode changed, for the summary."""
    changed = {}
    for each in fields(before):
        old, new = getattr(before, each.name), getattr(after, each.name)
        if is_dataclass(old) and old != new:
            for key in fields(old):
                if getattr(old, key.name) != getattr(new, key.name):
                    changed[f"{each.name}.{key.name}"] = getattr(new, key.name)
    return changed


def _with(scenario: "Scenario", path: str, value: float, where: str) -> "Scenario":
    from nearcast.sim.tables import read_value

    name, _, key = path.partition(".")
    table: Any = getattr(scenario, name)
    described = next(each for each in fields(table) if each.name == key)
    kind = type(getattr(table, key))
    read = read_value(described, kind, kind(value), where)
    return replace(scenario, **{name: replace(table, **{key: read})})
