"""What gossip tells whoever runs it, and the timers that it sets for itself."""

from dataclasses import dataclass

from nearcast.overlay.gossip.announcement import Announcement


@dataclass(frozen=True, slots=True)
class Delivered:
    """Somebody broadcast `body` in `topic`: signed by `origin`, new, and told once."""

    topic: str
    message_id: bytes
    origin: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Announced:
    """A node said where it is and what it offers, later than anything known of it."""

    topic: str
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class NeighbourUp:
    """`endpoint_id` has become a neighbour in this topic."""

    topic: str
    endpoint_id: bytes


@dataclass(frozen=True, slots=True)
class NeighbourDown:
    """It is a neighbour no more: it left, was replaced, or cannot be reached."""

    topic: str
    endpoint_id: bytes


@dataclass(frozen=True, slots=True)
class Isolated:
    """No neighbour and nobody left to ask: `join` with fresh seeds helps. Told again with growing pauses."""

    topic: str


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """A peer broke the protocol in a way that no honest one does. It is shunned for a while."""

    endpoint_id: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class ShuffleDue:
    """Timer: exchange samples of views."""

    topic: str


@dataclass(frozen=True, slots=True)
class RepairDue:
    """Timer: look for neighbours again."""

    topic: str


@dataclass(frozen=True, slots=True)
class AnswerDue:
    """Timer: the `number`th question of this topic should have been answered."""

    topic: str
    endpoint_id: bytes
    number: int


@dataclass(frozen=True, slots=True)
class FlushDue:
    """Timer: say what was gathered to be announced lazily."""

    topic: str


@dataclass(frozen=True, slots=True)
class MissingDue:
    """Timer: what was announced and has not come is asked for."""

    topic: str


@dataclass(frozen=True, slots=True)
class AnnounceDue:
    """Timer: perhaps it is time to announce ourselves."""

    topic: str
