"""The registry's nodes by their endpoint id: whom this node may pay, and what it knows of whom it meets.

The last reading answers at once, also the one of an earlier run; it is renewed beside that when it is old. Whoever asks
for a node that is not in it waits for a renewal. When the chain does not answer, the last reading stays good: a node
that left the registry meanwhile is paid for what it delivers and for no more than that, so an old reading risks no
money, only a better choice.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from nearcast.chain.node_records import NodeRecord
from nearcast.clock import Clock
from nearcast.errors import NearcastError, UnavailableError
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry

REFRESH_S = 300.0  # a reading's age; guess: nodes come and go by the hour, and a renewal costs one question
MISSING_REFRESH_S = 15.0  # for the sake of a stranger, so often at most: strangers must not make us ask a chain
LOAD_S_MAX = 5.0  # for a renewal nobody waits longer; the first one of a large registry goes on behind


class Directory(Protocol):
    """What is needed of chain/node_directory.py."""

    async def load(self) -> list[NodeRecord]: ...

    def cached(self) -> list[NodeRecord]: ...


class KnownNodes:
    """Owned by a TaskGroup that outlives it: renewals run in `tasks`."""

    def __init__(self, directory: Directory, clock: Clock, telemetry: Telemetry, tasks: asyncio.TaskGroup) -> None:
        self._directory = directory
        self._clock = clock
        self._telemetry = telemetry
        self._tasks = tasks
        self._by_endpoint: dict[bytes, NodeRecord] = {}
        self._has_read = False
        self._loaded_s: float | None = None
        self._tried_s: float | None = None
        self._loading: asyncio.Task[None] | None = None
        self._failure: NearcastError | None = None

    @property
    def unread(self) -> NearcastError | None:
        """Why a registered node may be missing here: the last reading failed, or the first one takes long."""
        if self._failure is None and self._loaded_s is None and self._loading is not None:
            return UnavailableError("the first reading of it takes long", fix="try again in a moment")
        return self._failure

    def get(self, endpoint_id: bytes) -> NodeRecord | None:
        """The node of that endpoint as of the last reading, active or not. None: it is not registered."""
        return self._by_endpoint.get(endpoint_id)

    def all(self) -> list[NodeRecord]:
        """The nodes of the last reading."""
        return list(self._by_endpoint.values())

    async def lookup(self, endpoint_ids: Iterable[bytes]) -> dict[bytes, NodeRecord]:
        """Those of these endpoints that are registered and active, by endpoint id. Never raises for the chain's sake;
        StoreError when the cache cannot be read."""
        wanted = set(endpoint_ids)
        if not self._has_read:
            self._keep(await in_thread(self._directory.cached))
        strangers = wanted - self._by_endpoint.keys()
        if self._is_due(is_stranger=bool(strangers)):
            self._tried_s = self._clock.monotonic_s()
            self._loading = self._tasks.create_task(self._load())
        if strangers and self._loading is not None:
            await asyncio.wait([self._loading], timeout=LOAD_S_MAX)
        found = {each: self._by_endpoint[each] for each in wanted & self._by_endpoint.keys()}
        return {each: node for each, node in found.items() if node.active}

    def _is_due(self, *, is_stranger: bool) -> bool:
        now_s = self._clock.monotonic_s()
        if self._loading is not None:
            return False
        if self._tried_s is not None and now_s - self._tried_s < MISSING_REFRESH_S:
            return False
        return is_stranger or self._loaded_s is None or now_s - self._loaded_s >= REFRESH_S

    async def _load(self) -> None:
        try:
            self._keep(await self._directory.load())
            self._loaded_s = self._clock.monotonic_s()
            self._failure = None
        except NearcastError as error:
            self._failure = error
            self._telemetry.event("registry-unread", reason=error.message)
        finally:
            self._loading = None

    def _keep(self, records: Iterable[NodeRecord]) -> None:
        self._has_read = True
        self._by_endpoint = {record.endpoint_id: record for record in records}
