"""The desk where a node's offers are signed: at the one price of the node, on a fresh block, of nothing that is listed.

A signed offer can cost the operator a part of its bond, so everything that an honest node has to heed meets here: the
price schedule (never two prices within the Court's window), the blacklist, and a block that the chain showed lately.
What may be signed is worked out once per block, in `run`; `make` only looks at it and signs.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, Protocol

from nearcast.chain.eip712 import Domain
from nearcast.chain.offers import Offer, sign_offer
from nearcast.chain.prices import PriceSchedule, Quote
from nearcast.chain.rpc_types import Block
from nearcast.chain.signing import Signer
from nearcast.errors import NearcastError, RefusedError

# An offer on an older block tells a client nothing. A change of price makes honest offers as old as this:
# RATE_WINDOW_BLOCKS_MAX blocks of 2 s.
HEAD_AGE_MAX_S: Final = 600.0

_log = logging.getLogger("nearcast.payments")


class Head(Protocol):
    """The part of chain.head.ChainHead that is used here."""

    @property
    def age_s(self) -> float | None: ...

    async def first(self) -> Block: ...

    async def next(self) -> Block: ...

    async def at(self, number: int) -> Block | None: ...


class List(Protocol):
    """The part of listing.BlacklistFollower that is used here."""

    def is_fresh(self) -> bool: ...

    def listed(self, digest: bytes) -> object | None: ...

    def may_offer(self, digest: bytes, block_timestamp_s: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class SignedOffer:
    """An offer and the hot key's 65 bytes."""

    offer: Offer
    signature: bytes


class OfferDesk:
    """One for a node. `court`: the domain that offers are signed for; `run` must run for `make` to work."""

    def __init__(self, hot_key: Signer, court: Domain, schedule: PriceSchedule, head: Head, blacklist: List) -> None:
        self._hot_key = hot_key
        self._court = court
        self._schedule = schedule
        self._head = head
        self._blacklist = blacklist
        self._on: tuple[Quote, Block] | None = None
        self._lock = asyncio.Lock()  # the schedule is for one thread at a time

    @property
    def price_units_per_gib(self) -> int:
        """What is asked now. While a change is due it is the old price."""
        return self._schedule.price_units_per_gib if self._on is None else self._on[0].price_units_per_gib

    @property
    def next_change(self) -> Quote | None:
        """The price that follows and the block it starts on, if a change is due."""
        return self._schedule.next_change

    async def change(self, price_units_per_gib: int) -> None:
        """Ask another price as soon as that is safe. Raises StoreError, UsageError."""
        async with self._lock:
            await asyncio.to_thread(self._schedule.change, price_units_per_gib)
        await self.look()

    def make(self, root_digest: bytes, client: bytes, size_bytes: int) -> SignedOffer:
        """Offer the content with this SHA-256 digest to the payer `client` (20 bytes). About 70 µs.

        Raises RefusedError when it is listed, or when nothing can be signed just now.
        """
        if self._blacklist.listed(root_digest) is not None:
            raise RefusedError("this content is on the chain's blacklist")
        age_s = self._head.age_s
        if self._on is None or age_s is None:
            raise RefusedError("this node waits for its chain before it can offer anything")
        if age_s > HEAD_AGE_MAX_S or not self._blacklist.is_fresh():
            raise RefusedError("this node has lost its chain and offers nothing until it is back")
        quote, block = self._on
        if not self._blacklist.may_offer(root_digest, block.timestamp_s):
            raise RefusedError("this node does not know the chain's blacklist as of now")
        offer = Offer(root_digest, client, quote.price_units_per_gib, size_bytes, block.number, block.hash)
        return SignedOffer(offer, sign_offer(self._court, offer, self._hot_key))

    async def run(self) -> None:
        """Looks at every new block until it is cancelled."""
        await self._head.first()
        while True:
            await self.look()
            await self._head.next()

    async def look(self) -> None:
        """Work out what may be signed on the newest block. What fails is logged, and until then nothing is signed."""
        newest = await self._head.first()
        async with self._lock:
            try:
                # It may write its file, which takes as long as the disk does.
                quote = await asyncio.to_thread(self._schedule.quote, newest.number)
                block = None if quote is None else await self._head.at(quote.block_number)
            except NearcastError as error:
                _log.warning("no offers can be made: %s", error.message)
                quote, block = None, None
            self._on = None if quote is None or block is None else (quote, block)
