"""The CAR v1 format (https://ipld.io/specs/transport/car/carv1/), as a stream of blocks.

    varint(length) | DAG-CBOR {"roots": [CID…], "version": 1}      then, for each block:
    varint(length) | CID | data

Read strictly and with bounds: every block is checked against its CID, a stream may only end between two sections.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import libipld

from nearcast.content.blocks import BLOCK_BYTES_MAX, check_block
from nearcast.content.cid import IDENTITY_BYTES_MAX, Cid, decode_cid, encode_varint, read_cid
from nearcast.errors import IntegrityError, LimitError, UsageError

HEADER_BYTES_MAX = 64 << 10  # guess: room for 1,500 roots
ROOTS_MAX = 1024
VARINT_BYTES_MAX = 9
SECTION_BYTES_MAX = BLOCK_BYTES_MAX + IDENTITY_BYTES_MAX + 16  # a block and the longest CID


def encode_header(roots: Iterable[Cid]) -> bytes:
    """The header section, with its length in front; canonical DAG-CBOR."""
    links = [_cbor_link(root) for root in roots]
    body = b"\xa2\x65roots" + _cbor_head(4, len(links)) + b"".join(links) + b"\x67version\x01"
    return encode_varint(len(body)) + body


def encode_section_head(cid: Cid, size_bytes: int) -> bytes:
    """What stands before the `size_bytes` of a block's data."""
    binary = cid.to_bytes()
    return encode_varint(len(binary) + size_bytes) + binary


def _cbor_link(cid: Cid) -> bytes:
    binary = b"\0" + cid.to_bytes()
    return b"\xd8\x2a" + _cbor_head(2, len(binary)) + binary


def _cbor_head(major: int, value: int) -> bytes:
    """The first bytes of a CBOR item: its major type, and its length in the shortest form (here below 65,536)."""
    if value < 24:
        return bytes([major << 5 | value])
    return bytes([major << 5 | 24, value]) if value < 256 else bytes([major << 5 | 25]) + value.to_bytes(2, "big")


def read_header(stream: BinaryIO) -> tuple[Cid, ...]:
    """The roots. Raises IntegrityError when this is no CAR v1 with 1 to ROOTS_MAX roots, LimitError when too long."""
    length = _read_length(stream)
    if not length:
        raise IntegrityError("not a CAR file: it is empty")
    if length > HEADER_BYTES_MAX:
        raise LimitError(f"not a CAR file, or one with a header of {length} bytes (at most {HEADER_BYTES_MAX})")
    data = _read_exactly(stream, length)
    try:
        header = libipld.decode_dag_cbor(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("not a CAR file: its header is not DAG-CBOR") from error
    if not isinstance(header, dict) or header.get("version") != 1:
        raise IntegrityError("not a CAR file of version 1")
    roots = header.get("roots")
    if header.keys() != {"roots", "version"} or not isinstance(roots, list) or not 0 < len(roots) <= ROOTS_MAX:
        raise IntegrityError(f"malformed CAR: its header does not name 1 to {ROOTS_MAX} roots")
    return tuple([_root(root) for root in roots])


def _root(value: object) -> Cid:
    if not isinstance(value, bytes):
        raise IntegrityError("malformed CAR: a root is not a CID")
    try:
        return decode_cid(value)
    except UsageError as error:
        raise IntegrityError(f"malformed CAR: {error.message}") from error


def read_blocks(stream: BinaryIO) -> Iterator[tuple[Cid, bytes]]:
    """Every block after the header, verified; identity blocks, which writers may leave out, are passed over.

    Raises IntegrityError when a section is cut off, malformed or does not hash to its CID, LimitError when too long.
    """
    while (length := _read_length(stream)) is not None:
        if length > SECTION_BYTES_MAX:
            raise LimitError(f"malformed CAR: a section of {length} bytes is over the limit of {SECTION_BYTES_MAX}")
        section = _read_exactly(stream, length)
        try:
            cid, start = read_cid(section, 0)
        except UsageError as error:
            raise IntegrityError(f"malformed CAR: {error.message}") from error
        data = section[start:]
        check_block(cid, data)
        if not cid.is_identity:
            yield cid, data


def _read_length(stream: BinaryIO) -> int | None:
    """The varint before a section; None where the stream ends instead."""
    value = shift = 0
    for place in range(VARINT_BYTES_MAX):
        byte = stream.read(1)
        if not byte:
            if place:
                raise IntegrityError("the CAR is cut short: it ends inside a length")
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            if byte[0] == 0 and place:
                raise IntegrityError("malformed CAR: a length is not minimally encoded")
            return value
        shift += 7
    raise LimitError("malformed CAR: a length of over 9 bytes")


def _read_exactly(stream: BinaryIO, size_bytes: int) -> bytes:
    """`size_bytes` of the stream; a pipe may hand them out in pieces."""
    parts = [stream.read(size_bytes)]
    missing = size_bytes - len(parts[0])
    while missing and parts[-1]:
        parts.append(stream.read(missing))
        missing -= len(parts[-1])
    if missing:
        raise IntegrityError(f"the CAR is cut short: {missing} bytes are missing from its last section")
    return b"".join(parts)
