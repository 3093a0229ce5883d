"""What must be true of a node's signed offer before anything of its answer is taken. Pure."""

from dataclasses import dataclass
from typing import Final

from nearcast.chain.eip712 import Domain
from nearcast.chain.offers import Offer, offer_signer
from nearcast.errors import IntegrityError, RefusedError, RemoteError

# How far the block that dates an offer may be behind the newest that we know of: the hour after which an honest node
# does not trust its own copy of the blacklist (offers.LIST_AGE_MAX_S), in blocks of 2 s (Base). On chains with other
# blocks it is another time; the bound only keeps out offers that are dated so far back that no court takes them.
BLOCKS_BEHIND_MAX: Final = 1_800
BLOCKS_AHEAD_MAX: Final = 1_800  # our endpoint may be behind, too


@dataclass(frozen=True, slots=True)
class SignedOffer:
    """An offer and the hot key's 65-byte signature."""

    offer: Offer
    signature: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What an offer must answer: for whom (the payer's address), by whom (a hot key), about what (a digest)."""

    court: Domain
    client: bytes
    hot_key: bytes
    root_digest: bytes
    max_price_units_per_gib: int


class RaisedError(RefusedError):
    """The node asks more now than in its first offer of this download; both offers are proof of it."""


def check_offer(asked: Asked, price_units_per_gib: int, given: SignedOffer, first: SignedOffer | None) -> None:
    """IntegrityError for an offer that is not what it should be, RefusedError for a price that we do not pay.

    `price_units_per_gib`: as the answer states it beside the offer. `first`: the offer of this download's first answer.
    RaisedError when the price is above that one's, whatever we would pay.
    """
    offer = given.offer
    if offer.root != asked.root_digest:
        raise IntegrityError("the node's offer is about something else than what was asked for")
    if offer.client != asked.client:
        raise IntegrityError("the node's offer was made to somebody else")
    if offer.price_units_per_gib != price_units_per_gib:
        raise IntegrityError("the node signed another price than the one it asks")
    try:
        signer = offer_signer(asked.court, offer, given.signature)
    except RemoteError as error:
        raise IntegrityError(f"the node's offer is not signed: {error.message}") from error
    if signer != asked.hot_key:
        raise IntegrityError("the node's offer is signed by another key than the registry names")
    if first is not None and offer.price_units_per_gib > first.offer.price_units_per_gib:
        raise RaisedError(
            f"the node raised its price from {first.offer.price_units_per_gib} to {offer.price_units_per_gib} units"
            " per GiB after its offer"
        )
    if offer.price_units_per_gib > asked.max_price_units_per_gib:
        raise RefusedError(
            f"the node asks {offer.price_units_per_gib} units per GiB, and {asked.max_price_units_per_gib} is the most"
            " that we pay"
        )


def check_block(offer: Offer, head: int) -> None:
    """IntegrityError when the block that dates an offer can be none of now. `head`: the chain's newest."""
    if not -BLOCKS_AHEAD_MAX <= head - offer.block_number <= BLOCKS_BEHIND_MAX:
        raise IntegrityError(f"the node's offer is dated by block {offer.block_number}, and the newest is {head}")
