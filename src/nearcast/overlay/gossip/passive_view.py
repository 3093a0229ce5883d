"""HyParView's passive view: whom to ask when a neighbour is lost. Bounded, and no single peer can fill it.

An entry remembers who told us. One source may have at most `per_source_max` of the places: beyond that a new entry of
its takes the place of an older one of its own, so that a flood of invented peers displaces nothing but itself.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random


class PassiveView:
    """At most `size_max` peers, in the order in which they were heard of."""

    __slots__ = ("_counts", "_entries", "_per_source_max", "_rng", "size_max")

    def __init__(self, size_max: int, per_source_max: int, rng: "random.Random") -> None:
        self.size_max = size_max
        self._per_source_max = per_source_max
        self._rng = rng
        self._entries: dict[bytes, tuple[PeerAddress, bytes]] = {}
        self._counts: dict[bytes, int] = {}  # of the entries that each source has told us of

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, endpoint_id: object) -> bool:
        return endpoint_id in self._entries

    def peers(self) -> list[PeerAddress]:
        """All of them."""
        return [peer for peer, _ in self._entries.values()]

    def add(self, peer: PeerAddress, source_id: bytes, gone_first: Iterable[bytes] = ()) -> None:
        """Remember `peer`, of whom `source_id` told. What is known already stays as it is: a stranger's word does not
        change it. When full, one of `gone_first` makes room (HyParView: those just given away), else a random one."""
        entries = self._entries
        if peer.endpoint_id in entries:
            return
        if self._counts.get(source_id, 0) >= self._per_source_max:
            self.discard(self._rng.choice([known for known, entry in entries.items() if entry[1] == source_id]))
        elif len(entries) >= self.size_max:
            spare = [known for known in gone_first if known in entries] or list(entries)
            self.discard(self._rng.choice(spare))
        entries[peer.endpoint_id] = (peer, source_id)
        self._counts[source_id] = self._counts.get(source_id, 0) + 1

    def discard(self, endpoint_id: bytes) -> None:
        """Forget a peer, known or not."""
        entry = self._entries.pop(endpoint_id, None)
        if entry is not None:
            left = self._counts[entry[1]] - 1
            if left:
                self._counts[entry[1]] = left
            else:
                del self._counts[entry[1]]

    def sample(self, count: int, but: bytes = b"") -> list[PeerAddress]:
        """Up to `count` different ones at random, never `but`."""
        peers = [peer for endpoint_id, (peer, _) in self._entries.items() if endpoint_id != but]
        return self._rng.sample(peers, count) if len(peers) > count else peers
