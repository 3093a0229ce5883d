"""UnixFS: what a dag-pb node's data says about files and folders (https://specs.ipfs.tech/unixfs/).

    message Data {
        required DataType Type = 1; optional bytes Data = 2; optional uint64 filesize = 3;
        repeated uint64 blocksizes = 4; optional uint64 hashType = 5; optional uint64 fanout = 6;
        optional uint32 mode = 7; optional UnixTime mtime = 8;
    }

Written in the order of the field numbers. Mode and mtime are checked and dropped: our profile does not keep them.
"""

from dataclasses import dataclass
from enum import IntEnum

from nearcast.content.cid import encode_varint
from nearcast.content.protobuf import BYTES, FIXED32, VARINT, read_fields, read_uint
from nearcast.errors import IntegrityError

NANOSECONDS_MAX = 999_999_999


class DataType(IntEnum):
    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT_SHARD = 5


@dataclass(frozen=True, slots=True)
class UnixFsData:
    """One node's UnixFS fields; None where a field is not written."""

    type: DataType
    data: bytes | None = None
    filesize: int | None = None
    blocksizes: tuple[int, ...] = ()
    hash_type: int | None = None
    fanout: int | None = None


def encode_unixfs(value: UnixFsData) -> bytes:
    """The canonical bytes, as they stand in a dag-pb node's Data."""
    parts = [b"\x08", encode_varint(value.type)]
    if value.data is not None:
        parts += (b"\x12", encode_varint(len(value.data)), value.data)
    if value.filesize is not None:
        parts += (b"\x18", encode_varint(value.filesize))
    for size_bytes in value.blocksizes:
        parts += (b"\x20", encode_varint(size_bytes))
    if value.hash_type is not None:
        parts += (b"\x28", encode_varint(value.hash_type))
    if value.fanout is not None:
        parts += (b"\x30", encode_varint(value.fanout))
    return b"".join(parts)


def decode_unixfs(data: bytes) -> UnixFsData:
    """The fields of one node. Raises IntegrityError on anything malformed, unknown or written twice."""
    single: dict[int, int | bytes] = {}
    blocksizes: list[int] = []
    for number, wire, value in read_fields(data):
        if number == 4:
            blocksizes += _blocksizes(wire, value)
            continue
        if _WIRE.get(number) != wire or number in single:
            raise IntegrityError(f"malformed UnixFS: field {number} is unknown, repeated or of the wrong kind")
        if number == 8:
            _check_mtime(value)
        single[number] = value
    return UnixFsData(
        type=_data_type(_int(single, 1)),
        data=_bytes(single, 2),
        filesize=_int(single, 3),
        blocksizes=tuple(blocksizes),
        hash_type=_int(single, 5),
        fanout=_int(single, 6),
    )


_WIRE = {1: VARINT, 2: BYTES, 3: VARINT, 5: VARINT, 6: VARINT, 7: VARINT, 8: BYTES}


def _data_type(number: int | None) -> DataType:
    if number is None or number > DataType.HAMT_SHARD:
        raise IntegrityError(f"malformed UnixFS: type {number}")
    return DataType(number)


def _int(fields: dict[int, int | bytes], number: int) -> int | None:
    value = fields.get(number)
    return value if isinstance(value, int) else None


def _bytes(fields: dict[int, int | bytes], number: int) -> bytes | None:
    value = fields.get(number)
    return value if isinstance(value, bytes) else None


def _blocksizes(wire: int, value: int | bytes) -> list[int]:
    """One size, or several packed into one field, as protobuf lets a writer choose."""
    if isinstance(value, int):
        return [value]
    if wire != BYTES:
        raise IntegrityError("malformed UnixFS: block sizes of the wrong kind")
    sizes: list[int] = []
    position = 0
    while position < len(value):
        size_bytes, position = read_uint(value, position)
        sizes.append(size_bytes)
    return sizes


def _check_mtime(value: int | bytes) -> None:
    """The specification: seconds are required; nanoseconds outside 1..999,999,999, even an explicit 0, are invalid."""
    seen: set[int] = set()
    for number, wire, part in read_fields(value) if isinstance(value, bytes) else ():
        if number in seen or _MTIME_WIRE.get(number) != wire:
            raise IntegrityError("malformed UnixFS: mtime")
        seen.add(number)
        if isinstance(part, bytes) and not 1 <= int.from_bytes(part, "little") <= NANOSECONDS_MAX:
            raise IntegrityError("malformed UnixFS: mtime's nanoseconds are out of range")
    if 1 not in seen:
        raise IntegrityError("malformed UnixFS: mtime without seconds")


_MTIME_WIRE = {1: VARINT, 2: FIXED32}
