"""What a whole node of the overlay tells, beside the events of its protocols, and its timer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entered:
    """This node is a member now: `duration_s` after it was alone."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Alone:
    """This node has lost everybody, and knocks at every door it remembers."""


@dataclass(frozen=True, slots=True)
class MeshTimer:
    """Look how we are doing."""
