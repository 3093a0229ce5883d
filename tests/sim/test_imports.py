"""What is simulated looks at no clock and throws no dice of its own: by its imports, and while it runs."""

import ast
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.sim.toys import Recorder, world

import nearcast
from nearcast.overlay.machine import Arm
from nearcast.sim.guard import OutsideError, nothing_from_outside
from nearcast.sim.simulation import MachineFailedError

OVERLAY = Path(nearcast.__file__).parent / "overlay"
FORBIDDEN = {"asyncio", "random", "secrets", "socket", "threading", "time", "uuid"}
MACHINES = sorted(path for path in OVERLAY.rglob("*.py") if "async def" not in path.read_text())  # the rest acts


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules imported at run time: what stands under `if TYPE_CHECKING` is for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (name.name.split(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]
        yield from imports(node)


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: str(path.relative_to(OVERLAY)))
def test_machines_import_neither_clock_nor_dice(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not FORBIDDEN & set(imports(tree))
    entropy = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "urandom"]
    assert not entropy


def test_the_rule_can_fail() -> None:
    tree = ast.parse(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import random\ndef f():\n from time import time"
    )
    assert FORBIDDEN & set(imports(tree)) == {"time"}
    assert {"machine.py", "table.py", "swim.py", "plumtree.py"} <= {path.name for path in MACHINES}


@pytest.mark.parametrize(
    "ask",
    [time.time, time.monotonic, lambda: os.urandom(1), lambda: random.random(), lambda: random.choice([1])],
    ids=["time", "monotonic", "urandom", "random", "choice"],
)
def test_a_machine_that_asks_outside_fails(ask: Callable[[], object], request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id

    class Asking(Recorder):
        def on_timer(self, timer: object, now_s: float) -> list[Arm]:
            getattr(time, name, ask)()  # through the module, as machines would call it
            return []

    simulation = world()
    simulation.add(Asking(first=[Arm(1.0, "tick")]), simulation.new_address())
    with pytest.raises(MachineFailedError, match="OutsideError: simulated code called") as raised:
        simulation.run_until(2.0)
    assert isinstance(raised.value.__cause__, OutsideError)
    assert time.time() > 0, "afterwards all is as before"
    assert len(os.urandom(4)) == 4


def test_other_threads_and_seeded_dice_go_on() -> None:
    answers: list[float] = []
    with nothing_from_outside():
        thread = threading.Thread(target=lambda: answers.append(time.time()))
        thread.start()
        thread.join()
        assert random.Random(1).random() == random.Random(1).random()
    assert answers
