"""Solidity's argument encoding for the types our contracts use, both ways (its docs, "Contract ABI Specification").

Why not a library: eth-abi takes half a second to import, which every command would pay, and what comes from an
endpoint wants a stricter reader. This one accepts only what an honest encoder writes, up to trailing bytes: padding
must be zero, a bool 0 or 1, and no byte is read twice, so that a short answer cannot unfold into a huge value. The
tests compare it with eth-abi.

Values: uint and int are int, bool is bool, address and bytesN are bytes, string is str, arrays are tuples, structs are
tuples in the order of their fields. When encoding, any list will do for an array or struct, a mapping by field name for
a struct.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nearcast.errors import ChainError, UsageError

WORD_BYTES = 32
_ELEMENTARY = re.compile(r"(uint|int|bytes|address|bool|string)([0-9]*)")
_ARRAY = re.compile(r"(.+)\[([0-9]*)\]")


@dataclass(frozen=True, slots=True)
class AbiType:
    """One parsed type. `kind` is uint, int, bytes, address, bool, string, array or tuple."""

    kind: str
    text: str  # canonical, as it stands in a signature
    size: int = 0  # bits of a number, bytes of a bytesN (0: any length), items of an array (0: any number)
    parts: tuple["AbiType", ...] = ()  # the item of an array, the fields of a tuple
    names: tuple[str, ...] = ()  # of the fields of a tuple
    is_dynamic: bool = False
    head_bytes: int = WORD_BYTES  # what it takes in the head of whatever contains it


def parse_type(entry: Mapping[str, Any]) -> AbiType:
    """The type of one input, output or component of an ABI. Raises UsageError for types we do not know."""
    return _parse(str(entry["type"]), entry.get("components", ()))


def parse_tuple(entries: Sequence[Mapping[str, Any]]) -> AbiType:
    """The arguments of a function, error or event, or the fields of a struct, as one tuple."""
    parts = tuple(parse_type(entry) for entry in entries)
    is_dynamic = any(part.is_dynamic for part in parts)
    return AbiType(
        kind="tuple",
        text="(" + ",".join(part.text for part in parts) + ")",
        parts=parts,
        names=tuple(str(entry.get("name", "")) for entry in entries),
        is_dynamic=is_dynamic,
        head_bytes=WORD_BYTES if is_dynamic else sum(part.head_bytes for part in parts),
    )


def _parse(text: str, components: Sequence[Mapping[str, Any]]) -> AbiType:
    if array := _ARRAY.fullmatch(text):
        item, size = _parse(array[1], components), int(array[2] or 0)
        if array[2] == "0" or item.head_bytes == 0:
            raise UsageError(f"no contract of ours has the type {text}")
        is_dynamic = size == 0 or item.is_dynamic
        head_bytes = WORD_BYTES if is_dynamic else size * item.head_bytes
        return AbiType("array", f"{item.text}[{array[2]}]", size, (item,), (), is_dynamic, head_bytes)
    if text == "tuple":
        return parse_tuple(components)
    elementary = _ELEMENTARY.fullmatch(text)
    if elementary is None:
        raise UsageError(f"no contract of ours has the type {text}")
    kind, size = elementary[1], int(elementary[2] or 0)
    return AbiType(kind, text, size, is_dynamic=kind == "string" or text == "bytes")


def encode(kind: AbiType, value: Any) -> bytes:
    """The bytes of `value`. Raises UsageError naming what does not fit."""
    match kind.kind:
        case "uint" | "int":
            return _encode_number(kind, value)
        case "bool":
            _need(isinstance(value, bool), kind, value)
            return int(value).to_bytes(WORD_BYTES, "big")
        case "address":
            _need(isinstance(value, bytes) and len(value) == 20, kind, value)
            return bytes(12) + bytes(value)
        case "string":
            _need(isinstance(value, str), kind, value)
            return _encode_bytes(str(value).encode())
        case "bytes":
            _need(isinstance(value, bytes) and kind.size in (0, len(value)), kind, value)
            return _encode_bytes(value) if kind.size == 0 else value.ljust(WORD_BYTES, b"\0")
        case "array":
            _need(isinstance(value, list | tuple) and kind.size in (0, len(value)), kind, value)
            items = _encode_sequence(kind.parts * len(value), value)
            return items if kind.size else len(value).to_bytes(WORD_BYTES, "big") + items
        case _:
            return _encode_sequence(kind.parts, _fields(kind, value))


def _encode_number(kind: AbiType, value: Any) -> bytes:
    _need(isinstance(value, int) and not isinstance(value, bool), kind, value)
    low, high = (0, (1 << kind.size) - 1) if kind.kind == "uint" else (-(1 << kind.size - 1), (1 << kind.size - 1) - 1)
    if not low <= value <= high:
        raise UsageError(f"{value} is outside what {kind.text} holds")
    return (int(value) % (1 << 256)).to_bytes(WORD_BYTES, "big")


def _encode_bytes(value: bytes) -> bytes:
    return len(value).to_bytes(WORD_BYTES, "big") + value + bytes(-len(value) % WORD_BYTES)


def _fields(kind: AbiType, value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        _need(set(value) == set(kind.names), kind, value)
        return [value[name] for name in kind.names]
    _need(isinstance(value, list | tuple) and len(value) == len(kind.parts), kind, value)
    return list(value)


def _encode_sequence(kinds: Sequence[AbiType], values: Sequence[Any]) -> bytes:
    head, tail = bytearray(), bytearray()
    head_bytes = sum(kind.head_bytes for kind in kinds)
    for kind, value in zip(kinds, values, strict=True):
        encoded = encode(kind, value)
        if kind.is_dynamic:
            head += (head_bytes + len(tail)).to_bytes(WORD_BYTES, "big")
            tail += encoded
        else:
            head += encoded
    return bytes(head + tail)


def _need(fits: bool, kind: AbiType, value: Any) -> None:
    if not fits:
        raise UsageError(f"{value!r:.80} is no {kind.text}")


def decode(kind: AbiType, data: bytes) -> Any:
    """The value encoded at the start of `data`. Raises ChainError for anything an honest encoder would not write."""
    return _Reader(data).value(kind, 0)


class _Reader:
    """Reads one encoding; `_unread_bytes` is what may still be read if nothing is read twice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._unread_bytes = len(data)

    def value(self, kind: AbiType, at: int) -> Any:
        """The value of `kind` whose own encoding starts at `at` (for a dynamic one: where its tail starts)."""
        match kind.kind:
            case "string":
                return self._text(at)
            case "bytes" if kind.size == 0:
                return self._sized_bytes(at)
            case "array":
                return self._array(kind, at)
            case "tuple":
                return self._sequence(kind.parts, at)
            case _:
                return _word_value(kind, self._take(at, WORD_BYTES))

    def _take(self, at: int, size_bytes: int) -> bytes:
        self._unread_bytes -= size_bytes
        if at + size_bytes > len(self._data) or self._unread_bytes < 0:
            raise ChainError("the endpoint's answer is cut short, or says one thing twice")
        return self._data[at : at + size_bytes]

    def _length(self, at: int) -> int:
        return int.from_bytes(self._take(at, WORD_BYTES), "big")

    def _sized_bytes(self, at: int) -> bytes:
        length = self._length(at)
        padded = self._take(at + WORD_BYTES, length + -length % WORD_BYTES)
        if any(padded[length:]):
            raise ChainError("the endpoint's answer has something where padding belongs")
        return padded[:length]

    def _text(self, at: int) -> str:
        try:
            return self._sized_bytes(at).decode()
        except UnicodeDecodeError as error:
            raise ChainError("a text on the chain is not UTF-8") from error

    def _array(self, kind: AbiType, at: int) -> tuple[Any, ...]:
        item, length = kind.parts[0], kind.size
        if length == 0:
            length, at = self._length(at), at + WORD_BYTES
        if length * item.head_bytes > self._unread_bytes:
            raise ChainError("the endpoint's answer is cut short, or says one thing twice")
        return self._sequence((item,) * length, at)

    def _sequence(self, kinds: Sequence[AbiType], start: int) -> tuple[Any, ...]:
        values, at = [], start
        for kind in kinds:
            values.append(self.value(kind, start + self._length(at) if kind.is_dynamic else at))
            at += kind.head_bytes
        return tuple(values)


def _word_value(kind: AbiType, word: bytes) -> Any:
    """The value in one word, whose unused part must be as an encoder leaves it."""
    if kind.kind == "bytes":
        value, rest = word[: kind.size], word[kind.size :]
        fits = not any(rest)
        return _checked(value, fits, kind)
    if kind.kind == "address":
        return _checked(word[12:], not any(word[:12]), kind)
    number = int.from_bytes(word, "big", signed=kind.kind == "int")
    if kind.kind == "bool":
        return _checked(number == 1, number in (0, 1), kind)
    if kind.kind == "int":
        return _checked(number, -(1 << kind.size - 1) <= number < 1 << kind.size - 1, kind)
    return _checked(number, number < 1 << kind.size, kind)


def _checked(value: Any, fits: bool, kind: AbiType) -> Any:
    if not fits:
        raise ChainError(f"the endpoint's answer holds no {kind.text} where one belongs")
    return value
