"""Protobuf's wire format (https://protobuf.dev/programming-guides/encoding), the part that dag-pb and UnixFS need.

Read strictly: every varint minimal, every length inside the message, no groups. What breaks that is IntegrityError,
since the bytes are a block of somebody's making.
"""

from collections.abc import Iterator
from typing import Final

from nearcast.errors import IntegrityError

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

VARINT_BYTES_MAX = 10  # 64 bits in groups of 7
_VALUE_LIMIT = 1 << 64

Field = tuple[int, int, int | bytes]
"""(field number, wire type, value): an int for VARINT, else the bytes."""


def read_fields(data: bytes) -> Iterator[Field]:
    """Every field of one message, in the order written. Raises IntegrityError at the first malformed one."""
    position, end = 0, len(data)
    while position < end:
        tag, position = read_uint(data, position)
        wire = tag & 7
        if tag < 8:
            raise IntegrityError("malformed protobuf: field number 0")
        if wire == VARINT:
            value, position = read_uint(data, position)
            yield tag >> 3, wire, value
            continue
        if wire == BYTES:
            size, position = read_uint(data, position)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise IntegrityError(f"malformed protobuf: wire type {wire}")
        if size > end - position:
            raise IntegrityError("malformed protobuf: a field runs past the end")
        yield tag >> 3, wire, data[position : position + size]
        position += size


def read_uint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` (below 2**64), and where it ends."""
    end = len(data)
    if position < end and data[position] < 0x80:  # nearly all of them
        return data[position], position + 1
    value = shift = 0
    for place in range(position, min(position + VARINT_BYTES_MAX, end)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 or value >= _VALUE_LIMIT:
                raise IntegrityError("malformed protobuf: a varint is padded or over 64 bits")
            return value, place + 1
        shift += 7
    raise IntegrityError("malformed protobuf: a varint is cut short or too long")
