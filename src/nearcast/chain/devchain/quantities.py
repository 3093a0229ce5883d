"""The values of Ethereum's JSON-RPC, strictly: quantities, data, addresses. Raises RpcFault for anything else."""

import re
from typing import Any, Final

INVALID_PARAMS: Final = -32602
DATA_SIZE_MAX_BYTES: Final = 1 << 20  # calldata in one request; a transaction has at most 128 KiB
_QUANTITY: Final = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})\Z")
_DATA: Final = re.compile(r"0x([0-9a-fA-F]{2})*\Z")


class RpcFault(Exception):  # noqa: N818 - it becomes an answer, not a failure of ours
    """An error object of JSON-RPC. `data` is what a contract said, if one did."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def bad(text: str) -> RpcFault:
    """The fault for arguments that make no sense."""
    return RpcFault(INVALID_PARAMS, f"invalid argument: {text}")


def hex_quantity(number: int) -> str:
    """As a quantity: 0x, no leading zeros."""
    return hex(number)


def hex_data(data: bytes) -> str:
    """As data: 0x and two digits a byte."""
    return "0x" + data.hex()


def quantity(value: Any, name: str, *, bits: int = 64) -> int:
    """A non-negative integer of at most `bits` bits."""
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise bad(f"{name} is a quantity like 0x1f, without leading zeros")
    number = int(value, 16)
    if number >> bits:
        raise bad(f"{name} has more than {bits} bits")
    return number


def quantity_or_number(value: Any, name: str) -> int:
    """The same, or a plain JSON integer: what the evm_ methods take."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 1 << 64:
            raise bad(f"{name} is not negative and has at most 64 bits")
        return value
    return quantity(value, name)


def data(value: Any, name: str, *, size_bytes: int | None = None) -> bytes:
    """Bytes; exactly `size_bytes` of them if that is given."""
    if not isinstance(value, str) or len(value) > 2 + 2 * DATA_SIZE_MAX_BYTES or not _DATA.match(value):
        raise bad(f"{name} is hexadecimal like 0x00ff, at most {DATA_SIZE_MAX_BYTES} bytes")
    found = bytes.fromhex(value[2:])
    if size_bytes is not None and len(found) != size_bytes:
        raise bad(f"{name} has {size_bytes} bytes, not {len(found)}")
    return found


def address(value: Any, name: str = "address") -> bytes:
    """20 bytes. A checksum in the letters is not looked at, as nodes do not."""
    return data(value, name, size_bytes=20)


def flag(value: Any, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise bad(f"{name} is true or false")
    return value
