"""What every system of network coordinates offers, and what a single space of points does underneath.

Goals: from a few measured round-trip times and the coordinates that peers state, say how far any other peer is without
measuring it. Non-goals: the time of one packet (that is measured when it matters), bandwidth, load.

Trust: the round-trip time is always our own measurement. A peer can only misstate its coordinate or answer late, so
what it can do to us is bounded by what one sample may move (guard.py).
"""

from collections.abc import Mapping
from typing import Protocol

from nearcast.overlay.coordinates.coordinate import Coordinate, Point


class Space(Protocol):
    """One space of points, with our own in it."""

    point: Point

    def observe(self, peer: bytes, rtt_s: float, point: Point, now_s: float) -> None:
        """One sound sample: the time to `peer`, 0 < rtt_s <= RTT_S_MAX, and where it says it is, in our dimensions."""

    def is_doubted(self, peer: bytes) -> bool:
        """Whether its samples keep contradicting those of all others."""

    def forget(self, peer: bytes) -> None:
        """The peer is gone; what was kept of it may go."""


class Coordinates(Protocol):
    """Our coordinate, fed by measurements."""

    @property
    def own(self) -> Coordinate:
        """What we tell others."""

    def observe(self, peer: bytes, rtt_s: float, coordinate: Coordinate, now_s: float) -> bool:
        """One measured round trip to `peer` and the coordinate it stated. False: of no use, and ignored."""

    def estimate_s(self, other: Coordinate) -> float:
        """Seconds of a round trip from us to there; infinite where it cannot be told (another kind of space)."""

    def confidence(self, other: Coordinate) -> float:
        """How far the estimate is to be believed, 0 (not at all) to 1."""

    def arrange(self, known: Mapping[bytes, Coordinate]) -> None:
        """Now and then (minutes): what is known of others, from which levels and clusters are made."""

    def wanted(self, known: Mapping[bytes, Coordinate], count: int) -> list[bytes]:
        """Whom to measure next, at most `count` of the known: half anywhere, half near."""

    def forget(self, peer: bytes) -> None:
        """The peer is gone for good."""
