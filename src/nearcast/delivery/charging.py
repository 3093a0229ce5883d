"""What a node that has a price needs to serve for money: who pays how much, on whose tab, against which offer.

One `Charging` for a node; without one it serves everybody for free. The counting is the till's (payments/till.py), the
signing the offer desk's (payments/offering.py); here the two meet a request.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from nearcast.chain.offers import Offer as ContentOffer
from nearcast.content.cid import SHA2_256, Cid
from nearcast.delivery.messages import PRICE_FREE, FetchRequest, Offer, Refusal, SignedOffer
from nearcast.errors import RefusedError
from nearcast.payments.credit import PayeeAccount, step_bytes
from nearcast.payments.messages import Hello, is_hello, parse_hello
from nearcast.transport.base import Stream
from nearcast.wire import FrameReader

CUSTOMER_PATIENCE_S = 2.0  # a request may overtake the channel's greeting, which is sent at the same moment; guess
UNPAID_PATIENCE_S = 10.0  # with the window used up and no voucher; guess: a lossy link recovers in 3 s
ROLE_CACHE = "cache"  # as what a node earns where nobody says that the content is its own


class Tab(Protocol):
    """One answer being sent on credit (payments/till.py)."""

    @property
    def is_stopped(self) -> bool: ...

    @property
    def is_worn_out(self) -> bool: ...

    @property
    def is_exhausted(self) -> bool: ...

    def may_send(self, size_bytes: int) -> bool: ...

    def deliver(self, size_bytes: int) -> None: ...

    async def room(self, size_bytes: int, patience_s: float) -> bool: ...

    async def may_bring(self, size_bytes: int, patience_s: float) -> bool: ...

    @property
    def aside_parts(self) -> int: ...

    def has_backing(self) -> bool: ...

    def bring(self, parts: int) -> None: ...


class Customer(Protocol):
    """A channel that greeted us (payments/till.py)."""

    @property
    def payer(self) -> bytes: ...

    @property
    def account(self) -> PayeeAccount: ...

    def open_tab(
        self, root: Cid, nonce: bytes, price_units_per_gib: int, *, role: str, peer: bytes
    ) -> AbstractContextManager[Tab]: ...


class Till(Protocol):
    """Where channels pay (payments/till.py)."""

    async def collect(self, stream: Stream, frames: FrameReader, hello: Hello, peer: bytes) -> None: ...

    async def customer(self, channel_id: bytes, peer: bytes, patience_s: float) -> Customer: ...


class Signed(Protocol):
    @property
    def offer(self) -> ContentOffer: ...

    @property
    def signature(self) -> bytes: ...


class Offers(Protocol):
    """Where offers are signed (payments/offering.py)."""

    @property
    def price_units_per_gib(self) -> int: ...

    def make(self, root_digest: bytes, client: bytes, size_bytes: int) -> Signed: ...


@dataclass(frozen=True, slots=True)
class Bill:
    """What one answer costs, and the tab that it is put on."""

    offer: Offer
    account: PayeeAccount
    open_tab: Callable[[], AbstractContextManager[Tab]]

    def piece_bytes(self) -> int:
        """How much content may leave at a time: a piece is a step of the window, so that vouchers come in between."""
        return step_bytes(self.account.paid_units, self.offer.price, self.account.forgiven_parts)


def _nobody(_peer: bytes) -> bool:
    return False


def _cached(_root: Cid) -> str:
    return ROLE_CACHE


@dataclass(frozen=True, slots=True)
class Charging:
    """`is_free(endpoint id)`: whom the operator serves for free. `role_of(root)`: as what the node earns with it."""

    till: Till
    offers: Offers
    is_free: Callable[[bytes], bool] = _nobody
    role_of: Callable[[Cid], str] = _cached
    customer_patience_s: float = CUSTOMER_PATIENCE_S
    unpaid_patience_s: float = UNPAID_PATIENCE_S

    def price_for(self, peer: bytes) -> int:
        """Units per GiB that this peer is asked for; 0 for a free one."""
        return PRICE_FREE if self.is_free(peer) else self.offers.price_units_per_gib

    def is_greeting(self, value: Any) -> bool:
        """Whether a stream's first message begins a payment stream."""
        return is_hello(value)

    async def collect(self, stream: Stream, frames: FrameReader, greeting: Any, peer: bytes) -> None:
        """Take payments until the stream ends. Raises RemoteError for a greeting that does not parse."""
        await self.till.collect(stream, frames, parse_hello(greeting), peer)

    def too_dear(self, request: FetchRequest, price_units_per_gib: int) -> Refusal | None:
        """The refusal of a request that offers less than is asked."""
        if request.channel is not None and request.max_price >= price_units_per_gib:
            return None
        offered = f"{request.max_price} at most were offered" if request.channel else "nothing was offered"
        return Refusal("price", f"a GiB costs {price_units_per_gib} units of 0.000001 USDC here, {offered}")

    async def bill(self, request: FetchRequest, size_bytes: int, peer: bytes) -> Bill | Refusal:
        """Give credit for a request of `peer`, or say why not. `size_bytes`: of the root, as far as it is known."""
        if request.root.hash_code != SHA2_256:
            return Refusal("refused", "only content that SHA-256 names is offered for money")
        refusal = self.too_dear(request, self.offers.price_units_per_gib)
        if refusal is not None or request.channel is None:
            return refusal or Refusal("credit", "no channel was named")
        try:
            customer = await self.till.customer(request.channel, peer, self.customer_patience_s)
        except RefusedError as error:
            return Refusal("credit", error.message)
        try:
            signed = self.offers.make(request.root.digest, customer.payer, size_bytes)
        except RefusedError as error:
            return Refusal("busy", error.message)
        price = signed.offer.price_units_per_gib
        offer = Offer(price, SignedOffer(signed.offer, signed.signature))
        role = self.role_of(request.root)
        open_tab = partial(customer.open_tab, request.root, request.nonce, price, role=role, peer=peer)
        return self.too_dear(request, price) or Bill(offer, customer.account, open_tab)
