"""Whom to ask next to be a neighbour: whoever a parting one named, else a random peer of the passive view."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nearcast.overlay.gossip.passive_view import PassiveView
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random

HINTS_MAX = 4  # of one parting neighbour; it names one


class Candidates:
    """Chooses from the passive view, and remembers who said no."""

    __slots__ = ("_hints", "_passive", "_refused_s", "_rng", "_until_s")

    def __init__(self, passive: PassiveView, refused_s: float, rng: "random.Random") -> None:
        self._passive = passive
        self._refused_s = refused_s
        self._rng = rng
        self._hints: list[PeerAddress] = []
        self._until_s: dict[bytes, float] = {}

    def hint(self, peers: Iterable[PeerAddress]) -> None:
        """These probably have a place to spare: ask them first."""
        self._hints = list(peers)[:HINTS_MAX]

    def refuse(self, endpoint_id: bytes, now_s: float) -> None:
        """It said no: do not ask it again soon."""
        self._until_s.pop(endpoint_id, None)
        if len(self._until_s) >= 2 * self._passive.size_max:
            del self._until_s[next(iter(self._until_s))]
        self._until_s[endpoint_id] = now_s + self._refused_s

    def forget_refusals(self) -> None:
        """Whoever said no may be asked again: there is nobody else."""
        self._until_s.clear()

    def next(self, may_ask: Callable[[bytes], bool], now_s: float) -> PeerAddress | None:
        """A peer that `may_ask` allows and that has not said no lately."""
        while self._hints:
            hint = self._hints.pop(0)
            if may_ask(hint.endpoint_id):
                return hint
        until_s = self._until_s
        peers = [peer for peer in self._passive.peers() if until_s.get(peer.endpoint_id, now_s) <= now_s]
        allowed = [peer for peer in peers if may_ask(peer.endpoint_id)]
        return self._rng.choice(allowed) if allowed else None
