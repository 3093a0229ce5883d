"""What a failure detector tells whoever runs it: about members, and how far away they are."""

from dataclasses import dataclass
from typing import TypeAlias

from nearcast.transport.base import PeerAddress


@dataclass(frozen=True, slots=True)
class MemberAlive:
    """New in the group, back in it, or no longer suspected."""

    peer: PeerAddress
    incarnation: int


@dataclass(frozen=True, slots=True)
class MemberSuspect:
    """Did not answer somebody. It has time to contradict; until then it is a member."""

    endpoint_id: bytes
    incarnation: int
    accuser: bytes


@dataclass(frozen=True, slots=True)
class MemberDead:
    """No longer in the group. It can come back with a higher incarnation."""

    endpoint_id: bytes
    incarnation: int
    accuser: bytes


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """No longer in the group, by its own will."""

    endpoint_id: bytes
    incarnation: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A probe was answered: the round trip, and the coordinate that the peer sent along (opaque here)."""

    endpoint_id: bytes
    rtt_s: float
    coordinate: bytes | None


FailureEvent: TypeAlias = MemberAlive | MemberSuspect | MemberDead | MemberLeft | Measured
