"""Who cannot hear whom: sides of a partition, and the directions that are cut.

The kinds are those of TigerBeetle's simulator: two sides of a random size, one peer alone, and either of them cut in
one direction only, where A hears B but B does not hear A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from nearcast.sim.peer import Peer

SPLIT, ISOLATE, ONE_WAY = "split", "isolate", "one-way"
KINDS = (SPLIT, ISOLATE, ONE_WAY)


@dataclass(frozen=True, slots=True)
class Partition:
    """Cuts what side 1 sends to side 0, and, unless it is one-way, what side 0 sends to side 1."""

    is_one_way: bool = False

    def blocks(self, sender: "Peer", target: "Peer") -> bool:
        if sender.side == target.side:
            return False
        return sender.side == 1 or not self.is_one_way


def cut(kind: str, peers: Sequence["Peer"], rng: "random.Random") -> Partition:
    """Give every peer its side: how many stand on the other one is uniform, but for ISOLATE, where it is one.

    Peers that come later stand on side 0. Raises ValueError for a kind that is not in KINDS.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    for peer in peers:
        peer.side = 0
    count = 1 if kind == ISOLATE else rng.randint(1, max(len(peers) - 1, 1))
    for peer in rng.sample(list(peers), min(count, len(peers))):
        peer.side = 1
    return Partition(is_one_way=kind == ONE_WAY)
