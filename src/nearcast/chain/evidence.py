"""Evidence for the Court: signed offers and the header of the block that dates them.

A challenger first commits to `commitment(challenger, evidence hash, salt)` and shows the evidence a minute later, so
that nobody can copy it in between. The hashes here are the Court's own (contracts/court/Court.sol), to the bit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nearcast.chain import rlp
from nearcast.chain.eip712 import ZERO_ADDRESS, Domain, address_word, bytes32_word, keccak, uint_word
from nearcast.chain.fields import hex_field, object_of
from nearcast.chain.offers import Offer
from nearcast.errors import RemoteError, UsageError

EVERYWHERE: Final = bytes(2)  # a blacklist scope; the others are a region's two capital letters
SALT_BYTES: Final = 32
_BLACKLISTED_OFFER, _RATE_EQUIVOCATION = 0, 1  # ICourt.Offence
_SCOPE: Final = re.compile(rb"[A-Z]{2}")

_QUANTITY: Final = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})")
_QUANTITY_FIELD: Final = 0
# The fields of a header in the order of its RLP, with their sizes in bytes; quantities 0, any size -1. Source: `Header`
# of each fork in https://github.com/ethereum/execution-specs
_FIELDS_OF_LONDON: Final = (
    ("parentHash", 32),
    ("sha3Uncles", 32),
    ("miner", 20),
    ("stateRoot", 32),
    ("transactionsRoot", 32),
    ("receiptsRoot", 32),
    ("logsBloom", 256),
    ("difficulty", _QUANTITY_FIELD),
    ("number", _QUANTITY_FIELD),
    ("gasLimit", _QUANTITY_FIELD),
    ("gasUsed", _QUANTITY_FIELD),
    ("timestamp", _QUANTITY_FIELD),
    ("extraData", -1),
    ("mixHash", 32),
    ("nonce", 8),
    ("baseFeePerGas", _QUANTITY_FIELD),
)
_ADDED_BY_FORK: Final = (
    (("withdrawalsRoot", 32),),  # Shanghai
    (("blobGasUsed", _QUANTITY_FIELD), ("excessBlobGas", _QUANTITY_FIELD), ("parentBeaconBlockRoot", 32)),  # Cancun
    (("requestsHash", 32),),  # Prague
)
# Ethereum allows 32, rollups and proof-of-authority chains have used more; nobody's needs this.
EXTRA_DATA_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """A block's header as the Court takes it. `encoded` is its RLP, `hash` the keccak-256 of that."""

    encoded: bytes
    hash: bytes
    number: int
    timestamp_s: int


def header_of(block: object) -> BlockHeader:
    """The header out of an `eth_getBlockByNumber` result, of any fork from London to Prague.

    RemoteError when a field is malformed, or when the fields do not hash to the block's own hash: then the endpoint
    lies, or the chain has headers of another form, which the Court could not read either.
    """
    given = object_of(block, frozenset((*(name for name, _ in _FIELDS_OF_LONDON), "hash")))
    fields = list(_FIELDS_OF_LONDON)
    for added in _ADDED_BY_FORK:
        if given.get(added[0][0]) is None:
            break
        fields += added
    values = [_value(given, name, size_bytes) for name, size_bytes in fields]
    encoded = rlp.encode(values)
    block_hash = keccak(encoded)
    if block_hash != hex_field(given["hash"], 32, "hash"):
        raise RemoteError("the fields of a block do not hash to its hash")
    return BlockHeader(encoded, block_hash, _quantity(given, "number"), _quantity(given, "timestamp"))


@dataclass(frozen=True, slots=True)
class BlacklistedOffer:
    """An offer of listed content, and the scope of the entry: EVERYWHERE or the region the node had declared.

    UsageError when the header is not the one the offer names, or the scope is none.
    """

    offer: Offer
    signature: bytes
    header: BlockHeader
    scope: bytes = EVERYWHERE

    def __post_init__(self) -> None:
        _check_dated(self.offer, self.header)
        scope_word(self.scope)

    def hash(self, court: Domain) -> bytes:
        """What is committed to; equals `Court.blacklistEvidence`."""
        words = uint_word(_BLACKLISTED_OFFER, 8), self.offer.digest(court), scope_word(self.scope)
        return keccak(b"".join(words))

    def reveal_args(self, salt: bytes) -> tuple[object, ...]:
        """The arguments of `Court.revealBlacklisted`."""
        return self.offer.as_tuple(), self.signature, self.header.encoded, self.scope, bytes32_word(salt)


@dataclass(frozen=True, slots=True)
class RateEquivocation:
    """Two offers of one content to one client at two prices; `header` is the later one's. Made by `equivocation`."""

    earlier: Offer
    earlier_signature: bytes
    later: Offer
    later_signature: bytes
    header: BlockHeader

    def __post_init__(self) -> None:
        if not is_equivocation(self.earlier, self.later, self.later.block_number - self.earlier.block_number):
            raise UsageError("these two offers are not two prices for one content and client, the earlier first")
        _check_dated(self.later, self.header)

    def hash(self, court: Domain) -> bytes:
        """What is committed to; equals `Court.equivocationEvidence`."""
        words = uint_word(_RATE_EQUIVOCATION, 8), self.earlier.digest(court), self.later.digest(court)
        return keccak(b"".join(words))

    def reveal_args(self, salt: bytes) -> tuple[object, ...]:
        """The arguments of `Court.revealEquivocation`."""
        earlier = self.earlier.as_tuple(), self.earlier_signature
        later = self.later.as_tuple(), self.later_signature
        return *earlier, *later, self.header.encoded, bytes32_word(salt)


Evidence = BlacklistedOffer | RateEquivocation


def equivocation(one: tuple[Offer, bytes], other: tuple[Offer, bytes], header: BlockHeader) -> RateEquivocation:
    """Evidence of two offers with their signatures, in whatever order. UsageError when they prove nothing."""
    earlier, later = sorted(
        (one, other), key=lambda signed: (signed[0].block_number, signed[0].block_hash == header.hash)
    )
    return RateEquivocation(*earlier, *later, header)


def is_equivocation(one: Offer, other: Offer, window_blocks: int) -> bool:
    """Whether one node may not have signed both: two prices, one content and client, blocks at most a window apart."""
    same = one.root == other.root and one.client == other.client
    near = abs(one.block_number - other.block_number) <= window_blocks
    return same and near and one.price_units_per_gib != other.price_units_per_gib


def commitment(challenger: bytes, evidence_hash: bytes, salt: bytes) -> bytes:
    """What `Court.commit` takes; only `challenger` can reveal it. `salt`: 32 bytes from `secrets`, kept until then."""
    if challenger == ZERO_ADDRESS:
        raise UsageError("a challenger has an address")
    return keccak(address_word(challenger) + bytes32_word(evidence_hash) + bytes32_word(salt))


def scope_word(scope: bytes) -> bytes:
    """A scope as bytes2 in 32 bytes. UsageError unless it is EVERYWHERE or two capital letters."""
    if scope != EVERYWHERE and not _SCOPE.fullmatch(scope):
        raise UsageError("a scope is a region's two capital letters, or everywhere")
    return scope + bytes(30)


def _check_dated(offer: Offer, header: BlockHeader) -> None:
    if (offer.block_number, offer.block_hash) != (header.number, header.hash):
        raise UsageError("this is not the header of the block that the offer names")


def _value(block: Mapping[str, object], name: str, size_bytes: int) -> rlp.Item:
    if size_bytes == _QUANTITY_FIELD:
        return _quantity(block, name)
    value = block.get(name)
    if size_bytes < 0:
        size_bytes = len(value) // 2 - 1 if isinstance(value, str) else 0
        if size_bytes > EXTRA_DATA_BYTES_MAX:
            raise RemoteError(f"{name} is longer than {EXTRA_DATA_BYTES_MAX} bytes")
    return hex_field(value, size_bytes, name)


def _quantity(block: Mapping[str, object], name: str) -> int:
    value = block.get(name)
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise RemoteError(f"{name} is not a quantity in hexadecimal")
    return int(value, 16)
