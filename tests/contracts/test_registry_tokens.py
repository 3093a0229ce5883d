"""What a token could do to the registry, and what it cannot: keep a part, call back in the middle, freeze somebody."""

from typing import Any

import pytest
from tests.contracts.accounts import TestAccount, key_of
from tests.contracts.codec import Codec, Reverted
from tests.contracts.registrations import Domain, Node, Signed, join, node_of, send, sign
from tests.contracts.trickery import hostile
from tests.contracts.world import DAY_S, DOLLAR, Contract, World

PERIOD_S = 14 * DAY_S
MUCH = 10_000 * DOLLAR


def signed_for(registry: Contract, node: Node) -> Signed:
    """For another registry than the world's own, first nonce."""
    domain = Domain(registry.address)
    hot_key = node.hot_key.sign(domain.hot_key(node.address, node.hot_key.address, 0))
    return Signed(node, b"", hot_key, node.endpoint.sign(domain.endpoint(node, 0)))


class Bonded:
    """A registry whose bond token misbehaves, with an operator (the token itself, so that it can call back as one)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.token = world.deploy(hostile("CallingToken"))
        self.registry = world.deploy("Registry", self.token, world.timelock, world.registry.call("court"))
        self.node = node_of(world, 1, mbps=1_000)
        for owner in (self.token, world.accounts[2]):
            self.token.transact("mint", owner, MUCH, sender=owner)
            self.token.transact("approve", self.registry, 2**256 - 1, sender=owner)
        domain = Domain(self.registry.address)
        hot_key = key_of("the token's hot key")
        record = (self.token.address, hot_key.address, *self.node.record[2:])
        signature = hot_key.sign(domain.hot_key(self.token.address, hot_key.address, 0))
        self.registry.transact("register", record, b"", signature, bytes(64), sender=self.token)
        other = node_of(world, 2, mbps=1_000)
        self.registry.transact("register", *signed_for(self.registry, other).args, sender=other)

    def stake(self, who: Any) -> tuple[int, int]:
        return tuple(self.registry.call("stakeOf", who))

    def arm(self, function: str, *args: Any) -> None:
        """The next time it moves, it calls this of the registry."""
        call = self.registry.encode(function, *args)
        self.token.transact("arm", self.registry, call, sender=self.token)

    def answer(self) -> str:
        """The error that the call in the middle ended with."""
        assert not self.token.call("succeeded")
        codec: Codec = self.registry.codec
        data = self.token.call("answer")
        return str(codec.errors[data[:4]]["name"])


@pytest.fixture
def bonded(world: World) -> Bonded:
    return Bonded(world)


CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("withdraw", (key_of("thief"),)),
    ("unbond", (1,)),
    ("deregister", ()),
]


@pytest.mark.parametrize(("function", "args"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_nothing_is_paid_twice_to_who_calls_back(bonded: Bonded, function: str, args: tuple[Any, ...]) -> None:
    bond = bonded.stake(bonded.token)[0]
    bonded.registry.transact("deregister", sender=bonded.token)
    bonded.world.travel(PERIOD_S)
    bonded.arm(function, *args)
    taker = key_of("taker")
    bonded.registry.transact("withdraw", taker, sender=bonded.token)
    assert bonded.answer() == "ReentrancyGuardReentrantCall"
    assert bonded.token.call("balanceOf", taker) == bond
    assert bonded.token.call("balanceOf", key_of("thief")) == 0
    assert bonded.token.call("balanceOf", bonded.registry) == bonded.stake(bonded.world.accounts[2])[0] == bond


def test_no_bond_counts_twice_for_who_calls_back(bonded: Bonded) -> None:
    """The balance is compared around the pull: a deposit within a deposit would count for both."""
    held = bonded.token.call("balanceOf", bonded.registry)
    bonded.arm("topUp", bonded.token, 5)
    bonded.registry.transact("topUp", bonded.token, 7, sender=bonded.token)
    assert bonded.answer() == "ReentrancyGuardReentrantCall"
    assert bonded.token.call("balanceOf", bonded.registry) == held + 7


def test_a_slash_can_not_be_escaped_in_its_middle(bonded: Bonded) -> None:
    bond = bonded.stake(bonded.token)[0]
    bonded.arm("deregister")
    court = bonded.registry.call("court")
    bonded.registry.transact("slash", bonded.token, 500, bonded.world.accounts[9], sender=court)
    assert bonded.answer() == "ReentrancyGuardReentrantCall"
    assert bonded.stake(bonded.token) == (bond - bond * 500 // 10_000, 0)


def test_a_token_that_keeps_a_part_is_refused(world: World) -> None:
    token = world.deploy(hostile("FeeToken"), 100)
    registry = world.deploy("Registry", token, world.timelock, world.registry.call("court"))
    node = node_of(world, 1)
    token.transact("mint", node, MUCH, sender=node)
    token.transact("approve", registry, 2**256 - 1, sender=node)
    with pytest.raises(Reverted) as problem:
        registry.transact("register", *signed_for(registry, node).args, sender=node)
    bond = registry.call("bondFor", 100)
    assert (problem.value.name, problem.value.values) == ("TransferMismatch", (bond, bond - bond * 100 // 10_000))
    assert registry.call("totalBonded") == 0


def test_units_sent_by_mistake_are_nobodys_bond(world: World) -> None:
    node = join(world, 1)
    bonded = world.registry.call("stakeOf", node).bonded
    world.token.transact("transfer", world.registry, 5 * DOLLAR, sender=world.accounts[3])
    assert world.registry.call("stakeOf", node).bonded == bonded == world.registry.call("totalBonded")
    world.registry.transact("topUp", node, 1, sender=node)
    assert world.registry.call("stakeOf", node).bonded == bonded + 1


def freeze(world: World, account: Any) -> None:
    world.token.transact("blacklist", account, sender=world.token.call("blacklister"))


def test_a_frozen_operator_stops_nobody_else(world: World) -> None:
    frozen, free = join(world, 1), join(world, 2)
    world.registry.transact("deregister", sender=frozen)
    world.registry.transact("deregister", sender=free)
    freeze(world, frozen)
    world.travel(PERIOD_S)
    world.registry.transact("withdraw", free, sender=free)
    world.registry.transact("slash", frozen, 500, world.accounts[9], sender=world.registry.call("court"))
    world.registry.transact("withdraw", world.accounts[7], sender=frozen)


def test_a_frozen_registry_books_who_leaves(world: World) -> None:
    node, newcomer = join(world, 1), node_of(world, 2)
    world.token.transact("approve", world.registry, MUCH, sender=newcomer)
    freeze(world, world.registry)
    with pytest.raises(Reverted, match="Blacklistable"):
        send(world, sign(world, newcomer))
    left_s = world.registry.transact("deregister", sender=node).timestamp_s
    world.travel_to(left_s + PERIOD_S)
    with pytest.raises(Reverted, match="Blacklistable"):
        world.registry.transact("withdraw", node, sender=node)
    world.token.transact("unBlacklist", world.registry, sender=world.token.call("blacklister"))
    world.registry.transact("withdraw", node, sender=node)
    assert world.registry.call("stakeOf", node) == (0, 0)


def test_the_token_cannot_be_none(world: World) -> None:
    someone: TestAccount = world.accounts[1]
    for args in ((bytes(20), someone, someone), (someone, bytes(20), someone), (someone, someone, bytes(20))):
        with pytest.raises(Reverted, match="ZeroAddress"):
            world.deploy("Registry", *args)
