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

    __slots__ = ("_entries", "_per_source_max", "_rng", "size_max")

    def __init__(self, size_max: int, per_source_max: int, rng: "random.Random") -> None:
        self.size_max = size_max
        self._per_source_max = per_source_max
        self._rng = rng
        self._entries: dict[bytes, tuple[PeerAddress, bytes]] = {}

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
        own = [known for known, entry in entries.items() if entry[1] == source_id]
        if len(own) >= self._per_source_max:
            del entries[self._rng.choice(own)]
        elif len(entries) >= self.size_max:
            spare = [known for known in gone_first if known in entries] or list(entries)
            del entries[self._rng.choice(spare)]
        entries[peer.endpoint_id] = (peer, source_id)

    def discard(self, endpoint_id: bytes) -> None:
        """Forget a peer, known or not."""
        self._entries.pop(endpoint_id, None)

    def sample(self, count: int, but: bytes = b"") -> list[PeerAddress]:
        """Up to `count` different ones at random, never `but`."""
        peers = [peer for endpoint_id, (peer, _) in self._entries.items() if endpoint_id != but]
        return self._rng.sample(peers, count) if len(peers) > count else peers
