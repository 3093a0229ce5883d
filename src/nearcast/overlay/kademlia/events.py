"""What the hash table tells whoever runs it. Durations in seconds; `messages` counts the requests sent for it."""

from dataclasses import dataclass

from nearcast.overlay.kademlia.records import ProviderRecord, ValueRecord


@dataclass(frozen=True, slots=True)
class Joined:
    """The neighbourhood of our own id is known: lookups work from now on."""

    contacts: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class ProviderFound:
    """One more provider, while the lookup goes on. `hops`: how far away its record lay; 0: in our own store."""

    lookup_id: int
    record: ProviderRecord
    hops: int


@dataclass(frozen=True, slots=True)
class Found:
    """A lookup of providers is over. `hops`: of the farthest that answered. `is_besieged`: ids crowd around the key."""

    lookup_id: int
    key: bytes
    providers: tuple[ProviderRecord, ...]
    hops: int
    messages: int
    duration_s: float
    is_besieged: bool = False


@dataclass(frozen=True, slots=True)
class ValueFound:
    """A lookup of a value is over: the one with the highest sequence, or None."""

    lookup_id: int
    key: bytes
    record: ValueRecord | None
    hops: int
    messages: int
    duration_s: float
    is_besieged: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of ours was published: `holders` of those asked said that they keep it."""

    lookup_id: int
    key: bytes
    holders: int
    messages: int
    duration_s: float


Event = Joined | ProviderFound | Found | ValueFound | Stored
