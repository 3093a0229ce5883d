"""What members say of each other, and the queue from which it is said again and again.

A rumour is about one member, at one of its incarnations: a number that only the member itself makes larger, to
contradict what is said of it. A newer rumour about a member takes the place of the older one in the queue, so the queue
holds at most one per member. Each is told `limit` times (SWIM, section 4.1: a multiple of log n times reaches everybody
with high probability), those told least often first and among them the newest, as memberlist does.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from nearcast.transport.base import PeerAddress

INCARNATION_MAX = 1 << 53  # what every reader of CBOR takes for a whole number; no honest member comes near
INCARNATION_STEP_MAX = 1 << 16  # a larger jump by hearsay is a lie; guess: a refutation a second for 18 hours unheard
LEAP_MAX = INCARNATION_STEP_MAX // 8  # of a suspicion, and of a contradiction; guess: hearsay may miss several of those
RUMOURS_QUEUED_MAX = 2048  # guess: more than change in the time that one is told; the most told is dropped
_NAMED_BYTES = 79  # of a suspicion or death, encoded: two ids of 34, a number of at most 9, list and kind 2


@dataclass(frozen=True, slots=True)
class Alive:
    """This member is there, and reachable so. Also the record that a group keeps of a member: shared, never changed."""

    contact: PeerAddress
    incarnation: int
    fingerprint: int = field(init=False, compare=False, repr=False)  # 64 bits of a hash of id and incarnation
    size_bytes: int = field(init=False, compare=False, repr=False)  # encoded, at most

    def __post_init__(self) -> None:
        contact = self.contact
        digest = sha256(contact.endpoint_id + self.incarnation.to_bytes(8, "big")).digest()
        texts_bytes = sum(len(text) + 2 for text in contact.addresses) + len(contact.relay_url or "") + 3
        object.__setattr__(self, "fingerprint", int.from_bytes(digest[:8], "big"))
        object.__setattr__(self, "size_bytes", 48 + texts_bytes)  # 48: the id 34, the number 9, lists and kind 5

    @property
    def endpoint_id(self) -> bytes:
        return self.contact.endpoint_id


@dataclass(frozen=True, slots=True)
class Suspect:
    """`accuser` got no answer from this member, neither directly nor through others."""

    endpoint_id: bytes
    incarnation: int
    accuser: bytes

    @property
    def size_bytes(self) -> int:
        return _NAMED_BYTES


@dataclass(frozen=True, slots=True)
class Dead:
    """The suspicion that `accuser` had was not contradicted in time."""

    endpoint_id: bytes
    incarnation: int
    accuser: bytes

    @property
    def size_bytes(self) -> int:
        return _NAMED_BYTES


@dataclass(frozen=True, slots=True)
class Left:
    """The member said goodbye."""

    endpoint_id: bytes
    incarnation: int

    @property
    def size_bytes(self) -> int:
        return _NAMED_BYTES


Rumour: TypeAlias = Alive | Suspect | Dead | Left


class RumourQueue:
    """Rumours to be told, each a bounded number of times. `tiers[k]` holds those told k times."""

    __slots__ = ("_tier_of", "_tiers")

    def __init__(self) -> None:
        self._tier_of: dict[bytes, int] = {}
        self._tiers: list[dict[bytes, Rumour]] = [{}]

    def __len__(self) -> int:
        return len(self._tier_of)

    def put(self, rumour: Rumour) -> None:
        """To be told from now on, instead of anything older about the same member."""
        subject = rumour.endpoint_id
        self.forget(subject)
        if len(self._tier_of) >= RUMOURS_QUEUED_MAX:
            self._drop_most_told()
        self._tier_of[subject] = 0
        self._tiers[0][subject] = rumour

    def forget(self, subject: bytes) -> None:
        tier = self._tier_of.pop(subject, None)
        if tier is not None:
            del self._tiers[tier][subject]

    def take(self, size_bytes: int, limit: int) -> tuple[Rumour, ...]:
        """Rumours of together at most `size_bytes`, for one message; what was told `limit` times is gone then."""
        if not self._tier_of:
            return ()
        taken: list[tuple[int, Rumour]] = []
        for tier, rumours in enumerate(self._tiers):
            for rumour in reversed(rumours.values()):
                if rumour.size_bytes <= size_bytes:
                    size_bytes -= rumour.size_bytes
                    taken.append((tier, rumour))
                elif size_bytes < _NAMED_BYTES:
                    break
            if size_bytes < _NAMED_BYTES:
                break
        for tier, rumour in taken:
            self._promote(rumour, tier, limit)
        return tuple(rumour for _, rumour in taken)

    def _promote(self, rumour: Rumour, tier: int, limit: int) -> None:
        subject = rumour.endpoint_id
        del self._tiers[tier][subject]
        if tier + 1 >= limit:
            del self._tier_of[subject]
            return
        if tier + 1 == len(self._tiers):
            self._tiers.append({})
        self._tiers[tier + 1][subject] = rumour
        self._tier_of[subject] = tier + 1

    def _drop_most_told(self) -> None:
        for rumours in reversed(self._tiers):
            for subject in rumours:
                self.forget(subject)
                return
