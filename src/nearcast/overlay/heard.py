"""Whom this node has heard of itself lately: where each is, when it last spoke, how far away it is. Bounded.

A round-trip time is smoothed as TCP does it (RFC 6298, section 2: the new sample weighs an eighth). When full, one that
was silent for longest makes room.
"""

from nearcast.transport.base import PeerAddress

SAMPLE_WEIGHT = 1 / 8  # RFC 6298, alpha
NEVER_S = float("-inf")
STALE_S = 60.0  # entries are put in order again at most this often, so that a busy peer costs no more than a look-up


class Heard:
    """One peer. `placed_s`: when it was last put at the end of the order; `sampled_s`: when its distance counted."""

    __slots__ = ("address", "heard_s", "placed_s", "rtt_s", "sampled_s")

    def __init__(self, address: PeerAddress, now_s: float) -> None:
        self.address = address
        self.heard_s = now_s
        self.placed_s = now_s
        self.rtt_s: float | None = None
        self.sampled_s = NEVER_S


class HeardPeers:
    """At most `peers_max` of them, about 250 bytes each."""

    __slots__ = ("_peers", "_peers_max")

    def __init__(self, peers_max: int) -> None:
        self._peers_max = peers_max
        self._peers: dict[bytes, Heard] = {}  # the one placed longest ago first

    def __len__(self) -> int:
        return len(self._peers)

    def heard(self, sender: PeerAddress, now_s: float) -> Heard:
        """It spoke to us. On the hot path: once per message."""
        peer = self._peers.get(sender.endpoint_id)
        if peer is None:
            if len(self._peers) >= self._peers_max:
                del self._peers[next(iter(self._peers))]
            peer = self._peers[sender.endpoint_id] = Heard(sender, now_s)
            return peer
        peer.heard_s = now_s
        if now_s - peer.placed_s > STALE_S:
            del self._peers[sender.endpoint_id]
            self._peers[sender.endpoint_id] = peer
            peer.placed_s = now_s
            if sender.addresses:
                peer.address = sender
        return peer

    def measured(self, sender: PeerAddress, rtt_s: float, now_s: float) -> Heard:
        """One more sample of the round-trip time to it."""
        peer = self.heard(sender, now_s)
        peer.rtt_s = rtt_s if peer.rtt_s is None else peer.rtt_s + SAMPLE_WEIGHT * (rtt_s - peer.rtt_s)
        return peer

    def get(self, endpoint_id: bytes) -> Heard | None:
        return self._peers.get(endpoint_id)

    def all(self) -> list[Heard]:
        """Everybody, the one placed longest ago first."""
        return list(self._peers.values())
