"""What of a scenario a driver heeds. Trouble that would never come is refused: else a calm run passes for a bad day.

A driver that heeds everything says nothing. Another names tables, or keys of tables, in `HEEDS`; one that needs some
peers to make sense says how many in `NODES_LEAST`; one whose groups have sizes of their own says `HAS_NODES = False`.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType

from nearcast.errors import UsageError
from nearcast.sim.scenario import Scenario

TABLES = (
    "network",
    "nat",
    "clocks",
    "slow",
    "churn",
    "flash_crowd",
    "mass_failure",
    "partition",
    "byzantine",
    "liveness",
)
SIZES = "sizes"  # the setting with which a driver makes groups of its own


def is_heeded(path: str, module: ModuleType) -> bool:
    """Whether a table, or a key such as `network.loss`, has an effect with this driver."""
    heeds: tuple[str, ...] | None = getattr(module, "HEEDS", None)
    return heeds is None or path in heeds or path.partition(".")[0] in heeds


def refuse_unheeded(scenario: Scenario, module: ModuleType) -> None:
    """Raises UsageError for the first thing that the scenario says in vain."""
    for path in (*_said(scenario), *scenario.swarm):
        if not is_heeded(path, module):
            heeds = ", ".join(module.HEEDS)
            raise UsageError(
                f"{scenario.name}: {path} has no effect with the driver {scenario.driver}",
                fix=f"leave it out; it heeds {heeds}, and its own [settings]",
            )


def refuse_nodes(scenario: Scenario, module: ModuleType, nodes: int) -> None:
    """Raises UsageError when so many peers make no sense."""
    least = getattr(module, "NODES_LEAST", 1)
    if nodes < least:
        raise UsageError(f"{scenario.name} takes {least} nodes at least, not {nodes}")


def refuse_other_nodes(scenario: Scenario, module: ModuleType, nodes: int) -> None:
    """Raises UsageError when --nodes would change nothing."""
    has_sizes = bool(scenario.settings.get(SIZES)) or not getattr(module, "HAS_NODES", True)
    if has_sizes and nodes != scenario.nodes:
        raise UsageError(
            f"--nodes: {scenario.name} has groups of sizes of its own", fix="its [settings] say which: sizes = [20, 50]"
        )


def _said(scenario: Scenario) -> Iterator[str]:
    """The tables and keys that are not as they are by themselves."""
    silent = Scenario(title="", driver="")
    for name in TABLES:
        table, default = getattr(scenario, name), getattr(silent, name)
        if not is_dataclass(table):
            if table:
                yield name
            continue
        for key in fields(table):
            if getattr(table, key.name) != getattr(default, key.name):
                yield f"{name}.{key.name}"
