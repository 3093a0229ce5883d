"""One download from one node, paid out of a channel: `Paying` of payments/paying.py."""

from typing import TYPE_CHECKING, Protocol

from nearcast.chain.eip712 import Domain
from nearcast.chain.offers import Offer
from nearcast.content.cid import Cid
from nearcast.errors import RefusedError
from nearcast.payments.budget import Allowance, Pot, set_aside
from nearcast.payments.credit import parts_of
from nearcast.payments.offer_check import Asked, RaisedError, SignedOffer, check_offer
from nearcast.transport.base import Connection

if TYPE_CHECKING:
    from nearcast.payments.payer_channel import PayerChannel


class Witness(Protocol):
    """Who looks into what nodes offer. `court`: the domain that offers are signed for."""

    @property
    def court(self) -> Domain: ...

    def offered(self, channel: "PayerChannel", signed: SignedOffer) -> None:
        """An offer was made to us, on a block that is new to this download: it can be looked into meanwhile."""

    def raised(self, channel: "PayerChannel", first: SignedOffer, later: SignedOffer) -> None:
        """The node signed two prices: keep both."""


class ChannelPaying:
    """`Paying`. `day`: the pot of the day, which all downloads of this process share."""

    def __init__(
        self,
        channel: "PayerChannel",
        root: Cid,
        max_price_units_per_gib: int,
        *,
        allowance: Allowance,
        day: Pot,
        witness: Witness,
    ) -> None:
        self.channel_id = channel.channel_id
        self.max_price_units_per_gib = max_price_units_per_gib
        self._channel = channel
        self._root = str(root.v1)
        self._allowance = allowance
        self._day = day
        self._witness = witness
        self._first: SignedOffer | None = None
        self._newest: SignedOffer | None = None

    @property
    def _pots(self) -> tuple[Pot, Pot, Pot]:
        return self._allowance.pot, self._day, self._channel.pot

    @property
    def _price_max_units_per_gib(self) -> int:
        """The most that a byte can cost: what was offered first, or before that what we would pay."""
        return self._first.offer.price_units_per_gib if self._first else self.max_price_units_per_gib

    async def ready(self, connection: Connection) -> None:
        await self._channel.ready(connection)

    def check_offer(self, root_digest: bytes, price_units_per_gib: int, offer: Offer, signature: bytes) -> None:
        self._channel.check()
        given = SignedOffer(offer, signature)
        config, node = self._channel.config, self._channel.node
        asked = Asked(self._witness.court, config.payer, node.hot_key, root_digest, self.max_price_units_per_gib)
        try:
            check_offer(asked, price_units_per_gib, given, self._first)
        except RaisedError:
            assert self._first is not None
            self._witness.raised(self._channel, self._first, given)
            raise
        if self._newest is None or self._newest.offer.block_hash != offer.block_hash:
            self._witness.offered(self._channel, given)
        self._newest = given
        self._first = self._first or given

    def may_ask(self, size_bytes: int) -> bool:
        if not self._channel.is_trusted or self._channel.retired is not None:
            return False
        return set_aside(self._pots, self, parts_of(size_bytes, self._price_max_units_per_gib))

    def verified(self, size_bytes: int, price_units_per_gib: int) -> None:
        self._channel.check()
        if price_units_per_gib == 0:
            return
        if self._first is None or price_units_per_gib > self._first.offer.price_units_per_gib:
            raise RefusedError("the node wants a price that it did not offer")
        parts = parts_of(size_bytes, price_units_per_gib)
        names = ("the cap on one fetch", "the cap on one day", "the channel's money")
        means = ("--cap", "payments.day_cap in config.toml", "nearcast channel top-up")
        for pot, name, how in zip(self._pots, names, means, strict=True):
            if parts > pot.free_parts(self):
                raise RefusedError(f"budget: {name} is used up", fix=f"allow more with {how}")
        self._allowance.spend(self, size_bytes, price_units_per_gib)
        self._day.spend(self, parts)
        self._channel.pot.spend(self, parts)
        self._channel.verify(self._root, size_bytes, price_units_per_gib)

    def give_up(self, nonce: bytes) -> None:
        self._channel.stop(nonce)

    def distrust(self, reason: str) -> None:
        self._channel.distrust(reason)

    async def settle_up(self) -> None:
        await self._channel.settle()

    def close(self) -> None:
        for pot in self._pots:
            pot.set_aside(self, 0)
