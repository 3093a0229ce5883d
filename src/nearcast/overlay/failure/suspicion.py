"""How long a suspicion stands before it becomes a death (SWIM, section 4.2; Lifeguard, section III.B).

A suspicion starts with a long timeout. Each other member that says on its own account that it got no answer either
shortens it, on a logarithmic scale, down to the short one:

    timeout = max(min, max - (max - min) * ln(c + 1) / ln(k + 1))    c confirmations of the k that are expected

Confirmations are names in rumours and can be invented; they never bring it below the short one, which is what a member
has for contradicting.
"""

from math import log

ROUNDS_TO_SPARE = 2  # beyond the mean number of rounds that a rumour takes: its tail; guess, see spread_s


class Suspicion:
    """One member that is suspected here, and since when."""

    __slots__ = ("_accusers", "_confirmations_expected", "incarnation", "is_leaving", "max_s", "min_s", "since_s")

    def __init__(
        self, incarnation: int, accuser: bytes, since_s: float, min_s: float, max_s: float, confirmations_expected: int
    ) -> None:
        self.incarnation = incarnation
        self.since_s = since_s
        self.min_s = min_s
        self.max_s = max_s
        self.is_leaving = False  # it was said to have left, but not by itself
        self._accusers = [accuser]
        self._confirmations_expected = confirmations_expected

    @property
    def accuser(self) -> bytes:
        return self._accusers[0]

    def confirm(self, accuser: bytes) -> bool:
        """Whether this one's word is new and counts."""
        if accuser in self._accusers or len(self._accusers) > self._confirmations_expected:
            return False
        self._accusers.append(accuser)
        return True

    @property
    def deadline_s(self) -> float:
        """When it becomes a death, by the clock of `since_s`."""
        if self._confirmations_expected < 1:
            return self.since_s + self.min_s
        share = log(len(self._accusers)) / log(self._confirmations_expected + 1)
        return self.since_s + max(self.min_s, self.max_s - (self.max_s - self.min_s) * share)


def spread_s(group_size: int, fanout: int, interval_s: float) -> float:
    """How long a rumour takes to everybody: the group of those who know grows by fanout + 1 in each round of gossip."""
    rounds = log(max(group_size, 2)) / log(fanout + 1) + ROUNDS_TO_SPARE
    return rounds * interval_s
