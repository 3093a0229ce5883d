"""What a relay decides: what it may cost to bring something, how long to look for it, what is still known of the last
look. Pure: `now_s` is an argument.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from nearcast.content.cid import Cid
from nearcast.delivery.trail import HOPS_MAX, Trail
from nearcast.payments.credit import BROUGHT_SHARE, FORGIVEN_SHARE

FOUND_S: Final = 15.0  # so long who was found is asked again without looking; guess: a reader's pauses are shorter
NOT_FOUND_S: Final = 5.0  # and so long what nobody had is not looked for; guess: somebody may be importing it just now
ROOTS_MAX: Final = 4096  # remembered looks; guess: a minute's of a busy node, about 1 KB each
FAN_OUT: Final = 8  # peers asked in one look: with three hops at most 8 + 64 + 512 questions for one, if nobody has it
PATIENCE_S: Final = 0.8  # of a client, client/finding.py; whoever it asks has half of it for asking others
# A look goes on for so long when whoever asked for it has had its answer: who asks again is told what was found. It is
# four of the longest round trips of PlanetLab's matrix: a dial, a question, and once again what was lost.
LOOK_ON_S: Final = 2.0
STALL_S: Final = 1.0  # for each relay that may still follow, and one for who has it
# Of what a channel pays, a sixteenth more may be delivered and forgiven, and a sixteenth may be spent on what it never
# takes. Whoever pays upstream what is left of its own price after both, 7/8, gains nothing from the worst of clients
# and loses nothing to it (payments/credit.py; the fixed parts of both bounds come once per channel).
KEPT_DIVISOR: Final = FORGIVEN_SHARE * BROUGHT_SHARE
KEPT_FACTOR: Final = KEPT_DIVISOR - FORGIVEN_SHARE - BROUGHT_SHARE

T = TypeVar("T")


def upstream_max_price(price_units_per_gib: int, limit_units_per_gib: int, *, at_loss: bool) -> int:
    """The most that a relay pays per GiB for what it hands on at `price_units_per_gib`: so little that no client makes
    it lose.

    `limit_units_per_gib`: what this node pays at most for anything. `at_loss`: also more than it earns.
    """
    if at_loss:
        return limit_units_per_gib
    return min(price_units_per_gib * KEPT_FACTOR // KEPT_DIVISOR, limit_units_per_gib)


def look_s(trail: Trail) -> float:
    """How long a node that was asked by this trail may take to answer: half as long as whoever asked it waits."""
    return float(PATIENCE_S / 2.0 ** (HOPS_MAX + 1 - trail.hops))


def stall_s(trail: Trail) -> float:
    """How long a source that is asked by this trail may be silent; 4 s for a client's own (HOPS_MAX).

    Each relay gives up on the next one before it is given up on itself. Whoever has to bring it from others, and may
    have to open a channel for that, says every now and then that one has to wait (`wait_again_s`).
    """
    return STALL_S * (1 + trail.hops)


def wait_again_s(trail: Trail) -> float:
    """How long whoever was asked by this trail lets the asker wait without a word: half of what it puts up with."""
    return stall_s(trail) / 2


@dataclass(frozen=True, slots=True)
class _Look(Generic[T]):
    found: T | None
    until_s: float


class Looks(Generic[T]):
    """What the last looks found, by root and by their reach: how far they went, and who was left out of them. The
    oldest make room for new ones."""

    def __init__(self) -> None:
        self._looks: OrderedDict[tuple[Cid, Hashable], _Look[T]] = OrderedDict()

    def recall(self, root: Cid, reach: Hashable, now_s: float) -> tuple[bool, T | None]:
        """Whether it is known, and if so what was found: None for nothing."""
        look = self._looks.get((root.v1, reach))
        if look is None or look.until_s <= now_s:
            return False, None
        return True, look.found

    def keep(self, root: Cid, reach: Hashable, found: T | None, now_s: float, *, until_s: float = float("inf")) -> None:
        """This was found just now. `until_s`: when somebody may be asked who was not."""
        key = (root.v1, reach)
        self._looks[key] = _Look(found, min(until_s, now_s + (NOT_FOUND_S if found is None else FOUND_S)))
        self._looks.move_to_end(key)
        while len(self._looks) > ROOTS_MAX:
            self._looks.popitem(last=False)

    def forget(self, root: Cid, reach: Hashable) -> None:
        """It turned out to be wrong."""
        self._looks.pop((root.v1, reach), None)

    def __len__(self) -> int:
        return len(self._looks)
