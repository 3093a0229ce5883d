"""Who watches whom: the nodes of one region, split into cells when they are too many.

A failure detector's traffic does not grow with its group, but its lists do, and what a list of a thousand members is
good for (knowing within seconds that one of them died) is worth little beyond those that a node deals with. So a region
with more than `size` nodes falls apart by the first bits of the node id: a cell is (region, prefix). Ids are hashes, so
the cells are of about one size, nobody can choose a victim's cell without grinding keys, and each node finds out by
itself which its own is. Neighbours whose estimates differ see cells of different depth for a while: the deeper one is
part of the other, and nothing breaks.
"""

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


def is_same_cell(node_id: bytes, other_id: bytes, bits: int) -> bool:
    """Whether two 32-byte node ids agree in their first `bits` bits."""
    shift = BITS_MAX - bits
    return int.from_bytes(node_id[:2], "big") >> shift == int.from_bytes(other_id[:2], "big") >> shift
