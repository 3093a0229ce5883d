"""How much a node must bond for the capacity it declares: bond = k · mbps^α, α = p/5, in exact integers.

The reference of Registry.bondFor: floor((k^5 · mbps^p)^(1/5)), which is floor(k · mbps^(p/5)) without a rounding error.
With the defaults 10 Mbps cost 3.96 USDC, 1 Gbps 995.27 and 100 Gbps 250,000.
"""

from nearcast.errors import UsageError

MBPS_MIN, MBPS_MAX = 1, 100_000
BOND_FACTOR_UNITS = 250_000  # k, 0.25 USDC
BOND_FACTOR_MIN_UNITS, BOND_FACTOR_MAX_UNITS = 50_000, 2_500_000
BOND_EXPONENT_FIFTHS = 6  # p: α = 1.2, so that capacity under one name costs more than linearly
BOND_EXPONENT_FIFTHS_MIN, BOND_EXPONENT_FIFTHS_MAX = 5, 9


def bond_units(mbps: int, factor_units: int = BOND_FACTOR_UNITS, exponent_fifths: int = BOND_EXPONENT_FIFTHS) -> int:
    """The bond in token units. UsageError outside the bounds that the contract has."""
    _check("a capacity in Mbps", mbps, MBPS_MIN, MBPS_MAX)
    _check("the bond factor", factor_units, BOND_FACTOR_MIN_UNITS, BOND_FACTOR_MAX_UNITS)
    _check("the bond exponent", exponent_fifths, BOND_EXPONENT_FIFTHS_MIN, BOND_EXPONENT_FIFTHS_MAX)
    return fifth_root(factor_units**5 * mbps**exponent_fifths)


def fifth_root(number: int) -> int:
    """The largest integer whose fifth power is at most `number` >= 0: Newton's method from above, in integers."""
    if number == 0:
        return 0
    root = 1 << -(-number.bit_length() // 5)  # at least the root: 2^ceil(bits / 5)
    while True:
        closer = (4 * root + number // root**4) // 5
        if closer >= root:
            return root
        root = closer


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {low} to {high}, not {value}")
