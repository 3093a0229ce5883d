"""Where this node stands among the others: coordinates fed by every round trip that anybody measures.

Three sources: the failure detector's probes (near), the transport's own estimates for connections that are open anyway,
and now and then a probe of somebody far away (measuring.py). The transport's word beats ours: a message that waited for
a handshake took longer than its way.

Bounded: of all announced coordinates those with the smallest hashes are looked at, so that everybody looks at the same.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from nearcast.errors import RemoteError
from nearcast.overlay.coordinates import (
    Coordinate,
    confidence,
    encode_coordinate,
    estimate_s,
    make_coordinates,
    parse_coordinate,
)
from nearcast.overlay.coordinates.landmarks import rank
from nearcast.overlay.gossip.announcement import Announcement
from nearcast.overlay.settings import MeshSettings
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

WANTED_MAX = 32  # whom to measure, of the last election; the neighbours of the figures in bench/README.md
CACHED = 1 << 14  # coordinates and ranks that are asked for again and again

_ranked = lru_cache(maxsize=CACHED)(rank)


@lru_cache(maxsize=CACHED)
def read_coordinate(encoded: bytes | None) -> Coordinate | None:
    """What a peer stated; None where it stated none, or nonsense: a coordinate is a hint, not worth a quarrel."""
    if not encoded:
        return None
    try:
        return parse_coordinate(encoded)
    except RemoteError:
        return None


class Locating:
    """Our coordinate and what it is good for."""

    __slots__ = ("_encoded", "_encoded_of", "_rng", "_settings", "_wanted", "coordinates", "samples")

    def __init__(self, settings: MeshSettings, rng: "random.Random") -> None:
        self._settings = settings
        self._rng = rng
        self.coordinates = make_coordinates(settings.coordinates, rng)
        self.samples = 0
        self._encoded_of = self.coordinates.own
        self._encoded = encode_coordinate(self._encoded_of)
        self._wanted: deque[PeerAddress] = deque(maxlen=WANTED_MAX)

    def sample(self, peer: bytes, rtt_s: float, stated: bytes | None, now_s: float) -> None:
        """One measured round trip, and the coordinate that the peer states."""
        coordinate = read_coordinate(stated)
        if coordinate is not None and self.coordinates.observe(peer, rtt_s, coordinate, now_s):
            self.samples += 1

    @property
    def is_settled(self) -> bool:
        """Whether a single sample changes little any more."""
        return self.samples >= self._settings.settled_samples

    def encoded(self) -> bytes:
        """Our coordinate for the wire."""
        own = self.coordinates.own
        if own != self._encoded_of:
            self._encoded, self._encoded_of = encode_coordinate(own), own
        return self._encoded

    def estimate_s(self, stated: bytes | None) -> float | None:
        """Round-trip seconds to whoever states this coordinate; None: cannot be told."""
        other = read_coordinate(stated)
        if other is None or confidence(self.coordinates.own, other) == 0.0:
            return None
        seconds = estimate_s(self.coordinates.own, other)
        return seconds if seconds < math.inf else None

    def arrange(self, announcements: Iterable[Announcement]) -> None:
        """Levels, clusters and whom to measure next, from what is announced."""
        electorate = heapq.nsmallest(
            self._settings.electorate_max,
            (announcement for announcement in announcements if announcement.facts.coordinate),
            key=lambda announcement: _ranked(announcement.contact.endpoint_id),
        )
        known: dict[bytes, Coordinate] = {}
        contacts: dict[bytes, PeerAddress] = {}
        for announcement in electorate:
            coordinate = read_coordinate(announcement.facts.coordinate)
            if coordinate is not None:
                known[announcement.contact.endpoint_id] = coordinate
                contacts[announcement.contact.endpoint_id] = announcement.contact
        if known:
            self.coordinates.arrange(known)
            wanted = self.coordinates.wanted(known, WANTED_MAX)
            self._rng.shuffle(wanted)
            self._wanted = deque((contacts[peer] for peer in wanted), maxlen=WANTED_MAX)

    def next_wanted(self) -> PeerAddress | None:
        """Whom to measure now, if anybody; each in turn."""
        if not self._wanted:
            return None
        self._wanted.rotate(-1)
        return self._wanted[-1]

    def forget(self, peer: bytes) -> None:
        """It is gone."""
        self.coordinates.forget(peer)
