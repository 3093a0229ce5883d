"""Asks the near ones first, and looks further when they have nothing: known peers → hash table → registry.

The near ones (LAN, configuration, the link's holders) have HEAD_START_S before the hash table is asked, so that what is
at hand costs nobody else anything; it is asked at once when all of them have said no. Its answer takes LOOKUP_S at the
most, those that it names have the search's patience, and the registry's nodes REGISTRY_S: what nobody has is known to
be missing within three seconds, and within one where there is nobody far to ask.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nearcast.client.discovery import Discovery, Far
from nearcast.content.cid import Cid
from nearcast.delivery.probe import Holding, probe_all
from nearcast.delivery.trail import Trail
from nearcast.errors import NearcastError
from nearcast.transport.base import PeerAddress
from nearcast.transport.pool import ConnectionPool

HEAD_START_S: Final = 0.2  # guess: as an origin's; whoever is near has answered by then
LOOKUP_S: Final = 1.5  # guess: four steps with a dial each at 100 ms; 3 s less the head start, the probes, the registry
REGISTRY_S: Final = 0.5  # guess: the last resort, nobody waits long for it


class Answer(NamedTuple):
    """What a peer said, or why it did not, `after_s` from when it was asked."""

    address: PeerAddress
    told: list[Holding] | NearcastError
    after_s: float


@dataclass(slots=True)
class Asking:
    """One search: whom to ask about `root`, and who was asked.

    `order(addresses, is_near)`: whom to ask first, where not everybody can be.
    """

    root: Cid
    pool: ConnectionPool
    discovery: Discovery
    trail: Trail
    peers_max: int
    patience_s: float
    order: Callable[[Sequence[PeerAddress], bool], list[PeerAddress]]
    asked: dict[bytes, None] = field(default_factory=dict)
    far: list[str] = field(default_factory=list)
    """In words, who was asked beyond the near ones."""
    is_exhausted: bool = False
    """Whether there is nobody left who could be asked."""
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    def found(self) -> None:
        """Somebody has it: no need to look any further."""
        self._answered.set()

    async def answers(self, near: Sequence[PeerAddress], *, looks_far: bool) -> AsyncGenerator[Answer, None]:
        """Everybody's answer as it comes. Iterate to the end, or inside `contextlib.aclosing`."""
        queue: asyncio.Queue[Answer | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._ask_everybody(near, queue, looks_far=looks_far))
            try:
                while (answer := await queue.get()) is not None:
                    yield answer
            except GeneratorExit:
                return  # whoever asked has heard enough; a TaskGroup would take it for a failure of its own
            finally:
                task.cancel()

    async def _ask_everybody(
        self, near: Sequence[PeerAddress], queue: "asyncio.Queue[Answer | None]", *, looks_far: bool
    ) -> None:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask(near, queue, self.patience_s, is_near=True))
            if looks_far:
                await asyncio.wait([asking], timeout=HEAD_START_S)
                await self._look_far(near, queue)
        queue.put_nowait(None)

    async def _look_far(self, near: Sequence[PeerAddress], queue: "asyncio.Queue[Answer | None]") -> None:
        if not self._answered.is_set():
            far = await self.discovery.providers(self.root, near, LOOKUP_S)
            self._note(far)
            await self._ask(far.providers, queue, self.patience_s)
        if not self._answered.is_set():
            far = self.discovery.registered()
            self._note(far)
            await self._ask(far.providers, queue, min(self.patience_s, REGISTRY_S))
            self.is_exhausted = True

    def _note(self, far: Far) -> None:
        if far.asked:
            self.far.append(far.asked)

    async def _ask(
        self,
        addresses: Sequence[PeerAddress],
        queue: "asyncio.Queue[Answer | None]",
        patience_s: float,
        *,
        is_near: bool = False,
    ) -> None:
        """Those who were not asked yet and are not on the trail."""
        own_id = self.pool.endpoint_id
        fresh = [
            each
            for each in self.order(addresses, is_near)
            if each.endpoint_id not in self.asked
            and each.endpoint_id != own_id
            and not self.trail.has_passed(each.endpoint_id)
        ][: self.peers_max]
        self.asked |= dict.fromkeys(each.endpoint_id for each in fresh)
        if not fresh:
            return
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        probes = probe_all(self.pool, fresh, [self.root], patience_s, self.trail)
        async with aclosing(probes) as answers:
            async for address, told in answers:
                queue.put_nowait(Answer(address, told, loop.time() - start_s))
