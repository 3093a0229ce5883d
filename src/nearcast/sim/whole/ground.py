"""What all simulated nodes stand on, in one place."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nearcast.sim.whole.chain import WorldChain
from nearcast.sim.whole.disk import Disk
from nearcast.sim.whole.loop import VirtualLoop
from nearcast.sim.whole.network import WorldNetwork
from nearcast.sim.whole.story import Story

UNIX_START_S: Final = 1_800_000_000.0  # January 2027; any moment after the chain's genesis would do


@dataclass(frozen=True, slots=True)
class Ground:
    """Made by the world. `root`: the folder in which everybody's folders are. `on_event(name, event, fields)` hears
    what every node tells its telemetry; `on_fall(name, error)` of nodes that ended by themselves."""

    loop: VirtualLoop
    network: WorldNetwork
    chain: WorldChain
    disk: Disk
    root: Path
    story: Story
    rng: random.Random
    group: asyncio.TaskGroup
    on_event: Callable[[str, str, dict[str, Any]], None] = lambda _name, _event, _fields: None
    on_fall: Callable[[str, Exception], None] = lambda _name, _error: None

    def unix_s(self) -> float:
        """The true time."""
        return UNIX_START_S + self.loop.time()


@dataclass(slots=True)
class MemberClock:
    """A node's own clock: wrong by `skew_s`, and too fast or slow by `drift` (1e-5: a second in a day)."""

    loop: VirtualLoop
    skew_s: float = 0.0
    drift: float = 0.0

    def monotonic_s(self) -> float:
        return self.loop.time() * (1 + self.drift)

    def unix_s(self) -> float:
        return UNIX_START_S + self.skew_s + self.monotonic_s()
