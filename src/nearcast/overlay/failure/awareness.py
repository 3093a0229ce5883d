"""Local health: how much a member doubts itself before it doubts others (Lifeguard, section III.A).

Whoever is slow misses answers that were sent in time. So each sign that it may be us (a probe without an answer or a
missing NACK, a suspicion of ourselves) raises a score, each answered probe lowers it, and timeouts and the interval
between probes are multiplied by score + 1.
"""

SCORE_MAX = 8  # Lifeguard, section IV.A: S = 8


class LocalHealth:
    """A score from 0 (healthy) to SCORE_MAX. Switched off, it stays 0."""

    __slots__ = ("_score_max", "score")

    def __init__(self, *, is_on: bool) -> None:
        self.score = 0
        self._score_max = SCORE_MAX if is_on else 0

    @property
    def factor(self) -> int:
        """What timeouts and intervals are multiplied by."""
        return self.score + 1

    def change(self, by: int) -> None:
        self.score = min(max(self.score + by, 0), self._score_max)
