"""Recursive length prefix, Ethereum's encoding of byte strings and lists (yellow paper, appendix B). Strict."""

from collections.abc import Sequence
from typing import Any, Final

Item = bytes | int | Sequence[Any]  # what can be encoded: an integer goes as its shortest big-endian bytes
Decoded = bytes | list[Any]

DEPTH_MAX: Final = 8  # of lists within lists: an access list in a transaction is 4
_STRING, _LONG_STRING, _LIST, _LONG_LIST = 0x80, 0xB7, 0xC0, 0xF7


class RlpError(ValueError):
    """The bytes are not the one encoding of anything."""


def encode(item: Item) -> bytes:
    """The one encoding of `item`."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _head(len(item), _STRING, _LONG_STRING) + item
    body = b"".join([encode(part) for part in item])
    return _head(len(body), _LIST, _LONG_LIST) + body


def decode(data: bytes) -> Decoded:
    """What `data` encodes; raises RlpError for anything that `encode` would have written in another way."""
    item, end = _decode(data, 0, len(data), 0)
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes after the end")
    return item


def _head(size_bytes: int, short: int, long: int) -> bytes:
    if size_bytes <= 55:
        return bytes([short + size_bytes])
    size = size_bytes.to_bytes((size_bytes.bit_length() + 7) // 8, "big")
    return bytes([long + len(size)]) + size


def _decode(data: bytes, at: int, limit: int, depth: int) -> tuple[Decoded, int]:
    if at >= limit:
        raise RlpError("ends too early")
    first = data[at]
    if first < _STRING:
        return data[at : at + 1], at + 1
    is_list = first >= _LIST
    start, size_bytes = _body(data, at, limit, _LIST if is_list else _STRING)
    end = start + size_bytes
    if not is_list:
        if size_bytes == 1 and data[start] < _STRING:
            raise RlpError("a small byte with a prefix")
        return data[start:end], end
    if depth >= DEPTH_MAX:
        raise RlpError(f"lists deeper than {DEPTH_MAX}")
    items: list[Decoded] = []
    while start < end:
        item, start = _decode(data, start, end, depth + 1)
        items.append(item)
    return items, end


def _body(data: bytes, at: int, limit: int, short: int) -> tuple[int, int]:
    """Where the body begins and its size; all of it lies before `limit`."""
    size_bytes = data[at] - short
    start = at + 1
    if size_bytes > 55:
        width = size_bytes - 55
        start += width
        size_bytes = int.from_bytes(data[at + 1 : start], "big")
        if start > limit or data[at + 1] == 0 or size_bytes <= 55:
            raise RlpError("a size that is not written the short way")
    if start + size_bytes > limit:
        raise RlpError("ends too early")
    return start, size_bytes
