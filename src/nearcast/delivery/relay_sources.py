"""Who is asked on a relay's behalf for one root: found when the first thing is missing, then asked on and on.

When those who are there cannot give something, the next ones join them, until nobody is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from nearcast.content.cid import Cid
from nearcast.delivery.events import FetchEvent
from nearcast.delivery.node_stage import ContentFaultError
from nearcast.delivery.roster import Roster
from nearcast.delivery.select import Paces
from nearcast.delivery.source import Source
from nearcast.errors import NearcastError, StoreError


class Supplier(Protocol):
    """Who gives the root; node/relayed.py has the real one."""

    async def more(self) -> list[Source]:
        """The next ones to ask, beside those that were named before; empty when there is nobody left."""

    def nobody(self) -> NearcastError:
        """Why there is nobody to ask, when nobody was named at all."""


@dataclass(slots=True)
class Memory:
    """What a relay keeps of its sources from root to root: who lied, and how fast they are."""

    liars: dict[str, str] = field(default_factory=dict)
    paces: Paces = field(default_factory=Paces)


class RelaySources:
    """`roster` has those who are asked now; `is_exhausted`: somebody waited in vain, and nobody more is there."""

    def __init__(self, root: Cid, supplier: Supplier, memory: Memory, on_event: Callable[[FetchEvent], None]) -> None:
        self.roster = Roster(root, memory.liars, memory.paces, on_event)
        self.is_exhausted = False
        self._supplier = supplier
        self._joined = 0
        self._joining = asyncio.Lock()

    async def persist(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try with those who are there, then with the next ones, until nobody is left.

        Raises what the last try raised; at once where the content itself is broken, or the store.
        """
        while True:
            asked = self._joined
            try:
                if not asked and not await self._join_more(asked):
                    raise self._supplier.nobody()
                asked = self._joined
                await attempt()
            except ContentFaultError as fault:
                raise fault.error from None
            except StoreError:
                raise
            except NearcastError:
                if not await self._join_more(asked):
                    self.is_exhausted = True
                    raise
            else:
                return

    async def _join_more(self, asked: int) -> bool:
        """Whether there are more to ask than the first `asked` of them."""
        async with self._joining:
            if self._joined == asked:
                more = await self._supplier.more()
                self._joined += len(more)
                for source in more:
                    self.roster.join(source)
            return self._joined > asked
