"""A node's signed offer: this content, to this client, at this price, as of this block.

The node's hot key signs every offer it makes, which makes two offences provable to the Court: offering a blacklisted
digest after the entry took effect, and asking two prices for the same thing at once. The block, named by number and
hash, is the offer's time stamp: the node cannot have signed before the block was made.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nearcast.chain.eip712 import Domain, address_word, bytes32_word, keccak, type_hash, uint_word
from nearcast.chain.fields import object_of
from nearcast.chain.prices import PriceSchedule as PriceSchedule  # what an honest node asks is part of making offers
from nearcast.chain.signing import Signer, recover
from nearcast.fields import bytes_of, integer_of

# No entry counts sooner than an hour after it was made: Blacklist's least window.
LIST_AGE_MAX_S = 3_600

_OFFER_TYPE = type_hash(
    "Offer(bytes32 root,address client,uint64 pricePerGib,uint64 sizeBytes,uint64 blockNumber,bytes32 blockHash)"
)
_UINT64_MAX = (1 << 64) - 1
_FIELDS = frozenset(("root", "client", "price", "size", "block", "hash"))


def court_domain(chain_id: int, court: bytes) -> Domain:
    """The domain that offers are signed for."""
    return Domain("Nearcast Court", "1", chain_id, court)


@dataclass(frozen=True, slots=True)
class Offer:
    """`root`: the 32-byte sha2-256 digest of the CID. `client`: the payer's address. The price in units per GiB.

    UsageError for lengths and numbers that do not fit the contract's types.
    """

    root: bytes
    client: bytes
    price_units_per_gib: int
    size_bytes: int
    block_number: int
    block_hash: bytes

    def __post_init__(self) -> None:
        self._struct()

    def _struct(self) -> bytes:
        return (
            _OFFER_TYPE
            + bytes32_word(self.root)
            + address_word(self.client)
            + uint_word(self.price_units_per_gib, 64)
            + uint_word(self.size_bytes, 64)
            + uint_word(self.block_number, 64)
            + bytes32_word(self.block_hash)
        )

    def digest(self, domain: Domain) -> bytes:
        """The 32 bytes that the hot key signs."""
        return domain.digest(keccak(self._struct()))

    def as_tuple(self) -> tuple[bytes, bytes, int, int, int, bytes]:
        """The fields in the contract's order, for a call's arguments."""
        return (
            self.root,
            self.client,
            self.price_units_per_gib,
            self.size_bytes,
            self.block_number,
            self.block_hash,
        )

    def as_fields(self) -> dict[str, bytes | int]:
        """For a message between peers (DAG-CBOR: bytes and numbers as they are)."""
        return {
            "root": self.root,
            "client": self.client,
            "price": self.price_units_per_gib,
            "size": self.size_bytes,
            "block": self.block_number,
            "hash": self.block_hash,
        }


def parse_offer(value: object) -> Offer:
    """A stranger's offer out of a message's fields. RemoteError for anything malformed."""
    given = object_of(value, _FIELDS)
    return Offer(
        root=bytes_of(given["root"], "an offer's root", 32),
        client=bytes_of(given["client"], "an offer's client", 20),
        price_units_per_gib=integer_of(given["price"], "an offer's price", _UINT64_MAX),
        size_bytes=integer_of(given["size"], "an offer's size", _UINT64_MAX),
        block_number=integer_of(given["block"], "an offer's block", _UINT64_MAX),
        block_hash=bytes_of(given["hash"], "an offer's block hash", 32),
    )


def sign_offer(domain: Domain, offer: Offer, hot_key: Signer) -> bytes:
    """65 bytes."""
    return hot_key.sign(offer.digest(domain))


def offer_signer(domain: Domain, offer: Offer, signature: bytes) -> bytes:
    """The address of the hot key that signed; whose it is, the Registry says. RemoteError for a bad signature."""
    return recover(offer.digest(domain), signature)


@dataclass(frozen=True, slots=True)
class Listing:
    """When a blacklist entry that concerns a node counts: unix seconds. `lapses_at_s` 0: it does not lapse."""

    effective_at_s: int
    lapses_at_s: int = 0


def may_offer(listings: Iterable[Listing], *, list_read_at_s: int, block_timestamp_s: int) -> bool:
    """Whether an honest node offers content on a block of this time (the rule of IBlacklist).

    `listings`: the entries of the content's digest, for everywhere and for every region the node has declared or is
    about to, as of a confirmed block of the time `list_read_at_s`. An entry that lapses after that may have been
    ratified since, so it counts on. A list that is too old to know what counts now forbids everything.
    """
    if block_timestamp_s >= list_read_at_s + LIST_AGE_MAX_S:
        return False
    return not any(
        listing.effective_at_s <= block_timestamp_s and not 0 < listing.lapses_at_s <= list_read_at_s
        for listing in listings
    )
