"""Values out of strangers' messages: exact types, exact lengths, numbers that fit; nothing is guessed or trimmed.

Messages of x402 are JSON, where addresses and hashes are 0x-hexadecimal text and amounts are decimal text.
"""

import re
from collections.abc import Mapping

from nearcast.errors import RemoteError

# 2^256 has 78 digits; a longer text is refused before it is made a number.
_DIGITS_MAX = 78
_DECIMAL = re.compile(rf"0|[1-9][0-9]{{0,{_DIGITS_MAX - 1}}}")


def object_of(value: object, names: frozenset[str]) -> Mapping[str, object]:
    """`value` as a JSON object with all of `names`; others may be there, and are ignored. RemoteError otherwise."""
    if not isinstance(value, dict):
        raise RemoteError("an object was expected")
    missing = names - value.keys()
    if missing:
        raise RemoteError(f"the field {min(missing)} is missing")
    return value


def hex_field(value: object, size_bytes: int, name: str) -> bytes:
    """0x and exactly twice `size_bytes` hexadecimal digits, of either case. RemoteError otherwise."""
    if isinstance(value, str) and len(value) == 2 + 2 * size_bytes and value.isascii() and value.startswith("0x"):
        try:
            decoded = bytes.fromhex(value[2:])
        except ValueError:
            pass
        else:
            if len(decoded) == size_bytes:  # fromhex passes over blanks
                return decoded
    raise RemoteError(f"{name} is not {size_bytes} bytes in hexadecimal")


def uint_field(value: object, bits: int, name: str) -> int:
    """A number of at most `bits` bits, as a number or in decimal digits. RemoteError otherwise."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << bits:  # type(): True is an int to isinstance
        raise RemoteError(f"{name} is not a number of {bits} bits")
    return value
