"""How long a heartbeat may be missed before its member counts as failed: van Renesse, Minsky and Hayden's analysis.

"A Gossip-Style Failure Detection Service" (Middleware 1998), section 3. Of n members f have failed; in each round one
random member gossips to another one, and its message arrives with probability p. When k members know of a heartbeat,
one more comes to know it with

    P_inc(k) = (k / n) * (n - f - k) / (n - 1) * p

so the distribution of k follows round by round from k = 1, and the probability that after r rounds somebody living does
not know is bounded by P_mistake(r) = (n - f) * (1 - P(k_r = n - f)). The least r with P_mistake(r) below what is wanted
gives T_fail = r / n intervals, because n rounds take place in one interval.
"""

from functools import lru_cache
from math import log2

PUBLISHED_BYTES_PER_S = 250.0  # a member's bandwidth in the paper's figure 2
PUBLISHED_ENTRY_BYTES = 8.0
ANALYSED_MAX = 128  # larger groups take seconds; checked at 256 and 400: within half a percent
ROUNDS_PER_MEMBER_MAX = 1000  # beyond this no probability is reached: nobody hears; guess


def fail_after_intervals(members: int, *, mistake: float = 1e-9, failed: int = 1, arrival: float = 1.0) -> float:
    """T_fail in gossip intervals. Raises ValueError when no time is long enough, or for values that make no sense.

    `mistake`: wanted probability that a heartbeat is missed somewhere; `failed`: members that are down, one by default,
    the one to be found; `arrival`: the chance that a message arrives. Takes about members squared steps per interval.
    """
    living = members - failed
    if members < 2 or living < 1 or not 0 < mistake < 1 or not 0 < arrival <= 1:
        raise ValueError("at least two members, one of them alive, and probabilities between 0 and 1")
    grows = [known / members * (living - known) / (members - 1) * arrival for known in range(living + 1)]
    chances = [0.0] * (living + 1)  # chances[k]: that k members know
    chances[1] = 1.0
    for round_number in range(1, ROUNDS_PER_MEMBER_MAX * members):
        for known in range(min(living, round_number + 1), 0, -1):
            chances[known] = grows[known - 1] * chances[known - 1] + (1 - grows[known]) * chances[known]
        # Summed from the others: 1 - P(k = n - f) would be lost in rounding below 1e-16.
        if living * sum(chances[1:living]) < mistake:
            return round_number / members
    raise ValueError(f"no heartbeat is known to all within {ROUNDS_PER_MEMBER_MAX} intervals")


@lru_cache(maxsize=64)
def fail_after_intervals_about(members: int, mistake: float, arrival: float) -> float:
    """The same for any size, at little cost: sizes are rounded up, large ones continued from smaller ones."""
    if members < 2:
        return fail_after_intervals(3, mistake=mistake, arrival=arrival)
    if members <= ANALYSED_MAX:
        step = max(1, members >> 3)
        rounded = max(3, -(-members // step) * step)
        return fail_after_intervals(rounded, mistake=mistake, arrival=arrival)
    half = fail_after_intervals_about(ANALYSED_MAX // 2, mistake, arrival)
    whole = fail_after_intervals_about(ANALYSED_MAX, mistake, arrival)
    return whole + (whole - half) * log2(members / ANALYSED_MAX)  # it grows by a constant per doubling: log n


def interval_s(members: int, bytes_per_s: float, entry_bytes: float) -> float:
    """At a fixed bandwidth a list that is longer is sent less often."""
    return members * entry_bytes / bytes_per_s
