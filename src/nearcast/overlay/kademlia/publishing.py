"""What this node publishes, and when each of it is due again.

Only who provides a thing publishes it: nobody republishes for others, so what is not there any more is forgotten. The
period grows with the number of things, so that a node with very many roots does not publish all the time.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from nearcast.overlay.kademlia.records import ValueRecord
from nearcast.overlay.kademlia.settings import KademliaSettings

if TYPE_CHECKING:
    import random

RETRY_S = 60.0  # after a publication that nobody took; guess


class Publications:
    """Keys of provider records and of values. Under way means: taken by `next_due`, not yet given back by `done`."""

    def __init__(self, settings: KademliaSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._due_s: dict[bytes, float] = {}
        self._values: dict[bytes, ValueRecord] = {}
        self._heap: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._due_s)

    def __contains__(self, key: bytes) -> bool:
        return key in self._due_s

    def add(self, key: bytes, now_s: float, value: ValueRecord | None = None) -> None:
        """Publish it as soon as possible, and again and again."""
        if value is not None:
            self._values[key] = value
        self._schedule(key, now_s)

    def remove(self, key: bytes) -> None:
        """Not any more: what is published expires."""
        self._due_s.pop(key, None)
        self._values.pop(key, None)

    def value(self, key: bytes) -> ValueRecord | None:
        """The value to publish under `key`; None: this node is its provider."""
        return self._values.get(key)

    def next_due(self, now_s: float) -> bytes | None:
        """A key whose time has come; it is not due again until `done`."""
        while self._heap and self._heap[0][0] <= now_s:
            due_s, key = heapq.heappop(self._heap)
            if self._due_s.get(key) == due_s:
                self._due_s[key] = float("inf")
                return key
        return None

    def done(self, key: bytes, now_s: float, *, is_kept: bool) -> None:
        """It was published, or nobody took it."""
        if self._due_s.get(key) == float("inf"):  # else it was removed, or is to be published anew already
            after_s = self.period_s() * self._rng.uniform(0.9, 1.0) if is_kept else RETRY_S
            self._schedule(key, now_s + after_s)

    def hasten(self, now_s: float) -> None:
        """Everything is due soon: as soon as so many things can be published at their usual pace."""
        within_s = len(self._due_s) * self._settings.publish_spacing_s
        for key, due_s in list(self._due_s.items()):
            hastened_s = now_s + self._rng.random() * within_s
            if hastened_s < due_s < float("inf"):
                self._schedule(key, hastened_s)

    def period_s(self) -> float:
        """How long after a publication the next one is due."""
        settings = self._settings
        return min(max(len(self._due_s) * settings.publish_spacing_s, settings.republish_s), settings.republish_s_max)

    def _schedule(self, key: bytes, due_s: float) -> None:
        self._due_s[key] = due_s
        heapq.heappush(self._heap, (due_s, key))
        if len(self._heap) > 2 * len(self._due_s) + 16:
            self._heap = [(due, key) for due, key in self._heap if self._due_s.get(key) == due]
            heapq.heapify(self._heap)
