"""Looking into what nodes offer: is the block that dates an offer one of the chain, and were two prices signed."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from nearcast.chain.eip712 import Domain
from nearcast.chain.evidence import header_of
from nearcast.chain.offers import Offer
from nearcast.chain.rpc import JsonRpc
from nearcast.errors import ChainError, IntegrityError, RemoteError, StoreError, UnavailableError
from nearcast.payments.evidence_files import RaisedPrice, save_raised_price
from nearcast.payments.offer_check import SignedOffer, check_block
from nearcast.payments.payer_channel import PayerChannel
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry

BLOCKS_KNOWN_MAX: Final = 1_024  # hashes of blocks that were looked up; more cost a question again


class OfferWitness:
    """`Witness` of payments/channel_paying.py. What takes a question to the chain runs beside the download."""

    def __init__(
        self,
        rpc: JsonRpc,
        court: Domain,
        confirmations: int,
        folder: Path,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        telemetry: Telemetry,
    ) -> None:
        self._rpc = rpc
        self._court = court
        self._confirmations = confirmations
        self._folder = folder
        self._spawn = spawn
        self._telemetry = telemetry
        self._seen: set[tuple[int, bytes]] = set()

    @property
    def court(self) -> Domain:
        return self._court

    def offered(self, channel: PayerChannel, offer: Offer) -> None:
        """Look the offer's block up, once; a node that made it up is not paid any more."""
        block = offer.block_number, offer.block_hash
        if block not in self._seen:
            if len(self._seen) >= BLOCKS_KNOWN_MAX:
                self._seen.clear()
            self._seen.add(block)
            self._spawn(self._look_up(channel, offer))

    def raised(self, channel: PayerChannel, first: SignedOffer, later: SignedOffer) -> None:
        """Keep both offers at once; the header that the Court wants is added when the chain gives it."""
        raised = RaisedPrice(self._court.chain_id, channel.config.receiver, (first, later))
        try:
            path = save_raised_price(self._folder, raised)
        except StoreError as error:
            self._telemetry.event("evidence_lost", reason=error.message)
            return
        self._telemetry.event("evidence_kept", file=str(path))
        self._spawn(self._add_block(raised))

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

    async def _add_block(self, raised: RaisedPrice) -> None:
        try:
            block = await self._rpc.ask("eth_getBlockByNumber", hex(raised.later_block_number), False)
            header_of(block)
            complete = RaisedPrice(raised.chain_id, raised.operator, raised.offers, block)
            await in_thread(save_raised_price, self._folder, complete)
        except (ChainError, UnavailableError, RemoteError, StoreError):
            return  # the offers are kept; the header can be had later from any endpoint
