"""What a node may not have signed, kept in a file until somebody takes it to the Court.

One JSON file (mode 0600) per offence: two prices of one node for one thing, or an offer of what the chain's blacklist
forbade. With it the header of the block that dates the (later) offer, which the Court wants to see; of two prices it is
added when the chain's endpoint gives it. The file names nobody but the node and the payer whom it offered to.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nearcast.chain.durable import write_private
from nearcast.chain.evidence import BlacklistedOffer, RateEquivocation, equivocation, header_of
from nearcast.chain.fields import hex_field, object_of, uint_field
from nearcast.chain.offers import Offer
from nearcast.chain.signing import SIGNATURE_BYTES
from nearcast.errors import NotFoundError, RemoteError, StoreError
from nearcast.payments.offer_check import SignedOffer

_RAISED, _LISTED = "rate-equivocation", "blacklisted-offer"
_FIELDS: Final = frozenset(("kind", "chain_id", "operator", "offers", "block"))
_OFFER_FIELDS: Final = frozenset(("root", "client", "price", "size", "block", "hash", "signature"))
_NAME_DIGITS: Final = 16  # of the hash that names the file: enough that two offences never share one
_FILE_BYTES_MAX: Final = 1 << 22  # a block of the largest chains with the hashes of its transactions: a tenth of it
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class RaisedPrice:
    """Two offers at two prices. `operator`: the node's address. `block`: the endpoint's word on the later's block."""

    chain_id: int
    operator: bytes
    offers: tuple[SignedOffer, SignedOffer]
    block: Mapping[str, Any] | None = None

    @property
    def later_block_number(self) -> int:
        """The block whose header the Court wants to see."""
        return max(signed.offer.block_number for signed in self.offers)

    def file(self, folder: Path) -> Path:
        """Where it is kept: the same offers in the same file."""
        return folder / _name(_RAISED, *(signed.signature for signed in self.offers))

    def proof(self) -> RateEquivocation:
        """What the Court takes. NotFoundError while the block is missing; UsageError when the two prove nothing."""
        if self.block is None:
            raise NotFoundError(f"the header of block {self.later_block_number} is not in the file yet")
        one, other = self.offers
        return equivocation((one.offer, one.signature), (other.offer, other.signature), header_of(self.block))


@dataclass(frozen=True, slots=True)
class ListedOffer:
    """An offer of what an entry forbade in `scope` (EVERYWHERE or the node's region) at the time of its `block`."""

    chain_id: int
    operator: bytes
    signed: SignedOffer
    scope: bytes
    block: Mapping[str, Any]

    @property
    def offers(self) -> tuple[SignedOffer]:
        return (self.signed,)

    def file(self, folder: Path) -> Path:
        """Where it is kept: one file for what the Court punishes once, an operator's offers of one thing on one day."""
        day = header_of(self.block).timestamp_s // _DAY_S
        return folder / _name(_LISTED, self.operator, self.signed.offer.root, self.scope, day.to_bytes(8))

    def proof(self) -> BlacklistedOffer:
        """What the Court takes. UsageError when the block is not the one that the offer names."""
        return BlacklistedOffer(self.signed.offer, self.signed.signature, header_of(self.block), self.scope)


Kept = RaisedPrice | ListedOffer


def save_evidence(folder: Path, kept: Kept) -> Path:
    """Keep it; the file's path. StoreError when the disk will not."""
    path = kept.file(folder)
    value: dict[str, Any] = {
        "kind": _RAISED if isinstance(kept, RaisedPrice) else _LISTED,
        "chain_id": kept.chain_id,
        "operator": f"0x{kept.operator.hex()}",
        "offers": [_offer_value(signed) for signed in kept.offers],
        "block": kept.block,
    }
    if isinstance(kept, ListedOffer):
        value["scope"] = f"0x{kept.scope.hex()}"
    try:
        write_private(path, json.dumps(value, indent=1).encode() + b"\n", replace=True)
    except OSError as error:
        raise StoreError(f"the evidence {path} cannot be kept: {error.strerror}") from error
    return path


def load_evidence(path: Path) -> Kept:
    """What `save_evidence` kept, or somebody else's. StoreError for anything else; whether it proves, `proof` says."""
    try:
        with path.open("rb") as file:
            return _parsed(file.read(_FILE_BYTES_MAX))
    except (OSError, ValueError, RecursionError, RemoteError) as error:
        raise StoreError(f"the evidence {path} cannot be read: {error}") from error


def load_raised_price(path: Path) -> RaisedPrice:
    """Evidence of two prices. StoreError for anything else."""
    kept = load_evidence(path)
    if not isinstance(kept, RaisedPrice):
        raise StoreError(f"the evidence {path} is no pair of offers")
    return kept


def _parsed(data: bytes) -> Kept:
    given = object_of(json.loads(data), _FIELDS)
    rows, block = given["offers"], given["block"]
    if not isinstance(rows, list) or len(rows) > 2:
        raise RemoteError("it has no offers")
    if block is not None and not isinstance(block, dict):
        raise RemoteError("its block is none")
    offers = [_signed_offer(row) for row in rows]
    chain_id, operator = uint_field(given["chain_id"], 63, "chain_id"), hex_field(given["operator"], 20, "operator")
    if given["kind"] == _RAISED and len(offers) == 2:
        return RaisedPrice(chain_id, operator, (offers[0], offers[1]), block)
    if given["kind"] == _LISTED and len(offers) == 1 and block is not None:
        return ListedOffer(chain_id, operator, offers[0], hex_field(given.get("scope"), 2, "scope"), block)
    raise RemoteError("it is no pair of offers and no offer with its block")


def _name(kind: str, *parts: bytes) -> str:
    return f"{kind}-{hashlib.sha256(b''.join(parts)).hexdigest()[:_NAME_DIGITS]}.json"


def _offer_value(signed: SignedOffer) -> dict[str, str | int]:
    fields = {**signed.offer.as_fields(), "signature": signed.signature}
    return {name: f"0x{value.hex()}" if isinstance(value, bytes) else value for name, value in fields.items()}


def _signed_offer(value: object) -> SignedOffer:
    given = object_of(value, _OFFER_FIELDS)
    offer = Offer(
        root=hex_field(given["root"], 32, "root"),
        client=hex_field(given["client"], 20, "client"),
        price_units_per_gib=_number(given["price"]),
        size_bytes=_number(given["size"]),
        block_number=_number(given["block"]),
        block_hash=hex_field(given["hash"], 32, "hash"),
    )
    return SignedOffer(offer, hex_field(given["signature"], SIGNATURE_BYTES, "signature"))


def _number(value: object) -> int:
    return uint_field(value, 64, "a number")
