"""A node that cheats: the real one, registered and bonded, with one of its parts replaced. A process of its own.

python hostile_node.py MANNER up …          the rest is the command line of `nearcast`

wrong_bytes     a bit of each leaf is another
other_object    the leaves of another object of its store, whose CID is in NEARCAST_TEST_OTHER
dearer          each offer after its first asks twice as much, signed with its real key
unsigned        its offers are signed by a key that is not its own
for_another     its offers are made out to another client
no_window       it sends on without being paid
endless         it makes offers, and more offers, and never sends a block
deaf            it serves what the chain's blacklist forbids, and signs offers of it
stalls          it makes an offer and is silent then
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from nearcast.chain.offers import Offer
from nearcast.chain.signing import Signer
from nearcast.content.cid import RAW, Cid, parse_cid
from nearcast.content.store import Store
from nearcast.delivery.answer import Answer, Piece
from nearcast.delivery.charging import Charging
from nearcast.payments.credit import PayeeAccount
from nearcast.payments.listing import BlacklistFollower
from nearcast.payments.offering import OfferDesk, SignedOffer
from nearcast.wire import encode_message

STALL_S = 3600.0


def wrong_bytes() -> None:
    read_file, get_block = Store.read_file, Store.get_block

    def flipped(data: bytes) -> bytes:
        return bytes([data[0] ^ 1]) + data[1:] if data else data

    def wrong_file(self: Store, cid: Cid, start: int, end: int) -> bytes:
        return flipped(read_file(self, cid, start, end))

    def wrong_block(self: Store, cid: Cid) -> bytes:
        return flipped(get_block(self, cid)) if cid.codec == RAW else get_block(self, cid)

    _replace(Store, read_file=wrong_file, get_block=wrong_block)


def other_object() -> None:
    other, read_file, get_block = parse_cid(os.environ["NEARCAST_TEST_OTHER"]), Store.read_file, Store.get_block

    def others_file(self: Store, cid: Cid, start: int, end: int) -> bytes:
        return read_file(self, other, start, end)

    def others_block(self: Store, cid: Cid) -> bytes:
        table = self.leaf_table(other)
        return get_block(self, table.cid(0) if cid.codec == RAW and table is not None else cid)

    _replace(Store, read_file=others_file, get_block=others_block)


def dearer() -> None:
    """The desk's own schedule would never sign two prices; whoever holds the key can."""
    seen: set[bytes] = set()

    def change(desk: OfferDesk, offer: Offer) -> tuple[Offer, Signer]:
        factor = 2 if offer.client in seen else 1
        seen.add(offer.client)
        return _with(offer, price=offer.price_units_per_gib * factor), desk._hot_key

    _resigned(change)
    _replace(Charging, too_dear=lambda *_: None)


def unsigned() -> None:
    _resigned(lambda desk, offer: (offer, Signer(os.urandom(32))))


def for_another() -> None:
    _resigned(lambda desk, offer: (_with(offer, client=bytes(reversed(offer.client))), desk._hot_key))


def no_window() -> None:
    _replace(PayeeAccount, may_send=lambda *_: True, room_bytes=lambda *_: 1 << 40)


def endless() -> None:
    def offers(_: Answer) -> Iterator[Piece]:
        while True:
            yield Piece(encode_message({"ok": True, "price": 0}) * 100, 0)

    _replace(Answer, pieces=offers)


def deaf() -> None:
    _replace(
        BlacklistFollower,
        listed=lambda *_: None,
        may_offer=lambda *_: True,
        refuse=lambda *_: None,
        is_fresh=lambda _: True,
    )


def stalls() -> None:
    def nothing(_: Answer) -> Iterator[Piece]:
        time.sleep(STALL_S)
        yield Piece(b"", 0)

    _replace(Answer, pieces=nothing)


def _resigned(change: Callable[[OfferDesk, Offer], tuple[Offer, Signer]]) -> None:
    make = OfferDesk.make

    def changed(self: OfferDesk, root_digest: bytes, client: bytes, size_bytes: int) -> SignedOffer:
        offer, signer = change(self, make(self, root_digest, client, size_bytes).offer)
        return SignedOffer(offer, signer.sign(offer.digest(self._court)))

    _replace(OfferDesk, make=changed)


def _with(offer: Offer, *, price: int | None = None, client: bytes | None = None) -> Offer:
    return Offer(
        offer.root,
        client or offer.client,
        offer.price_units_per_gib if price is None else price,
        offer.size_bytes,
        offer.block_number,
        offer.block_hash,
    )


def _replace(kind: type, **parts: Any) -> None:
    for name, part in parts.items():
        assert hasattr(kind, name), f"{kind.__name__} has no {name}: this node would be honest"
        setattr(kind, name, part)


MANNERS = (wrong_bytes, other_object, dearer, unsigned, for_another, no_window, endless, deaf, stalls)

if __name__ == "__main__":
    from nearcast.cli.main import main

    {manner.__name__: manner for manner in MANNERS}[sys.argv.pop(1)]()
    main()
