"""Where a contract keeps its variables: from its artifact (Solidity, "Layout of State Variables in Storage")."""

from functools import cache

from eth_hash.auto import keccak

from nearcast.chain.artifacts import artifact

Field = tuple[str, int, int, int]  # label, slot within the struct, shift, mask


@cache
def slot_of(name: str, label: str, *keys: bytes) -> int:
    """The (first) slot of a variable, or of an entry of a nested mapping."""
    (slot,) = [int(row["slot"]) for row in artifact(name).storage_layout["storage"] if row["label"] == label]
    for key in keys:
        slot = int.from_bytes(keccak(key.rjust(32, b"\0") + slot.to_bytes(32, "big")), "big")
    return slot


@cache
def fields_of(name: str, label: str) -> tuple[Field, ...]:
    """The members of the struct that a (nested) mapping holds."""
    layout = artifact(name).storage_layout
    (kind,) = [row["type"] for row in layout["storage"] if row["label"] == label]
    types = layout["types"]
    while "value" in types[kind]:
        kind = types[kind]["value"]
    return tuple(
        (
            str(member["label"]),
            int(member["slot"]),
            8 * int(member["offset"]),
            (1 << 8 * int(types[member["type"]]["numberOfBytes"])) - 1,
        )
        for member in types[kind]["members"]
    )
