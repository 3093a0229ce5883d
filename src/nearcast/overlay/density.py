"""How many nodes there are, from how close our closest ones are.

Node ids are hashes, so XOR distances from any of them are uniform over 2^256. The k-th closest of n others lies at
about k / (n + 1) of the whole space; turned around, its distance tells n. (k - 1) instead of k makes it unbiased, with
a relative deviation of 1/sqrt(k - 2): 24 % for the 20 of a sibling list. Good enough to set periods by; nothing else is
decided by it. A hostile node can come too close by grinding keys, which would make all of us announce less often; one
such node of twenty must not change much, so the median of three guesses, from different ranks, is taken.

Source: order statistics of the uniform distribution (the k-th smallest of n has the mean k / (n + 1)).
"""

from collections.abc import Sequence

SPACE = 1 << 256  # how many node ids there are


def nodes_estimated(distances: Sequence[int], *, is_all: bool = False) -> float:
    """The number of nodes, ourselves included.

    `distances`: XOR distances from our node id to the closest nodes that we know, ascending; `is_all`: they are all
    that we know of, so there are no others to guess at.
    """
    count = len(distances)
    if is_all or count < 4:
        return float(count + 1)
    ranks = (count, count - count // 4, count // 2)  # three that do not hang on one node alone
    guesses = sorted(_from_rank(distances, max(rank, 2)) for rank in ranks)
    return max(guesses[1], float(count + 1))


def _from_rank(distances: Sequence[int], rank: int) -> float:
    return (rank - 1) * SPACE / max(distances[rank - 1], 1) + 1
