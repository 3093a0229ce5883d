"""The bond curve: exact integers, against real arithmetic of 200 digits and the contract."""

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.world import World, shared

from nearcast.chain.bond import (
    BOND_EXPONENT_FIFTHS,
    BOND_EXPONENT_FIFTHS_MAX,
    BOND_EXPONENT_FIFTHS_MIN,
    BOND_FACTOR_MAX_UNITS,
    BOND_FACTOR_MIN_UNITS,
    BOND_FACTOR_UNITS,
    MBPS_MAX,
    MBPS_MIN,
    bond_units,
    fifth_root,
)
from nearcast.errors import UsageError

capacities = st.integers(MBPS_MIN, MBPS_MAX)
factors = st.integers(BOND_FACTOR_MIN_UNITS, BOND_FACTOR_MAX_UNITS)
exponents = st.integers(BOND_EXPONENT_FIFTHS_MIN, BOND_EXPONENT_FIFTHS_MAX)


@pytest.fixture
def world() -> Iterator[World]:
    with shared().fork() as fork:
        yield fork


@pytest.mark.parametrize(
    ("mbps", "usdc"), [(1, 0.25), (10, 3.962232), (100, 62.797160), (1_000, 995.267926), (100_000, 250_000)]
)
def test_what_the_defaults_cost(mbps: int, usdc: float) -> None:
    assert bond_units(mbps) == round(usdc * 1_000_000)


@given(capacities, factors, exponents)
def test_the_bond_is_the_floor_of_the_curve(mbps: int, factor: int, fifths: int) -> None:
    with localcontext(prec=200):
        # 200 digits decide every floor but that of an exact fifth power, which the rounding to 100 puts right.
        exact = Decimal(factor) * Decimal(mbps) ** (Decimal(fifths) / 5)
        floor = int(exact.quantize(Decimal(10) ** -100).to_integral_value(ROUND_FLOOR))
    assert bond_units(mbps, factor, fifths) == floor


@given(st.integers(0, 2**256))
def test_the_fifth_root_is_the_largest_that_fits(number: int) -> None:
    root = fifth_root(number)
    assert root**5 <= number < (root + 1) ** 5


@given(st.integers(0, 2**51))
def test_the_fifth_root_at_its_edges(root: int) -> None:
    assert fifth_root(root**5) == root
    assert fifth_root((root + 1) ** 5 - 1) == root


def test_the_largest_number_fits_the_contract_s_word() -> None:
    assert BOND_FACTOR_MAX_UNITS**5 * MBPS_MAX**BOND_EXPONENT_FIFTHS_MAX < 2**256


def test_the_contract_agrees(world: World) -> None:
    for mbps in (1, 2, 9, 10, 99, 100, 999, 1_000, 12_345, 65_536, 99_999, 100_000):
        assert world.registry.call("bondFor", mbps) == bond_units(mbps)


def test_the_contract_has_the_same_bounds_and_defaults(world: World) -> None:
    said = world.registry.call
    assert (said("MBPS_MIN"), said("MBPS_MAX")) == (MBPS_MIN, MBPS_MAX)
    assert (said("BOND_FACTOR_MIN"), said("BOND_FACTOR_MAX")) == (BOND_FACTOR_MIN_UNITS, BOND_FACTOR_MAX_UNITS)
    fifths = said("BOND_EXPONENT_FIFTHS_MIN"), said("BOND_EXPONENT_FIFTHS_MAX")
    assert fifths == (BOND_EXPONENT_FIFTHS_MIN, BOND_EXPONENT_FIFTHS_MAX)
    assert (said("bondFactor"), said("bondExponentFifths")) == (BOND_FACTOR_UNITS, BOND_EXPONENT_FIFTHS)


def test_more_capacity_never_costs_less() -> None:
    bonds = [bond_units(mbps) for mbps in range(1, 2_000)]
    assert all(low < high for low, high in pairwise(bonds))


@pytest.mark.parametrize(
    ("mbps", "factor", "fifths"),
    [(0, 250_000, 6), (100_001, 250_000, 6), (1, 49_999, 6), (1, 2_500_001, 6), (1, 250_000, 4), (1, 250_000, 10)],
)
def test_outside_the_bounds(mbps: int, factor: int, fifths: int) -> None:
    with pytest.raises(UsageError):
        bond_units(mbps, factor, fifths)
