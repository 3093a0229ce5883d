"""Made-up endpoint ids and public IPv4 addresses, all different, from the seed.

Networks (/16 and /24) come as in the real world: a few hold many peers. Table limits per prefix are so tested by every
scenario and not by those alone that attack them.
"""

import hashlib
import random

from nearcast.transport.base import PeerAddress

PORT = 4433
PREFIX_SKEW = 1.2  # Pareto exponent of how many peers share a /16: few networks hold many; guess
FIRST_OCTETS = tuple(octet for octet in range(1, 224) if octet not in (10, 100, 127, 169, 172, 192, 198, 203))


class Addresses:
    """Gives one after the other."""

    __slots__ = ("_count", "_rng", "_seed", "_taken")

    def __init__(self, seed: int | str) -> None:
        self._seed = seed
        self._rng = random.Random(f"{seed}/addresses")
        self._count = 0
        self._taken: dict[str, None] = {}

    def new(self, endpoint_id: bytes | None = None) -> PeerAddress:
        """The next one; with a made-up endpoint id unless there is a real one."""
        self._count += 1
        if endpoint_id is None:
            endpoint_id = hashlib.blake2b(f"{self._seed}/{self._count}".encode(), digest_size=32).digest()
        return PeerAddress(endpoint_id, (f"{self._new_host()}:{PORT}",))

    def _new_host(self) -> str:
        rng = self._rng
        while True:
            prefix = int(rng.paretovariate(PREFIX_SKEW) * 40) % (len(FIRST_OCTETS) * 256)
            first, second = FIRST_OCTETS[prefix % len(FIRST_OCTETS)], prefix // len(FIRST_OCTETS)
            host = f"{first}.{second}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
            if host not in self._taken:
                self._taken[host] = None
                return host
