"""The space of keys: 256-bit numbers, their distance (xor) and where they come from.

A node's id is the sha-256 of its endpoint id, which the transport proves; so nobody chooses an id without making keys.
A root's key is its sha2-256 digest. Numbers, not bytes: a distance is one operation.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

KEY_BITS = 256
KEY_BYTES = 32
SPACE = 1 << KEY_BITS
_CACHED_IDS = 1 << 16  # ids of contacts seen lately: one hash for each, however often it is named

_VALUE_TAG = b"nearcast value key 1\n"


@lru_cache(maxsize=_CACHED_IDS)
def node_id(endpoint_id: bytes) -> int:
    """The place of a node: sha-256 of its 32-byte endpoint id."""
    return int.from_bytes(hashlib.sha256(endpoint_id).digest(), "big")


def key_number(key: bytes) -> int:
    """The place of a 32-byte key."""
    return int.from_bytes(key, "big")


def key_bytes(number: int) -> bytes:
    """The 32 bytes of a place."""
    return number.to_bytes(KEY_BYTES, "big")


def value_key(public_key: bytes, name: bytes) -> bytes:
    """Where the signed value called `name` of a 32-byte `public_key` lies: both decide, so nobody can squat on it."""
    return hashlib.sha256(_VALUE_TAG + public_key + name).digest()


def random_at_distance(center: int, bucket: int, rng: random.Random) -> int:
    """A random place whose distance from `center` has `bucket` as its highest bit: 2^bucket to 2^(bucket+1) - 1."""
    return center ^ ((1 << bucket) | rng.getrandbits(bucket) if bucket else 1)
