"""What goes into contracts and what comes out, as Python values, by eth_abi alone.

Kept apart from `nearcast.chain.abi`, so that what tests expect of the contracts does not rest on our own reading.
Addresses come out as 20 raw bytes; structs and several results as named tuples.
"""

from collections import namedtuple
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from nearcast.chain.artifacts import Artifact

Entry = Mapping[str, Any]

# The two errors every compiler knows (Solidity, "Error handling").
ERROR: Entry = {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]}
PANIC: Entry = {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]}


class Reverted(Exception):  # noqa: N818 - what happened, not what we are
    """A contract refused: the name of its error and the values in it. `name` is "" for a revert without a word."""

    def __init__(self, name: str, args: tuple[Any, ...] = (), data: bytes = b"") -> None:
        super().__init__(f"{name or 'no words'}{args!r}")
        self.name = name
        self.values = args
        self.data = data


class Event(NamedTuple):
    """One event: the name of the contract, its own name, and its arguments in the order of the ABI."""

    contract: str
    name: str
    args: Any  # a named tuple

    def __getattr__(self, field: str) -> Any:
        return getattr(self.args, field)


def type_of(entry: Entry) -> str:
    """The canonical type of an ABI parameter, tuples written out."""
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(type_of(part) for part in entry['components'])}){kind.removeprefix('tuple')}"


def signature_of(entry: Entry) -> str:
    """`name(type,…)`, what selectors and topics are hashes of."""
    return f"{entry['name']}({','.join(type_of(part) for part in entry['inputs'])})"


def selector_of(entry: Entry) -> bytes:
    """The first four bytes of a call or an error."""
    return bytes(keccak(signature_of(entry).encode())[:4])


class Codec:
    """The ABI of one contract, ready to use."""

    def __init__(self, name: str, abi: Sequence[Entry]) -> None:
        self.name = name
        self.constructor: Entry = next((entry for entry in abi if entry["type"] == "constructor"), {"inputs": []})
        self.functions = [entry for entry in abi if entry["type"] == "function"]
        self.events = {bytes(keccak(signature_of(e).encode())): e for e in abi if e["type"] == "event"}
        self.errors = {selector_of(e): e for e in [*abi, ERROR, PANIC] if e["type"] == "error"}
        self._found: dict[tuple[str, int], tuple[Entry, bytes, list[str]]] = {}

    def function(self, name: str, count: int) -> tuple[Entry, bytes, list[str]]:
        """The function of this name, or full signature, that takes so many arguments; its selector; its types."""
        found = self._found.get((name, count))
        if found is None:
            same = [e for e in self.functions if name in (e["name"], signature_of(e)) and len(e["inputs"]) == count]
            assert len(same) == 1, f"{len(same)} functions {name} of {count} arguments in {self.name}"
            found = same[0], selector_of(same[0]), [type_of(part) for part in same[0]["inputs"]]
            self._found[name, count] = found
        return found

    def encode_call(self, name: str, args: Sequence[Any]) -> bytes:
        """Calldata."""
        _, selector, types = self.function(name, len(args))
        return selector + encode(types, [plain(arg) for arg in args])

    def encode_constructor(self, args: Sequence[Any]) -> bytes:
        """What is appended to the bytecode."""
        return encode([type_of(part) for part in self.constructor["inputs"]], [plain(arg) for arg in args])

    def decode_result(self, name: str, count: int, data: bytes) -> Any:
        """The result: None, one value, or a named tuple."""
        outputs = self.function(name, count)[0]["outputs"]
        values = decode_all(outputs, data)
        return None if not outputs else values[0] if len(outputs) == 1 else values

    def decode_event(self, topics: Sequence[bytes], data: bytes) -> Event:
        """An event of this contract; raises KeyError when it has none like it. Indexed dynamic values stay hashes."""
        entry = self.events[topics[0]]
        loose = iter(decode([type_of(p) for p in entry["inputs"] if not p["indexed"]], data))
        hashes = iter(topics[1:])
        values = []
        for part in entry["inputs"]:
            if not part["indexed"]:
                values.append(shaped(part, next(loose)))
                continue
            topic = next(hashes)
            is_hash = part["type"] in ("string", "bytes") or part["type"].startswith("tuple") or "[" in part["type"]
            values.append(topic if is_hash else shaped(part, decode([part["type"]], topic)[0]))
        return Event(self.name, entry["name"], record(entry["inputs"])(*values))


def error_of(data: bytes, codecs: Sequence[Codec]) -> Reverted:
    """Revert data as the error it is: of the first of these contracts that has it, or ""."""
    for codec in codecs:
        entry = codec.errors.get(data[:4])
        if entry is not None:
            return Reverted(entry["name"], tuple(decode_all(entry["inputs"], data[4:])), data)
    return Reverted("", (), data)


def decode_all(entries: Sequence[Entry], data: bytes) -> Any:
    """ABI-encoded values as a named tuple."""
    values = decode([type_of(part) for part in entries], data)
    return record(entries)(*(shaped(part, value) for part, value in zip(entries, values, strict=True)))


def shaped(entry: Entry, value: Any) -> Any:
    """What eth_abi decoded, with addresses as bytes and structs as named tuples."""
    kind = entry["type"]
    if kind.endswith("]"):
        inner = {**entry, "type": kind[: kind.rindex("[")]}
        return tuple(shaped(inner, item) for item in value)
    if kind == "tuple":
        parts = entry["components"]
        return record(parts)(*(shaped(part, item) for part, item in zip(parts, value, strict=True)))
    return bytes.fromhex(value[2:]) if kind == "address" else value


def plain(value: Any) -> Any:
    """An argument as eth_abi takes it: whatever has an address is that address."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return getattr(value, "address", value)


def record(entries: Sequence[Entry]) -> Any:
    """The named tuple type of these parameters."""
    return _record(tuple(part["name"].strip("_") for part in entries))


@cache
def _record(names: tuple[str, ...]) -> Any:
    return namedtuple("Values", names, rename=True)


@cache
def codec_of(artifact_name: str) -> Codec:
    """The codec of a packaged contract."""
    from nearcast.chain.artifacts import artifact

    return Codec(artifact_name, artifact(artifact_name).abi)


def initcode(artifact: Artifact, args: Sequence[Any]) -> bytes:
    """What a creation runs."""
    return artifact.bytecode + Codec(artifact.name, artifact.abi).encode_constructor(args)
