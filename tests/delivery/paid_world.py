"""A node that is paid and a reader that pays it, both with their real books and keys. The chain is a stand-in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from tests.delivery.world import STALL_S, Peer, Reader, World
from tests.payments.counts import held_count
from tests.payments.shop import CHAIN_ID, DOMAIN, HOT, OPERATOR, TERMS, Chain, Payer

from nearcast.chain.bindings.settlement import ChannelState, Settlement
from nearcast.chain.channels import ChannelBook, OwnChannel
from nearcast.chain.eip712 import Domain
from nearcast.chain.node_records import NodeRecord
from nearcast.chain.offers import Offer, court_domain, sign_offer
from nearcast.chain.signing import Signer
from nearcast.clock import SystemClock
from nearcast.content.cid import Cid
from nearcast.content.store import Store
from nearcast.delivery.answer import Listed
from nearcast.delivery.charging import Charging
from nearcast.delivery.peer_source import PeerSource
from nearcast.delivery.serve import ServeGate
from nearcast.delivery.upstream import Upstream
from nearcast.payments.budget import Allowance, Budget, Day, Pot
from nearcast.payments.channel_paying import ChannelPaying
from nearcast.payments.credit import PayeeAccount
from nearcast.payments.earned import FILE_NAME, EarnedLedger
from nearcast.payments.messages import Promise, Unwelcome, Welcome, parse_answer, promise_fields
from nearcast.payments.offer_check import SignedOffer as KeptOffer
from nearcast.payments.offering import SignedOffer
from nearcast.payments.payer_channel import Desk, PayerChannel
from nearcast.payments.promising import Promising
from nearcast.payments.spent import SpentLedger
from nearcast.payments.till import Till
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Endpoint, PeerAddress, Stream
from nearcast.wire import FrameReader, encode_message

PRICE = 10_000  # units per GiB: a MiB costs almost ten
MAX_PRICE = 20_000
CAPACITY = 1_000_000
COURT = court_domain(CHAIN_ID, b"court" * 4)
UNPAID_PATIENCE_S = 2.0  # longer than three flushes take on a disk that is busy with something else


@dataclass
class OfferStand:
    """Signs what it is asked to; the real desk's caution is tested where it stands."""

    price_units_per_gib: int = PRICE
    signer: Signer = HOT
    made: list[Offer] = field(default_factory=list)

    def make(self, root_digest: bytes, client: bytes, size_bytes: int) -> SignedOffer:
        offer = Offer(root_digest, client, self.price_units_per_gib, size_bytes, 100, b"h" * 32)
        self.made.append(offer)
        return SignedOffer(offer, sign_offer(COURT, offer, self.signer))


@dataclass
class Seller:
    """A node with a price."""

    peer: Peer
    till: Till
    offers: OfferStand
    chain: Chain
    ledger: EarnedLedger

    def account(self, payer: Payer) -> PayeeAccount:
        customer = self.till.find(payer.channel)
        assert customer is not None
        return customer.account

    def open_channel(self, payer: Payer, units: int = CAPACITY) -> None:
        self.chain.states[payer.channel] = self.chain.confirmed[payer.channel] = ChannelState(units, 0, 0, 0, 0)


def seller(
    place: World,
    name: str,
    *,
    endpoint: Endpoint | None = None,
    is_free: Callable[[bytes], bool] = lambda _: False,
    listed: Listed | None = None,
    upstream: Upstream | None = None,
    gate: ServeGate | None = None,
    unpaid_patience_s: float = UNPAID_PATIENCE_S,
) -> Seller:
    """A node that asks PRICE."""
    chain, offers, telemetry = Chain(), OfferStand(), Telemetry()
    ledger = place.enter(EarnedLedger.open(place.folder(f"{name}-books") / FILE_NAME))
    till = Till(TERMS, ledger, cast(Settlement, chain), confirmations=1, clock=SystemClock(), telemetry=telemetry)
    place.spawn(till.run())
    charging = Charging(till, offers, is_free, customer_patience_s=STALL_S / 2, unpaid_patience_s=unpaid_patience_s)
    peer = place.peer(name, endpoint=endpoint, charging=charging, listed=listed, upstream=upstream, gate=gate)
    return Seller(peer, till, offers, chain, ledger)


class PayEnd:
    """The payer's end of a payment stream, driven by hand."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._frames = FrameReader(stream.receive)

    async def say(self, fields: dict[str, Any]) -> None:
        await self.stream.send.write(encode_message(fields))

    async def pay(self, promise: Promise) -> None:
        await self.say(promise_fields(promise))

    async def answer(self) -> Welcome | Unwelcome:
        return parse_answer(await self._frames.message())


@dataclass
class Witness:
    """Remembers whoever raised its price."""

    court: Domain = COURT
    raises: list[tuple[KeptOffer, KeptOffer]] = field(default_factory=list)

    def offered(self, channel: PayerChannel, signed: KeptOffer) -> None:
        pass

    def raised(self, channel: PayerChannel, first: KeptOffer, later: KeptOffer) -> None:
        self.raises.append((first, later))


@dataclass
class Buyer:
    """A reader with an open channel to the one operator that there is."""

    reader: Reader
    payer: Payer
    channel: PayerChannel
    witness: Witness
    spent: SpentLedger

    def paying(self, root: Cid, *, max_price: int = MAX_PRICE, cap_units: int = CAPACITY) -> ChannelPaying:
        return self.channel.paying(root, max_price, Allowance(cap_units))

    def source(self, whom: Seller | PeerAddress, root: Cid, **limits: Any) -> PeerSource:
        address = whom.peer.address if isinstance(whom, Seller) else whom
        return PeerSource(self.reader.pool, address, paying=self.paying(root, **limits), stall_timeout_s=10 * STALL_S)


def buyer(
    place: World,
    name: str = "buyer",
    *,
    number: int = 1,
    capacity_units: int = CAPACITY,
    store: Store | None = None,
    endpoint: Endpoint | None = None,
) -> Buyer:
    """Its books are real ones."""
    payer, witness, telemetry = Payer(number), Witness(), Telemetry()
    books = place.folder(f"{name}-books")
    book = place.enter(ChannelBook.open(books / "channels.sqlite3"))
    spent = place.enter(SpentLedger.open(books / "spent.sqlite3"))
    book.add(payer.channel, payer.config)
    budget = Budget(MAX_PRICE, CAPACITY, CAPACITY, CAPACITY)
    day = Day(CAPACITY)
    promising = Promising(CHAIN_ID, DOMAIN, payer.hot, book, spent, budget, day, SystemClock())
    pot = Pot(lambda: day.left_parts(promising.today()))
    desk = Desk(promising, pot, witness, telemetry, place.spawn, lambda channel: None)
    node = NodeRecord(OPERATOR.address, HOT.address, bytes(32), 100, "eu", PRICE, (), True, 1)
    own = OwnChannel(payer.channel, payer.config, spent.signed_units(payer.channel))
    count = place.enter(held_count(books, payer.channel))
    channel = PayerChannel(own, node, capacity_units, desk, count)
    place.spawn(channel.run())
    return Buyer(place.reader(store or place.store(name), endpoint), payer, channel, witness, spent)
