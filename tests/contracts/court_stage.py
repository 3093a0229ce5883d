"""A node, a client, a challenger and the court between them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from eth_hash.auto import keccak
from tests.contracts.accounts import TestAccount
from tests.contracts.codec import Reverted
from tests.contracts.registrations import UNLIMITED, Node, join, send, sign
from tests.contracts.world import DOLLAR, Done, World

from nearcast.chain.eip712 import Domain
from nearcast.chain.evidence import (
    EVERYWHERE,
    BlacklistedOffer,
    BlockHeader,
    Evidence,
    RateEquivocation,
    commitment,
    equivocation,
)
from nearcast.chain.offers import Offer, court_domain, sign_offer
from nearcast.chain.signing import Signer

ROOT: Final = keccak(b"some content")
CLIENT: Final = keccak(b"a client")[:20]
SALT: Final = keccak(b"salt")
BOND_UNITS: Final = 10 * DOLLAR  # Court.challengeBond at first
HOUR_S: Final = 3_600
COPYRIGHT: Final = 2
SEVERE: Final = 128
NOBODY: Final = bytes(20)


@dataclass
class Courtroom:
    """One registered node of 1 Gbps in DE (account 1) and a challenger (account 2) whose token the court may pull."""

    world: World
    node: Node
    challenger: TestAccount

    @property
    def domain(self) -> Domain:
        return court_domain(31337, self.world.court.address)

    # --- the node ------------------------------------------------------------------------------------------------

    def offer(self, block: int | None = None, **changed: Any) -> Offer:
        """An offer on a block, the newest unless told otherwise."""
        header = self.header(block)
        return replace(Offer(ROOT, CLIENT, 10_000, 1 << 30, header.number, header.hash), **changed)

    def sign(self, offer: Offer, hot_key: TestAccount | None = None) -> bytes:
        """By the node's hot key unless told otherwise."""
        return sign_offer(self.domain, offer, Signer((hot_key or self.node.hot_key).secret))

    def header(self, block: int | None = None) -> BlockHeader:
        """Of a block of this chain."""
        engine = self.world.engine
        found = (engine.head if block is None else engine.block(block)).header
        return BlockHeader(found.encoded, found.hash, found.number, found.timestamp_s)

    def return_(self) -> None:
        """Back into the registry, if a slash has ended the registration."""
        if not self.world.registry.call("node", self.node).registered:
            send(self.world, sign(self.world, self.node))

    # --- governance ----------------------------------------------------------------------------------------------

    def list(self, root: bytes = ROOT, scope: bytes = EVERYWHERE) -> int:
        """Have governance list content; returns when that counts."""
        done = self.world.blacklist.transact("add", root, scope, COPYRIGHT, sender=self.world.timelock)
        return int(done.event("Added").effectiveAt)

    def list_and_wait(self, root: bytes = ROOT, scope: bytes = EVERYWHERE) -> None:
        """List content; the newest block afterwards is the first that forbids it."""
        self.world.travel_to(self.list(root, scope))
        self.world.mine()

    def set(self, parameter: str, value: int) -> None:
        """A parameter of the court, by governance."""
        setter = f"set{parameter[0].upper()}{parameter[1:]}"
        self.world.court.transact(setter, value, sender=self.world.timelock)

    # --- evidence ------------------------------------------------------------------------------------------------

    def blacklisted(self, offer: Offer | None = None, scope: bytes = EVERYWHERE) -> BlacklistedOffer:
        """The node offers listed content on the newest block."""
        offer = offer or self.offer()
        return BlacklistedOffer(offer, self.sign(offer), self.header(offer.block_number), scope)

    def two_prices(self, blocks: int = 1, **changed: Any) -> RateEquivocation:
        """The node asks another price this many blocks after the first."""
        first = self.offer(**changed)
        if blocks:
            self.world.mine(blocks)
        second = self.offer(price_units_per_gib=20_000, **changed)
        return equivocation((first, self.sign(first)), (second, self.sign(second)), self.header())

    # --- the challenger ------------------------------------------------------------------------------------------

    def commit(self, evidence: Evidence, who: Any = None, salt: bytes = SALT, anchors: tuple[int, ...] = ()) -> Done:
        """Announce evidence."""
        who = who or self.challenger
        announced = commitment(who.address, evidence.hash(self.domain), salt)
        return self.world.court.transact("commit", announced, list(anchors), sender=who)

    def reveal(self, evidence: Evidence, who: Any = None, salt: bytes = SALT, **changed: Any) -> Done:
        """Show it. `changed`: arguments by their place, as `at3=value`."""
        function = "revealBlacklisted" if isinstance(evidence, BlacklistedOffer) else "revealEquivocation"
        args = list(evidence.reveal_args(salt))
        for place, value in changed.items():
            args[int(place.removeprefix("at"))] = value
        return self.world.court.transact(function, *args, sender=who or self.challenger)

    def wait(self) -> None:
        """Until a commitment may be revealed."""
        self.world.travel(self.world.court.call("revealDelay"))

    def pay_in(self, units: int = BOND_UNITS) -> None:
        """Into the challenger's account."""
        self.world.court.transact("deposit", units, sender=self.challenger)

    def challenge(self, evidence: Evidence, who: Any = None, salt: bytes = SALT) -> Done:
        """Both, with the delay between."""
        self.commit(evidence, who, salt)
        self.wait()
        return self.reveal(evidence, who, salt)

    def refused(self, evidence: Evidence, **changed: Any) -> str:
        """The name of the error with which the court refuses evidence, committed to in time as it is."""
        with self.world.fork():
            self.commit(evidence)
            self.wait()
            return refusal(lambda: self.reveal(evidence, **changed))

    def docket(self, of: Any = None) -> Any:
        """A challenger's account."""
        return self.world.court.call("docketOf", of or self.challenger)

    def balance(self, of: Any) -> int:
        return int(self.world.token.call("balanceOf", of))

    def stake(self) -> int:
        """Bonded and unbonding."""
        return sum(self.world.registry.call("stakeOf", self.node))


def refusal(attempt: Callable[[], object]) -> str:
    """The name of the error with which a contract refuses."""
    with pytest.raises(Reverted) as problem:
        attempt()
    return problem.value.name


def courtroom(world: World, **declared: Any) -> Courtroom:
    """Ready to begin."""
    node = join(world, 1, mbps=1000, **declared)
    for challenger in world.accounts[2:5]:
        world.token.transact("approve", world.court, UNLIMITED, sender=challenger)
    return Courtroom(world, node, world.accounts[2])
