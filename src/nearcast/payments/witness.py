"""Looking into what nodes offer: is its block one of the chain, were two prices signed, is the content forbidden.

A person may fetch what is on the blacklist; who offers it for money loses a part of the bond. The payer keeps the offer
and goes on.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nearcast.chain.bindings.blacklist import EVERYWHERE
from nearcast.chain.eip712 import Domain
from nearcast.chain.evidence import header_of
from nearcast.chain.offers import Offer
from nearcast.chain.rpc import JsonRpc
from nearcast.errors import ChainError, IntegrityError, RemoteError, StoreError, UnavailableError
from nearcast.payments.evidence_files import Kept, ListedOffer, RaisedPrice, save_evidence
from nearcast.payments.list_reading import ListReader
from nearcast.payments.offer_check import SignedOffer, check_block
from nearcast.payments.payer_channel import PayerChannel
from nearcast.tasks import Pulse, in_thread
from nearcast.telemetry import Telemetry

BLOCKS_KNOWN_MAX: Final = 1_024  # hashes of blocks that were looked up; more cost a question again


class OfferWitness:
    """`Witness` of payments/channel_paying.py. What takes a question to the chain runs beside the download."""

    def __init__(
        self,
        rpc: JsonRpc,
        court: Domain,
        confirmations: int,
        blacklist: ListReader,
        folder: Path,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        telemetry: Telemetry,
    ) -> None:
        self._rpc = rpc
        self._court = court
        self._confirmations = confirmations
        self._blacklist = blacklist
        self._folder = folder
        self._spawn = spawn
        self._telemetry = telemetry
        self._seen: set[tuple[int, bytes]] = set()
        self._kept: set[tuple[bytes, bytes]] = set()  # who offered what: once in the life of a process is enough
        self._at_work, self._done = 0, Pulse()

    @property
    def court(self) -> Domain:
        return self._court

    def offered(self, channel: PayerChannel, signed: SignedOffer) -> None:
        """Look the offer's block up, once, and its content; a node that made the block up is not paid any more."""
        block = signed.offer.block_number, signed.offer.block_hash
        if block not in self._seen:
            if len(self._seen) >= BLOCKS_KNOWN_MAX:
                self._seen.clear()
            self._seen.add(block)
            self._spawn(self._look_up(channel, signed.offer))
        if (channel.config.receiver, signed.offer.root) not in self._kept:
            self._begin(lambda: self._look_at_list(channel, signed))

    def raised(self, channel: PayerChannel, first: SignedOffer, later: SignedOffer) -> None:
        """Keep both offers at once; the header that the Court wants is added when the chain gives it."""
        raised = RaisedPrice(self._court.chain_id, channel.config.receiver, (first, later))
        if self._keep(raised):
            self._begin(lambda: self._add_block(raised))

    async def finish(self, patience_s: float) -> None:
        """Wait until what is being looked up for evidence is on disk, so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._at_work:
                    await self._done.wait()

    async def _look_up(self, channel: PayerChannel, offer: Offer) -> None:
        try:
            head = await self._rpc.head()
            check_block(offer, head)
            is_deep = head - offer.block_number >= self._confirmations
            if is_deep and not await self._rpc.still_has(offer.block_number, offer.block_hash):
                raise IntegrityError("its offer is dated by a block that is not on the chain")
        except IntegrityError as error:
            channel.distrust(error.message)
        except (ChainError, UnavailableError):
            self._seen.discard((offer.block_number, offer.block_hash))  # the next offer asks again

    async def _look_at_list(self, channel: PayerChannel, signed: SignedOffer) -> None:
        """Keep an offer of what is forbidden everywhere or in the node's region. The Court has the last word on both.

        What cannot be asked now is asked at the next offer, on another block.
        """
        offer, operator = signed.offer, channel.config.receiver
        scopes = EVERYWHERE, channel.node.region.encode()
        try:
            entries = [each for each in await self._blacklist.entries_of(offer.root) if each.scope in scopes]
            if not entries:
                return
            block = await self._rpc.ask("eth_getBlockByNumber", hex(offer.block_number), False)
            header = header_of(block)
        except (ChainError, UnavailableError, RemoteError, StoreError):
            return
        counting = [each.scope for each in entries if each.counts_at(header.timestamp_s)]
        if not counting or header.hash != offer.block_hash or (operator, offer.root) in self._kept:
            return
        if await in_thread(self._keep, ListedOffer(self._court.chain_id, operator, signed, min(counting), block)):
            self._kept.add((operator, offer.root))

    async def _add_block(self, raised: RaisedPrice) -> None:
        try:
            block = await self._rpc.ask("eth_getBlockByNumber", hex(raised.later_block_number), False)
            header_of(block)
            complete = RaisedPrice(raised.chain_id, raised.operator, raised.offers, block)
            await in_thread(save_evidence, self._folder, complete)
        except (ChainError, UnavailableError, RemoteError, StoreError):
            return  # the offers are kept; the header can be had later from any endpoint

    def _keep(self, evidence: Kept) -> bool:
        try:
            path = save_evidence(self._folder, evidence)
        except StoreError as error:
            self._telemetry.event("evidence_lost", reason=error.message)
            return False
        self._telemetry.event("evidence_kept", file=str(path))
        return True

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start what `finish` waits for."""
        self._at_work += 1
        self._spawn(self._counted(work))

    async def _counted(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        finally:
            self._at_work -= 1
            self._done.beat()
