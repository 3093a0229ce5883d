"""When to announce ourselves: seldom enough that everybody's announcements together stay at a fixed rate.

Every announcement says how often its node makes one: its lifetime is a fixed number of periods. One that is made every
P seconds is heard in a window of T seconds with probability T/P, so it stands for P/T nodes (Horvitz and Thompson
1952); their sum, with weights that fade over `memory_s`, is the number of nodes n, and our period is n divided by the
rate that the topic may have. What fades is counted against what could have been heard, so the estimate is right from
the first seconds; a newcomer starts with its neighbour's.

A liar who claims a long period counts for at most four of us, and once per period that it claims. A newcomer announces
itself at once, unless a crowd is coming; then it waits like everybody. Its neighbour says whether one is, from what it
hears or, while it is too new to have heard much, from what it was told. All of it is by phase, a clock that runs faster
when the period shrinks: when the network shrinks, nodes that are overdue do not all speak at the same instant.
"""

import math
from typing import TYPE_CHECKING

from nearcast.overlay.gossip.announcement import Announcement
from nearcast.overlay.gossip.messages import PERIOD_S_MAX
from nearcast.overlay.gossip.settings import AnnouncingSettings

if TYPE_CHECKING:
    import random

CLAIM_MAX = 4.0  # times our own period; guess: honest estimates differ by less than 2
HEARD_MIN = 0.03  # of the memory: before ten seconds have passed an estimate is noise
TICK_PERIODS = 0.25  # how much of a period goes by between two looks, at least tick_s and at most ten of them


class Pace:
    """One topic's announcements, and ours among them."""

    __slots__ = (
        "_at_s",
        "_burst",
        "_count",
        "_heard",
        "_phase",
        "_rng",
        "_settings",
        "_ticked_s",
        "_told_s",
        "has_announced",
        "is_crowded",
        "period_s",
    )

    def __init__(self, settings: AnnouncingSettings, rng: "random.Random", now_s: float) -> None:
        self._settings = settings
        self._rng = rng
        self.period_s = settings.period_s_min
        self.is_crowded = False  # so it was when we came: our first announcement waits for its turn
        self._told_s = now_s  # when we were told so
        self._at_s = now_s
        self._count = 0.0  # fading sum of the nodes that announcements stand for
        self._heard = 0.0  # the same for "one node everywhere": how much of the memory has been filled
        self._burst = 0.0  # fading number of announcements of the last moments
        self._ticked_s = now_s
        self._phase = 0.0
        self.has_announced = False  # or has decided to wait for its turn

    @property
    def burst_per_s(self) -> float:
        """Announcements per second, over the last half minute or so."""
        return self._burst / self._settings.burst_s

    def nodes(self) -> float:
        """About how many nodes announce themselves in this topic."""
        return self._count / max(self._heard, HEARD_MIN)

    def start_from(self, period_s: float, is_crowded: bool, now_s: float) -> None:
        """A neighbour's period is our first estimate."""
        self._fade(now_s)
        self.period_s = min(max(period_s, self._settings.period_s_min), PERIOD_S_MAX)
        self._count, self._heard = self.period_s * self._settings.per_s_max, 1.0
        if is_crowded and not self.is_crowded:
            self._told_s = now_s
        self.is_crowded = is_crowded

    def tells_crowd(self, now_s: float) -> bool:
        """Whether newcomers should wait for their turn: so many come that we hear it, or, while we are too new to have
        heard, so we were told ourselves."""
        is_heard = self.burst_per_s > self._settings.burst_per_s
        return is_heard or (self.is_crowded and now_s - self._told_s < self._settings.burst_s)

    def heard(self, announcement: Announcement, known: Announcement | None, now_s: float) -> None:
        """Somebody's announcement has come; `known` is what it had said before, if anything."""
        self._fade(now_s)
        self._burst += 1.0
        claimed_s = announcement.lifetime_s / self._settings.lifetimes
        is_early = known is not None and announcement.issued_ms - known.issued_ms < 500.0 * claimed_s
        if not announcement.is_first and not is_early:
            bounded_s = min(max(claimed_s, self._settings.period_s_min), CLAIM_MAX * self.period_s)
            self._count += bounded_s / self._settings.memory_s

    def next_look_s(self) -> float:
        """Until `is_due` should be asked again."""
        settings = self._settings
        return min(max(settings.tick_s, self.period_s * TICK_PERIODS), 10 * settings.tick_s)

    def is_due(self, now_s: float) -> bool:
        """Whether to announce ourselves now. Adapts the period; True once per period."""
        self._fade(now_s)
        settings = self._settings
        wanted_s = self.nodes() / settings.per_s_max
        self.period_s = min(max(wanted_s, settings.period_s_min), PERIOD_S_MAX)
        self._phase += (now_s - self._ticked_s) / self.period_s
        self._ticked_s = now_s
        if not self.has_announced:
            self.has_announced = True
            if not self.is_crowded and self.burst_per_s <= settings.burst_per_s:
                self._phase = 0.0
                return True
            self._phase = self._rng.random()
            return False
        if self._phase < 1.0:
            return False
        self._phase = 0.2 * self._rng.random() - 0.1
        return True

    def lifetime_s(self) -> int:
        """Of an announcement made now."""
        return math.ceil(max(self._settings.lifetimes * self.period_s, self._settings.lifetime_s_min))

    def _fade(self, now_s: float) -> None:
        elapsed_s = now_s - self._at_s
        if elapsed_s > 0.0:
            self._at_s = now_s
            kept = math.exp(-elapsed_s / self._settings.memory_s)
            self._count *= kept
            self._heard = 1.0 - (1.0 - self._heard) * kept
            self._burst *= math.exp(-elapsed_s / self._settings.burst_s)
