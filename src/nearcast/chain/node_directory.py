"""The nodes of the registry, kept up to date from a chain's endpoint: reads what is new, survives reorganisations.

Only confirmed blocks are read, in ranges that shrink when the endpoint refuses them. A range counts once the blocks at
both its ends still have the hashes they had before; a chain that changed its mind is read again from where it did not.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nearcast.chain.abi import contract
from nearcast.chain.eip712 import Domain
from nearcast.chain.node_records import EVENTS, NodeRecord, event_of
from nearcast.chain.record_cache import RecordCache
from nearcast.chain.rpc import LOG_BLOCKS_MAX, JsonRpc
from nearcast.chain.rpc_types import Log
from nearcast.chain.rpc_wire import BusyError
from nearcast.errors import ChainError, UnavailableError

NODES_FILE: Final = "nodes.sqlite3"  # its cache, in the folder of its chain
ATTEMPTS_MAX: Final = 5  # how often the chain may change its mind during one `load`


class NodeDirectory:
    """The nodes of one registry. One `load` at a time; `close` it, or use it in a `with`."""

    def __init__(
        self, rpc: JsonRpc, cache: RecordCache, domain: Domain, *, from_block: int = 0, confirmations: int = 1
    ) -> None:
        """`domain` is `registry_domain(chain_id, registry)`, the cache is that domain's.

        `from_block`: where the registry was deployed. `confirmations`: blocks that must hold one, itself counted.
        """
        self._rpc = rpc
        self._cache = cache
        self._domain = domain
        self._from_block = from_block
        self._confirmations = confirmations
        self._range_blocks = LOG_BLOCKS_MAX

    @classmethod
    def open(
        cls, path: Path, rpc: JsonRpc, domain: Domain, *, from_block: int = 0, confirmations: int = 1
    ) -> "NodeDirectory":
        """With its cache at `path`. StoreError where that cannot be used."""
        cache = RecordCache.open(path, domain)
        return cls(rpc, cache, domain, from_block=from_block, confirmations=confirmations)

    def close(self) -> None:
        self._cache.close()

    def __enter__(self) -> "NodeDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def load(self) -> list[NodeRecord]:
        """The nodes in force as of the newest confirmed block, those that registered first first.

        UnavailableError when the endpoint does not answer (`cached` still does), ChainError when it lies.
        """
        target = await self._rpc.confirmed_head(self._confirmations)
        for _ in range(ATTEMPTS_MAX):
            done = await self._agreed()
            if await self._read_to(target, done):
                return self.cached()
        raise UnavailableError("the chain changes faster than it can be read", fix="try again, or with another --rpc")

    def cached(self) -> list[NodeRecord]:
        """The same as of the last `load`, without asking anybody. StoreError."""
        return self._cache.records()

    async def _agreed(self) -> int:
        """The newest checkpoint that is on the chain, after forgetting those that are not; -1: none."""
        checkpoints = self._cache.checkpoints()
        for number, block_hash in checkpoints:
            if await self._rpc.still_has(number, block_hash):
                if number != checkpoints[0][0]:
                    await asyncio.to_thread(self._cache.go_back, number)
                return number
        if checkpoints:
            await asyncio.to_thread(self._cache.go_back, -1)
        return -1

    async def _read_to(self, target: int, done: int) -> bool:
        """Read on until the block `target`; False when the chain, or another process, went back meanwhile."""
        while max(done + 1, self._from_block) <= target:
            reached = await self._read_range(done, max(done + 1, self._from_block), target)
            if reached <= done:
                return False
            done = reached
        return True

    async def _read_range(self, done: int, first: int, target: int) -> int:
        """Read from `first` as far as one range goes; returns the newest checkpoint then, `done` if none was added."""
        last = min(target, first + self._range_blocks - 1)
        end = await self._rpc.block(last)
        if end is None:
            return done
        try:
            logs = await self._logs(first, last)
        except (ChainError, BusyError):  # too much for one answer: every provider says that in words of its own
            if last == first:
                raise
            self._range_blocks = (last - first + 1) // 2
            return await self._read_range(done, first, target)
        if not (await self._newest_is_on_chain(done) and await self._rpc.still_has(last, end.hash)):
            return done
        await asyncio.to_thread(self._add, logs, done, last, end.hash)
        self._range_blocks = min(2 * self._range_blocks, LOG_BLOCKS_MAX)
        return self._newest()

    async def _logs(self, first: int, last: int) -> list[Log]:
        registry = contract("Registry")
        topics = [registry.topic(name) for name in EVENTS]
        return await self._rpc.logs([self._domain.contract], [topics], first, last)

    async def _newest_is_on_chain(self, done: int) -> bool:
        """Whether what was read before, up to the block `done`, is still of the chain that the endpoint shows."""
        checkpoints = self._cache.checkpoints()
        if not checkpoints:
            return done == -1
        return checkpoints[0][0] == done and await self._rpc.still_has(*checkpoints[0])

    def _newest(self) -> int:
        checkpoints = self._cache.checkpoints()
        return checkpoints[0][0] if checkpoints else -1

    def _add(self, logs: Sequence[Log], done: int, last: int, last_hash: bytes) -> None:
        """Check and keep a range. In a thread: ten thousand signatures take a second."""
        events = [event for log in logs if (event := event_of(log, self._domain)) is not None]
        self._cache.add(events, done, last, last_hash)
