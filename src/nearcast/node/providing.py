"""What this node tells others that it has: the roots of its own content, its pins, whole cached objects, its backends.

Only what it would serve to strangers is told, and nothing of the blacklist; at most `provided_max` roots, pins first.
What is removed or evicted is not told again, and what was told of it expires. Looked at every LOOK_S, and at once when
something was added.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from nearcast.content.cid import SHA2_256
from nearcast.errors import StoreError
from nearcast.tasks import in_thread

if TYPE_CHECKING:
    from nearcast.node.running import Node

LOOK_S: Final = 30.0  # guess: a lookup of a root that is gone costs its asker one probe


class Providing:
    """Made with a node that is assembled."""

    def __init__(self, node: "Node", provided_max: int) -> None:
        self._node = node
        self._provided_max = provided_max
        self._told: dict[bytes, None] = {}
        self._changed = asyncio.Event()

    def look_soon(self) -> None:
        """Something may have come or gone."""
        self._changed.set()

    async def run(self, tell: Callable[[Iterable[bytes]], None], untell: Callable[[Iterable[bytes]], None]) -> None:
        """For ever. `tell` and `untell` get the 32-byte keys of what is new here and of what is gone."""
        while True:
            self._changed.clear()
            try:
                keys = await in_thread(self._keys)
            except StoreError as error:
                self._node.telemetry.event("providing-failed", reason=error.message)
            else:
                gone = [key for key in self._told if key not in keys]
                untell(gone)
                tell([key for key in keys if key not in self._told])
                self._told = keys
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()

    def _keys(self) -> dict[bytes, None]:
        """What is provided now. Looks at the disk."""
        node = self._node
        earning = None if node.money is None else node.money.earning
        keys = dict[bytes, None]()
        for root in [*node.backends.roots(), *node.store.roots(self._provided_max)]:
            is_listed = earning is not None and earning.is_listed(root)
            if root.hash_code == SHA2_256 and not is_listed and len(keys) < self._provided_max:
                keys[root.digest] = None
        return keys
