"""Money as people write and read it: dollars of the token, ether for fees.

Inside, amounts are whole units (1e-6 USDC) and wei; nothing here ever passes through a float.
"""

import re

from nearcast.errors import UsageError

TOKEN_DECIMALS = 6  # USDC's on every chain
_ETHER_DECIMALS = 18
_AMOUNT = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))?")


def parse_usdc_units(text: str, what: str = "an amount", *, free: bool = False) -> int:
    """`5`, `0.25`, `1000.000001` USDC in units. UsageError for anything else, and for 0 unless it may be `free`."""
    match = _AMOUNT.fullmatch(text.strip().removesuffix("USDC").strip().replace(",", ""))
    decimals = (match[2] or "") if match else ""
    if match is None or len(decimals) > TOKEN_DECIMALS:
        raise UsageError(f"{what} is a number of USDC with at most {TOKEN_DECIMALS} decimals, not {text!r}")
    units = int(match[1] + decimals.ljust(TOKEN_DECIMALS, "0"))
    if not (0 if free else 1) <= units < 1 << 63:  # all USDC there is are 2^56 units
        raise UsageError(f"{what} is more than zero and less than there is, not {text}")
    return units


def usdc_text(units: int) -> str:
    """`995.27 USDC`, `0.000001 USDC`: at least cents, and never rounded."""
    return f"{usdc_number(units)} USDC"


def usdc_number(units: int) -> str:
    """The number alone, with commas between thousands."""
    return _decimal(units, TOKEN_DECIMALS, at_least=2)


def ether_text(wei: int) -> str:
    """`0.000213 ETH`: six decimals at least significant enough to compare fees, rounded up so that it is never less."""
    micro = -(-wei // 10 ** (_ETHER_DECIMALS - 6))
    return f"{_decimal(micro, 6, at_least=1)} ETH"


def ether_exact(wei: int) -> str:
    """All the digits that there are, for programs."""
    return _decimal(wei, _ETHER_DECIMALS, at_least=1).replace(",", "")


def _decimal(number: int, decimals: int, *, at_least: int) -> str:
    whole, rest = divmod(number, 10**decimals)
    digits = f"{rest:0{decimals}d}".rstrip("0").ljust(at_least, "0")
    return f"{whole:,}.{digits}"
