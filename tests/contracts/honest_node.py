"""A node that keeps the rules, and everybody around it, as one run: what it signed is what a challenger can try."""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

from eth_hash.auto import keccak
from tests.contracts.accounts import key_of
from tests.contracts.codec import Reverted
from tests.contracts.court_stage import Courtroom
from tests.contracts.registrations import sign
from tests.contracts.world import World

from nearcast.chain.evidence import EVERYWHERE, BlacklistedOffer, BlockHeader, Evidence, RateEquivocation
from nearcast.chain.offers import Listing, Offer, may_offer
from nearcast.chain.prices import PriceSchedule

ROOTS: Final = [bytes(keccak(b"root %d" % number)) for number in range(2)]
CLIENTS: Final = [bytes(keccak(b"client %d" % number)[:20]) for number in range(2)]
REGIONS: Final = [b"DE", b"FR"]
SCOPES: Final = [EVERYWHERE, *REGIONS]
HARNESS: Final = {"NoCommitment", "TooEarly", "TooLate", "AlreadyCommitted", "Halt", "", "BlockUnavailable"}


@dataclass
class HonestNode:
    """Signs by the rules of ICourt and IBlacklist. `offers`: each with its signature and the header of its block."""

    room: Courtroom
    folder: Path
    is_honest: bool = True
    offers: list[tuple[Offer, bytes, BlockHeader]] = field(default_factory=list)
    regions: set[bytes] = field(default_factory=lambda: {b"DE"})
    keys: int = 0

    def __post_init__(self) -> None:
        self.start()
        self.read_list()

    @property
    def world(self) -> World:
        return self.room.world

    def start(self) -> None:
        """Also after a crash: only the file is left."""
        self.schedule = PriceSchedule.open(self.folder / "price.json", price_units_per_gib=100, first_block=0)

    def read_list(self) -> None:
        """As of the newest block."""
        self.list: list[Any] = list(self.world.blacklist.call("entries", 0, 1_000))
        self.list_read_s = self.world.engine.head.timestamp_s

    def may_offer(self, root: bytes, then_s: int) -> bool:
        """The product's own rule, over what this node has read."""
        scopes = {EVERYWHERE, *self.regions}
        mine = [
            Listing(row.effectiveAt, row.lapsesAt) for row in self.list if row.digest == root and row.scope in scopes
        ]
        return may_offer(mine, list_read_at_s=self.list_read_s, block_timestamp_s=then_s)

    def offer(self, root: bytes, client: bytes) -> None:
        """If it may: on the block, at the price and with the key that the rules say."""
        quote = self.schedule.quote(self.world.engine.head.number)
        if quote is None:
            return
        header = self.room.header(quote.block_number)
        if self.is_honest and not self.may_offer(root, header.timestamp_s):
            return
        offer = Offer(root, client, quote.price_units_per_gib, 1 << 30, header.number, header.hash)
        self.offers.append((offer, self.room.sign(offer), header))

    def change_key(self) -> None:
        """The registry retires the old one."""
        self.keys += 1
        self._update(hot_key=key_of(f"hot key of the honest {self.keys % 3}"))

    def move(self, region: bytes) -> None:
        """From now on the list of that region is kept too, from before it is declared."""
        self.regions.add(region)
        self._update(region=region)

    def _update(self, **declared: Any) -> None:
        node = self.room.node.but(**declared)
        try:
            self.world.registry.transact("update", *sign(self.world, node).args, sender=node.operator)
        except Reverted as refused:
            assert refused.name == "RegionTooSoon"  # noqa: PT017 - a node moves once a month at most
            return
        self.room.node = node

    # --- who would like to see it slashed ---

    def all_evidence(self) -> list[Evidence]:
        """Of every offer for every scope, and of every ordered pair that the evidence types will hold at all."""
        found: list[Evidence] = [
            BlacklistedOffer(offer, signature, header, scope)
            for (offer, signature, header), scope in product(self.offers, SCOPES)
        ]
        for (one, one_signature, _), (other, other_signature, header) in product(self.offers, self.offers):
            same = one.root == other.root and one.client == other.client
            if same and one.price_units_per_gib != other.price_units_per_gib and one.block_number <= other.block_number:
                found.append(RateEquivocation(one, one_signature, other, other_signature, header))
        return found

    def convictions(self) -> list[Evidence]:
        """The evidence that the court takes, each tried as if it were the only one."""
        return [evidence for evidence in self.all_evidence() if self._convicts(evidence)]

    def _convicts(self, evidence: Evidence) -> bool:
        with self.world.fork():
            self.room.commit(evidence, anchors=(evidence.header.number,))
            self.room.wait()
            before = self.room.stake()
            try:
                done = self.room.reveal(evidence)
            except Reverted as refused:
                assert refused.name not in HARNESS, refused  # noqa: PT017 - then the trial itself was void
                return False
            assert self.room.stake() < before or done.named("AlreadyPunished")
            return bool(done.named("Convicted"))
