"""The bond curve: exact in integers over its whole domain, and what a bond costs in dollars."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.contracts.codec import Reverted
from tests.contracts.registrations import join
from tests.contracts.stake_model import fifth_root
from tests.contracts.world import DOLLAR, World, shared
from tests.depth import by_day

from nearcast.chain import bond

FACTOR_MIN, FACTOR_MAX = 50_000, 2_500_000
EXPONENT_MIN, EXPONENT_MAX = 5, 9
MBPS_MAX = 100_000


def set_curve(world: World, factor: int, exponent_fifths: int) -> None:
    world.registry.transact("setBondFactor", factor, sender=world.timelock)
    world.registry.transact("setBondExponentFifths", exponent_fifths, sender=world.timelock)


@pytest.mark.parametrize(
    ("mbps", "dollars"),
    # notes on the curve: 0.25 × Mbps^1.2, rounded down to 1e-6
    [(1, "0.25"), (10, "3.962232"), (100, "62.797160"), (1_000, "995.267926"), (10_000, "15773.933612")],
)
def test_what_a_bond_costs(world: World, mbps: int, dollars: str) -> None:
    assert Decimal(world.registry.call("bondFor", mbps)) / DOLLAR == Decimal(dollars)


def test_the_largest_bond_is_exact(world: World) -> None:
    assert world.registry.call("bondFor", MBPS_MAX) == 250_000 * DOLLAR  # 100,000^1.2 is a million
    set_curve(world, FACTOR_MAX, EXPONENT_MAX)
    assert FACTOR_MAX**5 * MBPS_MAX**EXPONENT_MAX < 2**256
    assert world.registry.call("bondFor", MBPS_MAX) == FACTOR_MAX * 10**9


def test_more_capacity_never_costs_less(world: World) -> None:
    bonds = [world.registry.call("bondFor", mbps) for mbps in [*range(1, 40), 99, 100, 101, 99_999, 100_000]]
    assert bonds == sorted(set(bonds))


@pytest.mark.parametrize("mbps", [0, MBPS_MAX + 1, 2**32 - 1, 2**256 - 1])
def test_capacity_has_bounds(world: World, mbps: int) -> None:
    with pytest.raises(Reverted) as refused:
        world.registry.call("bondFor", mbps)
    assert (refused.value.name, refused.value.values) == ("OutOfBounds", (mbps, 1, MBPS_MAX))


@given(
    mbps=st.integers(1, MBPS_MAX),
    factor=st.integers(FACTOR_MIN, FACTOR_MAX),
    exponent_fifths=st.integers(EXPONENT_MIN, EXPONENT_MAX),
)
@example(mbps=32, factor=250_000, exponent_fifths=6)  # 32^(6/5) = 64: exact
@example(mbps=31, factor=250_000, exponent_fifths=6)
@example(mbps=1, factor=FACTOR_MIN, exponent_fifths=EXPONENT_MIN)
@by_day(150)
def test_the_fifth_root_is_exact(mbps: int, factor: int, exponent_fifths: int) -> None:
    with shared().fork() as world:
        set_curve(world, factor, exponent_fifths)
        units = world.registry.call("bondFor", mbps)
    radicand = factor**5 * mbps**exponent_fifths
    assert units**5 <= radicand < (units + 1) ** 5
    assert units == fifth_root(radicand) == bond.bond_units(mbps, factor, exponent_fifths)


@given(mbps=st.integers(1, MBPS_MAX), factor=st.integers(FACTOR_MIN, FACTOR_MAX), exponent=st.integers(5, 9))
def test_the_reference_agrees(mbps: int, factor: int, exponent: int) -> None:
    """Against arithmetic with 60 digits, which no root of ours has a part in."""
    with localcontext() as context:
        context.prec = 60
        wanted = factor * (Decimal(mbps).ln() * exponent / 5).exp()
    assert abs(fifth_root(factor**5 * mbps**exponent) - wanted) <= 1


def test_python_and_the_contract_have_the_same_bounds(world: World) -> None:
    constants = {
        "BOND_FACTOR_MIN": bond.BOND_FACTOR_MIN_UNITS,
        "BOND_FACTOR_MAX": bond.BOND_FACTOR_MAX_UNITS,
        "BOND_EXPONENT_FIFTHS_MIN": bond.BOND_EXPONENT_FIFTHS_MIN,
        "BOND_EXPONENT_FIFTHS_MAX": bond.BOND_EXPONENT_FIFTHS_MAX,
        "MBPS_MIN": bond.MBPS_MIN,
        "MBPS_MAX": bond.MBPS_MAX,
        "bondFactor": bond.BOND_FACTOR_UNITS,
        "bondExponentFifths": bond.BOND_EXPONENT_FIFTHS,
    }
    assert {name: world.registry.call(name) for name in constants} == constants


def test_registering_pulls_exactly_the_bond(world: World) -> None:
    before = world.token.call("balanceOf", world.accounts[1])
    node = join(world, 1, mbps=1_000)
    assert before - world.token.call("balanceOf", node) == 995_267_926 == world.registry.call("stakeOf", node).bonded
