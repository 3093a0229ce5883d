"""Neighbours that were lost together: perhaps not they failed but the network between us, and it will heal.

After a partition both sides repair themselves and forget each other: two overlays, each complete, for ever. So when
several neighbours vanish within `WINDOW_S` they are remembered, and asked urgently, again and again with longer pauses.
One that answers is a link between the two sides, and shuffles do the rest. A single loss is a crash: not followed up.
"""

from nearcast.transport.base import PeerAddress

WINDOW_S = 120.0  # guess: an idle link is used, and found dead, within two shuffles
TOGETHER_MIN = 2  # of five neighbours
LOST_MAX = 8  # remembered at a time
PAUSE_S = 60.0  # before the first try; doubles
TRIES_MAX = 8  # the last after four hours


class Lost:
    """At most LOST_MAX of them."""

    __slots__ = ("_lately", "_waiting")

    def __init__(self) -> None:
        self._lately: dict[bytes, tuple[PeerAddress, float]] = {}
        self._waiting: dict[bytes, tuple[PeerAddress, float, int]] = {}  # when to ask it, and how often it was asked

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, peer: PeerAddress, now_s: float) -> None:
        """A neighbour cannot be reached any more."""
        self._lately = {known: lost for known, lost in self._lately.items() if lost[1] > now_s - WINDOW_S}
        self._lately[peer.endpoint_id] = (peer, now_s)
        if len(self._lately) < TOGETHER_MIN:
            return
        for lost, _ in self._lately.values():
            if lost.endpoint_id not in self._waiting and len(self._waiting) < LOST_MAX:
                self._waiting[lost.endpoint_id] = (lost, now_s + PAUSE_S, 0)
        self._lately.clear()

    def found(self, endpoint_id: bytes) -> None:
        """It is our neighbour again."""
        self._waiting.pop(endpoint_id, None)

    def next(self, now_s: float) -> PeerAddress | None:
        """One that it is time to ask, if any."""
        for endpoint_id, (peer, due_s, tries) in self._waiting.items():
            if due_s <= now_s:
                if tries + 1 >= TRIES_MAX:
                    del self._waiting[endpoint_id]
                else:
                    self._waiting[endpoint_id] = (peer, now_s + PAUSE_S * 2.0**tries, tries + 1)
                return peer
        return None
