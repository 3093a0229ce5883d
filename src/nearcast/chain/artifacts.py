"""The compiled contracts that are packaged: `artifacts/<Name>.json`, written by `contracts/build.mjs`.

An artifact is what the compiler said about one contract, with nothing of the machine that compiled it: the ABI, the
code that deploys it, the code that stands on the chain afterwards, and where its variables lie.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from nearcast.errors import UsageError

Abi = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract. `bytecode` is empty for an interface; `source_hash` names the sources it came from."""

    name: str
    abi: Abi
    bytecode: bytes
    deployed_bytecode: bytes
    storage_layout: Mapping[str, Any]
    source_hash: str


@cache
def artifact(name: str) -> Artifact:
    """The packaged artifact of one contract. Raises UsageError when no contract has that name."""
    if name not in artifact_names():
        raise UsageError(f"no contract is called {name!r}", fix=f"contracts: {', '.join(artifact_names())}")
    return read_artifact((files("nearcast.chain") / "artifacts" / f"{name}.json").read_bytes())


@cache
def artifact_names() -> tuple[str, ...]:
    """The names of all packaged contracts, sorted."""
    folder = files("nearcast.chain") / "artifacts"
    names = [entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")]
    return tuple(sorted(names))


def read_artifact(text: bytes) -> Artifact:
    """An artifact from its JSON. Raises UsageError when that is not what the compiler's script writes."""
    try:
        fields = json.loads(text)
        return Artifact(
            name=fields["contractName"],
            abi=tuple(fields["abi"]),
            bytecode=_code(fields["bytecode"]),
            deployed_bytecode=_code(fields["deployedBytecode"]),
            storage_layout=fields.get("storageLayout") or {},
            source_hash=fields.get("sourceHash", ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"this is no contract artifact: {error!r}", fix="run make contracts") from error


def _code(text: str) -> bytes:
    """Hexadecimal code; a library placeholder in it (`__$…$__`) is not hexadecimal and raises ValueError."""
    return bytes.fromhex(text.removeprefix("0x"))
