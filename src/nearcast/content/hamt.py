"""Sharded directories: a hash array mapped trie over the names (https://specs.ipfs.tech/unixfs/#dag-pb-hamtdirectory).

A name's hash is cut into groups of log2(fanout) bits; each group picks a slot on one level. A slot holds the entry
itself when it is the only one there, else the shard of the next level. So the shape depends on the set of names alone.

The specification says that the lowest bits are taken first. What reproduces everybody's CIDs is: the first 64-bit half
of murmur3-x64-128, read as a big-endian number and consumed from its highest bit; and a bitfield written as one
big-endian number without leading zero bytes.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

import mmh3

from nearcast.content.cid import Cid, dag_pb_cid
from nearcast.content.dagpb import PbLink, PbNode, encode_node
from nearcast.content.nodes import MURMUR3_X64_64, Entry, prefix_digits
from nearcast.content.unixfs import DataType, UnixFsData, encode_unixfs
from nearcast.errors import UsageError

FANOUT = 256  # unixfs-v1-2025
HASH_BITS = 64


class Shard(NamedTuple):
    """A shard built from entries, with the shards below it: blocks in depth-first order, this one first."""

    cid: Cid
    tsize: int
    nodes: tuple[tuple[Cid, bytes], ...]


def name_hash(name: str) -> int:
    """The 64 bits that place a name, to be consumed from the highest."""
    return mmh3.hash64(name.encode(), signed=False)[0]


def slot_at(hash_bits: int, level: int, fanout: int) -> int | None:
    """The slot that a hash picks on a level (0 is the root); None when its bits are used up."""
    width = fanout.bit_length() - 1
    shift = HASH_BITS - (level + 1) * width
    return None if shift < 0 else hash_bits >> shift & (fanout - 1)


def build_shard(entries: Iterable[Entry], fanout: int = FANOUT) -> Shard:
    """The sharded directory of these entries. Raises UsageError when two names share all 64 bits of their hash."""
    return _build([(name_hash(entry.name), entry) for entry in entries], 0, fanout)


def _build(hashed: list[tuple[int, Entry]], level: int, fanout: int) -> Shard:
    slots: dict[int, list[tuple[int, Entry]]] = {}
    for bits, entry in hashed:
        slot = slot_at(bits, level, fanout)
        if slot is None:
            raise UsageError(
                f"the names {entry.name!r} and {hashed[0][1].name!r} cannot share a directory: equal hashes"
            )
        slots.setdefault(slot, []).append((bits, entry))
    links: list[PbLink] = []
    below: list[tuple[Cid, bytes]] = []
    for slot, group in sorted(slots.items()):
        prefix = f"{slot:0{prefix_digits(fanout)}X}"
        if len(group) == 1:
            entry = group[0][1]
            links.append(PbLink(entry.cid, prefix + entry.name, entry.tsize))
            continue
        shard = _build(group, level + 1, fanout)
        links.append(PbLink(shard.cid, prefix, shard.tsize))
        below += shard.nodes
    block = encode_node(PbNode(tuple(links), _data(slots, fanout)))
    cid = dag_pb_cid(sha256(block).digest())
    return Shard(cid, len(block) + sum(link.tsize or 0 for link in links), ((cid, block), *below))


def _data(slots: Iterable[int], fanout: int) -> bytes:
    bits = sum(1 << slot for slot in slots)
    bitfield = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    return encode_unixfs(UnixFsData(DataType.HAMT_SHARD, bitfield, hash_type=MURMUR3_X64_64, fanout=fanout))
