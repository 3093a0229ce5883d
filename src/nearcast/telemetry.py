"""Counting and telling: named counters, and events that a person or a program may watch.

Pure modules never call this; the files that await do.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Listener = Callable[[str, dict[str, Any]], None]


@dataclass
class Telemetry:
    """Counters by name (Prometheus style, unit last: `fetch_bytes`) and listeners for events."""

    counters: Counter[str] = field(default_factory=Counter)
    _listeners: list[Listener] = field(default_factory=list)

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] += amount

    def listen(self, listener: Listener) -> None:
        """`listener(event, fields)` is called in the event loop; it must be quick and must not raise."""
        self._listeners.append(listener)

    def event(self, name: str, **fields: Any) -> None:
        for listener in self._listeners:
            listener(name, fields)
