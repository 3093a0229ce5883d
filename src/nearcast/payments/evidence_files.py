"""Two offers of one node that may not both have been signed, kept in a file until somebody takes them to the Court.

One JSON file (mode 0600) per offence, complete but for the header of the block that dates the later offer; the header
is added when the chain's endpoint gives it. The file names nobody but the node and the payer whom it offered to.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nearcast.chain.durable import write_private
from nearcast.chain.evidence import BlockHeader, RateEquivocation, equivocation, header_of
from nearcast.chain.fields import hex_field, object_of, uint_field
from nearcast.chain.offers import Offer
from nearcast.chain.signing import SIGNATURE_BYTES
from nearcast.errors import NotFoundError, RemoteError, StoreError
from nearcast.payments.offer_check import SignedOffer

_KIND: Final = "rate-equivocation"
_FIELDS: Final = frozenset(("kind", "chain_id", "operator", "offers", "block"))
_OFFER_FIELDS: Final = frozenset(("root", "client", "price", "size", "block", "hash", "signature"))
_NAME_DIGITS: Final = 16  # of the hash that names the file: enough that two offences never share one


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
        digest = hashlib.sha256(b"".join(signed.signature for signed in self.offers))
        return folder / f"{_KIND}-{digest.hexdigest()[:_NAME_DIGITS]}.json"

    def proof(self) -> RateEquivocation:
        """What the Court takes. NotFoundError while the block is missing; UsageError when the two prove nothing."""
        if self.block is None:
            raise NotFoundError(f"the header of block {self.later_block_number} is not in the file yet")
        header: BlockHeader = header_of(self.block)
        one, other = self.offers
        return equivocation((one.offer, one.signature), (other.offer, other.signature), header)


def save_raised_price(folder: Path, raised: RaisedPrice) -> Path:
    """Keep it; the file's path. StoreError when the disk will not."""
    path = raised.file(folder)
    value = {
        "kind": _KIND,
        "chain_id": raised.chain_id,
        "operator": f"0x{raised.operator.hex()}",
        "offers": [_offer_value(signed) for signed in raised.offers],
        "block": raised.block,
    }
    try:
        write_private(path, json.dumps(value, indent=1).encode() + b"\n", replace=True)
    except OSError as error:
        raise StoreError(f"the evidence {path} cannot be kept: {error.strerror}") from error
    return path


def load_raised_price(path: Path) -> RaisedPrice:
    """What `save_raised_price` kept. StoreError for anything else."""
    try:
        given = object_of(json.loads(path.read_bytes()), _FIELDS)
        offers, block = given["offers"], given["block"]
        if given["kind"] != _KIND or not isinstance(offers, list) or len(offers) != 2:
            raise RemoteError("it is no pair of offers")
        if block is not None and not isinstance(block, dict):
            raise RemoteError("its block is none")
        pair = _signed_offer(offers[0]), _signed_offer(offers[1])
        operator = hex_field(given["operator"], 20, "operator")
        return RaisedPrice(uint_field(given["chain_id"], 63, "chain_id"), operator, pair, block)
    except (OSError, ValueError, RemoteError) as error:
        raise StoreError(f"the evidence {path} cannot be read: {error}") from error


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
