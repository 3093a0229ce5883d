"""The newest block of a chain, followed by asking for it again and again.

Everything a node does with the chain in passing (offers, the blacklist, withdrawals) starts from here, so that it is
asked once per poll and not once per reader. An endpoint that fails costs freshness and nothing else: the last block
stays, and says how old it is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from nearcast.chain.rpc import REORG_BLOCKS_MAX, JsonRpc
from nearcast.chain.rpc_types import Block
from nearcast.clock import Clock
from nearcast.errors import ChainError, NearcastError

_log = logging.getLogger("nearcast.chain")


class ChainHead:
    """`run` polls every `poll_s`; whoever wants to know asks `block` or waits for `first` or `next`."""

    def __init__(
        self, rpc: JsonRpc, clock: Clock, poll_s: float, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._rpc = rpc
        self._clock = clock
        self._poll_s = poll_s
        self._sleep = sleep
        self._seen_s = 0.0
        self._news = asyncio.Event()
        self._fails = False
        self.block: Block | None = None

    @property
    def age_s(self) -> float | None:
        """How long ago the endpoint last told that `block` is the newest; None while it never did."""
        return None if self.block is None else self._clock.monotonic_s() - self._seen_s

    async def run(self) -> None:
        """Polls until it is cancelled."""
        while True:
            await self.poll()
            await self._sleep(self._poll_s)

    async def poll(self) -> None:
        """Ask once, now. A failure is logged when it is the first in a row, and changes nothing."""
        try:
            block = await self._rpc.block("latest")
            if block is None:
                raise ChainError(f"{self._rpc.place} has no newest block")
            if self.block is not None and block.number + REORG_BLOCKS_MAX < self.block.number:
                raise ChainError(f"{self._rpc.place} went back from block {self.block.number} to {block.number}")
        except NearcastError as error:
            if not self._fails:
                _log.warning("the chain cannot be followed: %s", error.message)
            self._fails = True
            return
        self._fails = False
        self.block, self._seen_s = block, self._clock.monotonic_s()
        self._news.set()
        self._news = asyncio.Event()

    async def first(self) -> Block:
        """The newest block, as soon as any is known."""
        return self.block or await self.next()

    async def next(self) -> Block:
        """The newest block after the next poll that succeeds; it may be the same one still."""
        await self._news.wait()
        assert self.block is not None
        return self.block

    async def at(self, number: int) -> Block | None:
        """The block of a number, the newest one without asking. Raises UnavailableError, ChainError."""
        if self.block is not None and self.block.number == number:
            return self.block
        return await self._rpc.block(number)
