"""Real ed25519 identities for simulated peers, made from the seed, and signatures that are checked once.

A signed announcement reaches ten thousand peers, and each checks it: 100 us each would be a second per announcement.
The answer for the same key, message and signature is always the same, so it is kept; a forged one is still found out.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.keys import Identity, identity_from_secret, verify
from nearcast.sim.addresses import Addresses

if TYPE_CHECKING:
    from nearcast.transport.base import PeerAddress

VERDICTS_MAX = 1 << 18  # about 60 MB; the oldest go first


@dataclass(frozen=True, slots=True)
class SimulatedIdentity:
    """A key pair and where its peer is."""

    identity: Identity
    address: "PeerAddress"

    def sign(self, message: bytes) -> bytes:
        return self.identity.sign(message)


class Identities:
    """Gives one after the other."""

    def __init__(self, seed: int | str) -> None:
        self._seed = seed
        self._count = 0
        self._addresses = Addresses(f"{seed}/identities")
        self._verdicts: dict[tuple[bytes, bytes, bytes], bool] = {}

    def new(self) -> SimulatedIdentity:
        self._count += 1
        secret = hashlib.blake2b(f"{self._seed}/identity/{self._count}".encode(), digest_size=32).digest()
        identity = identity_from_secret(secret)
        return SimulatedIdentity(identity, self._addresses.new(identity.endpoint_id))

    def verify(self, endpoint_id: bytes, message: bytes, signature: bytes) -> bool:
        """As keys.verify, remembered."""
        question = (endpoint_id, message, signature)
        verdict = self._verdicts.get(question)
        if verdict is None:
            if len(self._verdicts) >= VERDICTS_MAX:
                del self._verdicts[next(iter(self._verdicts))]
            verdict = self._verdicts[question] = verify(endpoint_id, message, signature)
        return verdict
