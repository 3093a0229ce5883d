"""A bond's life: what pulls it, what lets it go and when, and what a slash reaches."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.contracts.codec import Reverted
from tests.contracts.registrations import Node, allow, join, node_of, send, sign
from tests.contracts.world import DAY_S, DOLLAR, World

PERIOD_S = 14 * DAY_S
TRANCHES_MAX = 16


def stake(world: World, node: Any) -> tuple[int, int]:
    return tuple(world.registry.call("stakeOf", node))


def update(world: World, node: Node, **declared: Any) -> Node:
    changed = node.but(**declared)
    send(world, sign(world, changed), "update")
    return changed


def refusal(act: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(Reverted) as problem:
        act(*args, **options)
    return problem.value.name


def slash(world: World, node: Any, bps: int = 500, to: Any = None) -> int:
    done = world.registry.transact("slash", node, bps, to or world.accounts[9], sender=world.registry.call("court"))
    return int(done.event("Slashed").amount)


@pytest.fixture
def node(world: World) -> Node:
    return join(world, 1, mbps=1_000)


def test_more_capacity_pulls_what_is_missing(world: World, node: Node) -> None:
    before = world.token.call("balanceOf", node)
    update(world, node, mbps=2_000)
    required = world.registry.call("bondFor", 2_000)
    assert stake(world, node) == (required, 0)
    assert before - world.token.call("balanceOf", node) == required - world.registry.call("bondFor", 1_000)


def test_less_capacity_starts_unbonding_the_surplus(world: World, node: Node) -> None:
    was, (_, _) = world.registry.call("bondFor", 1_000), stake(world, node)
    started_s = world.now_s
    update(world, node, mbps=10)
    left = world.registry.call("bondFor", 10)
    assert stake(world, node) == (left, was - left)
    assert world.registry.call("unbondings", node) == ((was - left,), (started_s + PERIOD_S,))
    assert world.registry.call("isActive", node)


def test_a_new_price_moves_no_stake(world: World, node: Node) -> None:
    world.registry.transact("setBondFactor", 2_500_000, sender=world.timelock)
    before = stake(world, node)
    update(world, node, price_per_gib_units=1)
    assert stake(world, node) == before
    assert world.registry.call("isActive", node)


def test_a_dearer_curve_reaches_a_node_when_it_declares_another_capacity(world: World, node: Node) -> None:
    world.registry.transact("setBondFactor", 500_000, sender=world.timelock)
    assert world.registry.call("isActive", node)
    world.registry.transact("topUp", node, DOLLAR, sender=node)
    world.registry.transact("unbond", DOLLAR, sender=node)  # judged by what was asked when the capacity was declared
    update(world, node, mbps=999)
    assert stake(world, node)[0] == world.registry.call("bondFor", 999) > 995_267_926


def test_a_cheaper_curve_frees_stake(world: World, node: Node) -> None:
    world.registry.transact("setBondFactor", 125_000, sender=world.timelock)
    required = world.registry.call("bondFor", 1_000)
    surplus = stake(world, node)[0] - required
    assert refusal(world.registry.transact, "unbond", surplus + 1, sender=node) == "BondTooLow"
    done = world.registry.transact("unbond", surplus, sender=node)
    assert done.event("BondRequired").required == required
    assert stake(world, node) == (required, surplus)
    world.registry.transact("setBondFactor", 250_000, sender=world.timelock)
    assert world.registry.call("isActive", node)  # and it stays adopted


def test_only_the_surplus_can_be_unbonded(world: World, node: Node) -> None:
    registry = world.registry
    for amount in (1, 10**12, 2**256 - 1):
        assert refusal(registry.transact, "unbond", amount, sender=node) == "BondTooLow"
    assert refusal(registry.transact, "unbond", 0, sender=node) == "ZeroAmount"
    registry.transact("topUp", node, 5 * DOLLAR, sender=node)
    registry.transact("unbond", 5 * DOLLAR, sender=node)
    assert stake(world, node) == (world.registry.call("bondFor", 1_000), 5 * DOLLAR)


def test_a_top_up_is_paid_by_its_sender(world: World, node: Node) -> None:
    friend = world.accounts[5]
    assert refusal(world.registry.transact, "topUp", node, DOLLAR, sender=friend) == "Error"  # no allowance of its own
    allow(world, friend)
    before = world.token.call("balanceOf", node)
    done = world.registry.transact("topUp", node, DOLLAR, sender=friend)
    assert done.event("Transfer").args == (friend.address, world.registry.address, DOLLAR)
    assert world.token.call("balanceOf", node) == before
    assert refusal(world.registry.transact, "topUp", node, 0, sender=friend) == "ZeroAmount"
    assert refusal(world.registry.transact, "topUp", friend, 1, sender=friend) == "NotRegistered"


def test_stake_leaves_after_the_period_and_not_before(world: World, node: Node) -> None:
    bonded = stake(world, node)[0]
    done = world.registry.transact("deregister", sender=node)
    assert done.event("UnbondingStarted").args == (node.address, bonded, done.timestamp_s + PERIOD_S)
    assert done.event("Deactivated").operator == node.address
    assert not world.registry.call("isActive", node)
    world.travel_to(done.timestamp_s + PERIOD_S - 1)
    early = pytest.raises(Reverted)
    with early as problem:
        world.registry.transact("withdraw", node, sender=node)
    assert problem.value.values == (done.timestamp_s + PERIOD_S,)
    elsewhere = world.accounts[7]
    before = world.token.call("balanceOf", elsewhere)
    world.registry.transact("withdraw", elsewhere, sender=node)
    assert world.token.call("balanceOf", elsewhere) - before == bonded
    assert stake(world, node) == (0, 0)
    assert refusal(world.registry.transact, "withdraw", node, sender=node) == "NothingToWithdraw"


def test_a_frozen_operator_withdraws_elsewhere(world: World, node: Node) -> None:
    world.registry.transact("deregister", sender=node)
    world.travel(PERIOD_S)
    world.token.transact("blacklist", node, sender=world.token.call("blacklister"))
    with pytest.raises(Reverted):
        world.registry.transact("withdraw", node, sender=node)
    world.registry.transact("withdraw", world.accounts[7], sender=node)
    assert stake(world, node) == (0, 0)
    assert refusal(world.registry.transact, "withdraw", bytes(20), sender=node) == "ZeroAddress"


def test_each_part_keeps_its_own_time(world: World, node: Node) -> None:
    world.registry.transact("topUp", node, 10 * DOLLAR, sender=node)
    first = world.registry.transact("unbond", 4 * DOLLAR, sender=node)
    world.travel(3 * DAY_S)
    world.registry.transact("setUnbondingPeriod", 30 * DAY_S, sender=world.timelock)
    second = world.registry.transact("unbond", 6 * DOLLAR, sender=node)
    times = (first.timestamp_s + PERIOD_S, second.timestamp_s + 30 * DAY_S)
    assert world.registry.call("unbondings", node) == ((4 * DOLLAR, 6 * DOLLAR), times)
    world.travel_to(times[0])
    assert world.registry.call("withdrawable", node) == 4 * DOLLAR
    world.registry.transact("withdraw", node, sender=node)
    assert world.registry.call("unbondings", node) == ((6 * DOLLAR,), times[1:])


def test_a_shorter_period_lets_nothing_overtake(world: World, node: Node) -> None:
    world.registry.transact("topUp", node, 10 * DOLLAR, sender=node)
    first = world.registry.transact("unbond", 4 * DOLLAR, sender=node)
    world.registry.transact("setUnbondingPeriod", 7 * DAY_S, sender=world.timelock)
    done = world.registry.transact("unbond", 6 * DOLLAR, sender=node)
    assert done.event("UnbondingStarted").availableAt == first.timestamp_s + PERIOD_S
    assert world.registry.call("unbondings", node) == ((10 * DOLLAR,), (first.timestamp_s + PERIOD_S,))


def test_many_parts_are_joined(world: World, node: Node) -> None:
    """The seventeenth waits with the sixteenth, so that no loop is longer than sixteen."""
    world.registry.transact("topUp", node, 20 * DOLLAR, sender=node)
    for _ in range(TRANCHES_MAX + 3):
        done = world.registry.transact("unbond", DOLLAR, sender=node)
    amounts, times = world.registry.call("unbondings", node)
    assert (len(amounts), sum(amounts), amounts[-1]) == (TRANCHES_MAX, (TRANCHES_MAX + 3) * DOLLAR, 4 * DOLLAR)
    assert times[-1] == done.timestamp_s + PERIOD_S
    assert list(times) == sorted(times)


def test_a_slash_is_a_share_of_all_stake_rounded_down(world: World, node: Node) -> None:
    world.registry.transact("topUp", node, 7, sender=node)
    bonded = stake(world, node)[0]
    assert slash(world, node, 500) == bonded * 500 // 10_000
    assert world.token.call("balanceOf", world.accounts[9]) == 10_000 * DOLLAR + bonded * 500 // 10_000
    assert slash(world, world.accounts[8]) == 0  # nobody: nothing to take, and nothing breaks


def test_a_slash_below_the_requirement_suspends_until_topped_up(world: World, node: Node) -> None:
    amount = slash(world, node, 500)
    assert not world.registry.call("isActive", node)
    assert world.registry.call("node", node).registered
    world.registry.transact("topUp", node, amount - 1, sender=node)
    assert not world.registry.call("isActive", node)
    world.registry.transact("topUp", node, 1, sender=node)
    assert world.registry.call("isActive", node)


def test_a_slash_below_half_ends_the_registration(world: World, node: Node) -> None:
    slash(world, node, 5_000)
    assert world.registry.call("node", node).registered  # exactly half is left: not below
    done = world.registry.transact("slash", node, 500, world.accounts[9], sender=world.registry.call("court"))
    assert done.event("Deactivated").operator == node.address
    assert stake(world, node)[0] == 0
    assert refusal(world.registry.transact, "topUp", node, 10**9, sender=node) == "NotRegistered"
    send(world, sign(world, node))  # both keys again, and a whole bond
    assert world.registry.call("isActive", node)


def test_unbonding_stake_can_be_slashed_even_when_it_has_matured(world: World, node: Node) -> None:
    bonded = stake(world, node)[0]
    world.registry.transact("deregister", sender=node)
    first = slash(world, node, 5_000)
    assert first == bonded // 2
    world.travel(PERIOD_S + 1)
    second = slash(world, node, 5_000)
    assert second == (bonded - first) // 2
    world.registry.transact("withdraw", node, sender=node)
    assert world.token.call("balanceOf", world.registry) == 0


def test_a_slash_takes_the_newest_parts_first(world: World, node: Node) -> None:
    world.registry.transact("topUp", node, 2_000 * DOLLAR, sender=node)
    world.registry.transact("unbond", 1_500 * DOLLAR, sender=node)
    world.travel(DAY_S)
    world.registry.transact("unbond", 500 * DOLLAR, sender=node)
    world.registry.transact("deregister", sender=node)
    total = sum(stake(world, node))
    slash(world, node, 5_000)
    amounts, _ = world.registry.call("unbondings", node)
    assert amounts == (total - total // 2,)
    assert stake(world, node) == (0, total - total // 2)


@pytest.mark.parametrize("sender", ["timelock", "governor", "operator", "stranger"])
def test_only_the_court_slashes(world: World, node: Node, sender: str) -> None:
    people: dict[str, Any] = {"operator": node, "stranger": world.accounts[5]}
    who = people.get(sender) or getattr(world, sender)
    assert refusal(world.registry.transact, "slash", node, 1, who, sender=who) == "OnlyCourt"


def test_even_the_court_takes_at_most_half_at_a_time(world: World, node: Node) -> None:
    with pytest.raises(Reverted) as problem:
        world.registry.transact("slash", node, 5_001, world.accounts[9], sender=world.registry.call("court"))
    assert problem.value.values == (5_001, 0, 5_000)
    assert (
        refusal(world.registry.transact, "slash", node, 1, bytes(20), sender=world.registry.call("court"))
        == "ZeroAddress"
    )


def test_ejection_is_a_latch(world: World, node: Node) -> None:
    bonded = stake(world, node)[0]
    done = world.registry.transact("eject", node, sender=world.timelock)
    assert [event.name for event in done.events] == ["Ejected", "Deactivated", "UnbondingStarted"]
    assert stake(world, node) == (0, bonded)
    assert refusal(send, world, sign(world, node)) == "OperatorEjected"
    assert refusal(world.registry.transact, "topUp", node, 10**9, sender=node) == "NotRegistered"
    assert refusal(send, world, sign(world, node), "update") == "NotRegistered"
    assert refusal(world.registry.transact, "eject", node, sender=world.timelock) == "OperatorEjected"
    world.registry.transact("unEject", node, sender=world.timelock)
    assert not world.registry.call("isActive", node)
    send(world, sign(world, node))
    assert world.registry.call("isActive", node)
    assert refusal(world.registry.transact, "unEject", node, sender=world.timelock) == "NotEjected"


def test_an_ejected_operator_keeps_its_money(world: World, node: Node) -> None:
    world.registry.transact("eject", node, sender=world.timelock)
    world.travel(PERIOD_S)
    world.registry.transact("withdraw", node, sender=node)
    assert world.token.call("balanceOf", node) == 10_000 * DOLLAR


def test_an_operator_can_be_barred_before_it_comes(world: World) -> None:
    early = node_of(world, 3)
    allow(world, early)
    world.registry.transact("eject", early, sender=world.timelock)
    assert refusal(send, world, sign(world, early)) == "OperatorEjected"


@pytest.mark.parametrize("function", ["eject", "unEject"])
def test_only_governance_ejects(world: World, node: Node, function: str) -> None:
    for sender in (world.registry.call("court"), world.governor, node, world.accounts[5]):
        assert refusal(world.registry.transact, function, node, sender=sender) == "OnlyGovernance"


def test_leaving_and_coming_back(world: World, node: Node) -> None:
    world.registry.transact("deregister", sender=node)
    assert refusal(world.registry.transact, "deregister", sender=node) == "NotRegistered"
    assert refusal(world.registry.transact, "unbond", 1, sender=node) == "NotRegistered"
    send(world, sign(world, node))
    bond = world.registry.call("bondFor", 1_000)
    assert stake(world, node) == (bond, bond)


def test_without_money_nothing_is_written(world: World) -> None:
    poor = node_of(world, 4, mbps=100_000)
    allow(world, poor)
    assert refusal(send, world, sign(world, poor)) == "Error"
    assert world.registry.call("hotKeyOwner", poor.hot_key) == bytes(20)
    assert world.registry.call("nonces", poor) == 0


def test_a_node_moves_at_most_once_a_month(world: World, node: Node) -> None:
    """Else it would always be within the compliance window of a region it has just come to."""
    registry = world.registry
    came_s = registry.call("regionOf", node).since
    assert refusal(update, world, node, region=b"FR") == "RegionTooSoon"
    world.registry.transact("deregister", sender=node)
    assert refusal(send, world, sign(world, node.but(region=b"FR"))) == "RegionTooSoon"
    send(world, sign(world, node))
    assert registry.call("regionOf", node) == (b"DE", came_s)
    world.travel_to(came_s + 30 * DAY_S)
    update(world, node, region=b"FR")
    moved_s = came_s + 30 * DAY_S
    assert registry.call("regionOf", node) == (b"FR", moved_s)
    assert registry.call("regionAt", node, moved_s - 1) == (b"DE", came_s)
    assert registry.call("regionAt", node, moved_s) == (b"FR", moved_s)
    assert registry.call("regionAt", node, came_s - 1) == (b"\x00\x00", 0)
