"""Who watches whom: the nodes of one region, split into cells when they are too many.

A failure detector's traffic does not grow with its group, but its lists and connections do, and what a list of a
thousand members is good for (knowing within seconds that one of them died) is worth little beyond those that a node
deals with. So a region with more than `size` nodes falls apart by the first bits of the node id: a cell is (region,
prefix). Ids are hashes, so the cells are of about one size, nobody can choose a victim's cell without grinding keys,
and each node finds out by itself which its own is. Nodes whose estimates differ see cells of different depth for a
while: the deeper one is part of the other, and nothing breaks.
"""

from nearcast.overlay.kademlia.keys import KEY_BITS, node_id

BITS_MAX = 16  # 65,536 cells of one region; guess: far over what is needed
SPLIT = 1.5  # a cell splits at 1.5 times its size and joins its twin at a third of it, so that an estimate
JOIN = 1 / 3  # that wavers by 20 % around a bound does not move nodes to and fro


def cell_bits(region_nodes: float, size: int, bits: int) -> int:
    """How many bits of the node id name a cell now, when it was `bits` before."""
    while bits < BITS_MAX and region_nodes / (1 << bits) > size * SPLIT:
        bits += 1
    while bits > 0 and region_nodes / (1 << bits) < size * JOIN:
        bits -= 1
    return bits


class Cell:
    """The cell of one node."""

    __slots__ = ("_own_number", "_size", "bits")

    def __init__(self, own_id: bytes, size: int) -> None:
        self._own_number = node_id(own_id)
        self._size = size
        self.bits = 0

    def resize(self, region_nodes: float) -> None:
        """About so many nodes are in our region now."""
        self.bits = cell_bits(region_nodes, self._size, self.bits)

    def admits(self, endpoint_id: bytes) -> bool:
        """Whether this node, if it is of our region, is of our cell."""
        return self.bits == 0 or (node_id(endpoint_id) ^ self._own_number) >> (KEY_BITS - self.bits) == 0
