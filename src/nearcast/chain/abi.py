"""A contract as its ABI describes it: calls and constructor arguments to bytes, results, errors and logs back.

A function or event is named by its bare name, or by its signature (`permit(address,address,uint256,uint256,bytes)`)
where a contract has several of one name. Values are those of `nearcast.chain.abi_types`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from eth_hash.auto import keccak

from nearcast.chain.abi_types import AbiType, decode, encode, parse_tuple
from nearcast.chain.artifacts import Artifact, artifact
from nearcast.errors import ChainError, UsageError

SELECTOR_BYTES = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A function, an error or an event. `selector` is four bytes, for an event the 32 of its first topic."""

    name: str
    selector: bytes
    inputs: AbiType
    outputs: AbiType
    indexed: tuple[bool, ...]  # of an event's inputs
    is_view: bool

    @property
    def signature(self) -> str:
        return self.name + self.inputs.text


@dataclass(frozen=True, slots=True)
class Decoded:
    """A log, a custom error or a call, with its arguments by name. A dynamic indexed argument is its keccak hash."""

    name: str
    arguments: Mapping[str, Any]


class Contract:
    """The ABI of one artifact, made usable. Parsed when first asked."""

    def __init__(self, compiled: Artifact) -> None:
        self.artifact = compiled

    def encode_call(self, function: str, arguments: Sequence[Any] = ()) -> bytes:
        """Calldata of a call. Raises UsageError when there is no such function or an argument does not fit."""
        entry = self.function(function, len(arguments))
        return entry.selector + encode(entry.inputs, list(arguments))

    def decode_result(self, function: str, data: bytes) -> Any:
        """What a call returned: the value itself when there is one output, a tuple when there are several.

        Raises ChainError when the bytes are not what the function returns; none at all means there is no contract.
        """
        entry = self.function(function)
        if entry.outputs.parts and not data:
            raise ChainError(f"no {self.artifact.name} stands at that address", fix="check the chain and the addresses")
        values: tuple[Any, ...] = decode(entry.outputs, data)
        return values[0] if len(values) == 1 else values

    def decode_call(self, data: bytes) -> Decoded | None:
        """The call that some calldata makes, or None when no function of this contract has its selector."""
        entry = self._functions.get(bytes(data[:SELECTOR_BYTES]))
        return None if entry is None else _decoded(entry, decode(entry.inputs, data[SELECTOR_BYTES:]))

    def decode_error(self, data: bytes) -> Decoded | None:
        """The custom error in revert data, or None when this contract does not declare it."""
        entry = self.errors.get(bytes(data[:SELECTOR_BYTES]))
        return None if entry is None else _decoded(entry, decode(entry.inputs, data[SELECTOR_BYTES:]))

    def decode_log(self, topics: Sequence[bytes], data: bytes) -> Decoded | None:
        """The event in a log, or None when this contract has no such event. Raises ChainError when it is malformed."""
        entry = self._events.get(bytes(topics[0])) if topics else None
        if entry is None:
            return None
        if len(topics) - 1 != sum(entry.indexed):
            raise ChainError(f"the endpoint's log of {entry.name} has {len(topics)} topics")
        in_topics = iter(topics[1:])
        in_data = iter(decode(_data_part(entry), data))
        values = [
            _topic_value(kind, next(in_topics)) if indexed else next(in_data)
            for kind, indexed in zip(entry.inputs.parts, entry.indexed, strict=True)
        ]
        return _decoded(entry, values)

    def encode_constructor(self, arguments: Sequence[Any] = ()) -> bytes:
        """The code that deploys the contract with these arguments. Raises UsageError when one does not fit."""
        inputs: Sequence[Mapping[str, Any]] = ()
        for entry in self.artifact.abi:
            if entry["type"] == "constructor":
                inputs = entry["inputs"]
        return self.artifact.bytecode + encode(parse_tuple(inputs), list(arguments))

    def topic(self, event: str) -> bytes:
        """The first topic of an event's logs. Raises UsageError when there is no such event."""
        found = [entry for entry in self._events.values() if event in (entry.name, entry.signature)]
        return self._only(found, event).selector

    def function(self, name: str, arguments: int | None = None) -> Entry:
        """A function by name or signature; `arguments` picks between several of one name. Raises UsageError."""
        found = [entry for entry in self._functions.values() if name in (entry.name, entry.signature)]
        if len(found) > 1 and arguments is not None:
            found = [entry for entry in found if len(entry.inputs.parts) == arguments]
        return self._only(found, name)

    @property
    def functions(self) -> Mapping[bytes, Entry]:
        """Every function by selector."""
        return self._functions

    @cached_property
    def errors(self) -> Mapping[bytes, Entry]:
        """Every custom error by selector."""
        return self._entries("error", SELECTOR_BYTES)

    @cached_property
    def _functions(self) -> Mapping[bytes, Entry]:
        return self._entries("function", SELECTOR_BYTES)

    @cached_property
    def _events(self) -> Mapping[bytes, Entry]:
        return self._entries("event", 32)

    def _entries(self, kind: str, selector_bytes: int) -> Mapping[bytes, Entry]:
        entries = [_entry(entry, selector_bytes) for entry in self.artifact.abi if entry["type"] == kind]
        return {entry.selector: entry for entry in entries}

    def _only(self, found: Sequence[Entry], name: str) -> Entry:
        if len(found) != 1:
            several = ", ".join(entry.signature for entry in found)
            problem = f"has several called {name!r}: {several}" if found else f"has nothing called {name!r}"
            raise UsageError(f"the contract {self.artifact.name} {problem}")
        return found[0]


@cache
def contract(name: str) -> Contract:
    """A packaged contract by name. Raises UsageError when there is none."""
    return Contract(artifact(name))


def _entry(entry: Mapping[str, Any], selector_bytes: int) -> Entry:
    inputs = parse_tuple(entry.get("inputs", ()))
    return Entry(
        name=entry["name"],
        selector=keccak((entry["name"] + inputs.text).encode())[:selector_bytes],
        inputs=inputs,
        outputs=parse_tuple(entry.get("outputs", ())),
        indexed=tuple(bool(part.get("indexed")) for part in entry.get("inputs", ())),
        is_view=entry.get("stateMutability") in ("view", "pure"),
    )


def _decoded(entry: Entry, values: Sequence[Any]) -> Decoded:
    names = [name or f"argument{index}" for index, name in enumerate(entry.inputs.names)]
    return Decoded(entry.name, dict(zip(names, values, strict=True)))


@cache
def _data_part(entry: Entry) -> AbiType:
    """The arguments of an event that are not indexed, as the tuple that its data encodes."""
    parts = [kind for kind, indexed in zip(entry.inputs.parts, entry.indexed, strict=True) if not indexed]
    return AbiType("tuple", "", parts=tuple(parts))


def _topic_value(kind: AbiType, topic: bytes) -> Any:
    is_hashed = kind.is_dynamic or kind.kind in ("array", "tuple")
    return bytes(topic) if is_hashed else decode(kind, topic)
