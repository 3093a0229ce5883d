"""Which source is asked for which leaves next: a state machine without a clock, a socket or a die.

The leaves of a download are numbered 0, 1, … in the order in which they are wanted. Every leaf is in one of three
states: pending, assigned (to exactly one source), verified. Sources join, take a run of pending leaves, verify them
one by one, report those they lack, and leave; what a leaving source had not verified is pending again. In the endgame,
when nothing is pending, an idle source may take over a run that is late: only then can one leaf be with two sources,
and the later copy is a counted duplicate (BitTorrent's endgame, limited to one helper per run; a helper that is late
itself may be helped in turn).

Invariants, checked by the property test: no leaf is lost; none is assigned twice outside the endgame; none is reported
verified twice; lowest numbers go first; it ends as long as one source that has the leaves goes on.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nearcast.delivery.select import Pace, is_silent, is_slow

RUN_LEAVES_MAX = 256  # small files in one request: amortises a round trip, and stays far below SPANS_MAX
LACKING_IN_A_ROW_MAX = 4096  # a source that lacks so many leaves one after the other is not asked again; guess


@dataclass(slots=True, eq=False)
class Run:
    """Leaves first..first+count (not included) asked of `source` in one request."""

    source: str
    first: int
    count: int
    helps: "Run | None"  # the late run that this one hedges
    started_s: float
    progress_s: float
    helped: bool = False
    arrived_bytes: int = 0

    @property
    def end(self) -> int:
        return self.first + self.count

    def sources(self) -> set[str]:
        """Everybody who has been asked for these leaves and is not done: the owner, its helper, the helper's helper."""
        run: Run | None = self
        names = set()
        while run is not None:
            names.add(run.source)
            run = run.helps
        return names


@dataclass(slots=True)
class _Member:
    pace: Pace
    lacks: set[int] = field(default_factory=set)
    lacking_in_a_row: int = 0


class Plan:
    """The state of one download's leaves. `size_of(leaf)` gives bytes, if only an estimate."""

    def __init__(
        self, leaves: int, size_of: Callable[[int], int], *, run_end: Callable[[int], int] | None = None
    ) -> None:
        """`run_end(leaf)` may bound a run: the first leaf that may not be asked together with `leaf`."""
        self._leaves = leaves
        self._size_of = size_of
        self._run_end = run_end or (lambda _leaf: leaves)
        self._verified = bytearray(leaves)
        self._verified_count = 0
        self._pending: list[tuple[int, int]] = [(0, leaves)] if leaves else []  # heap of disjoint (first, end)
        self._members: dict[str, _Member] = {}
        self._runs: list[Run] = []

    @property
    def is_done(self) -> bool:
        return self._verified_count == self._leaves

    @property
    def remaining(self) -> int:
        """Leaves not verified yet."""
        return self._leaves - self._verified_count

    def join(self, source: str, pace: Pace | None = None) -> None:
        """A source (again) takes part; `pace` is what is known of it from before, and learns from this download."""
        self._members.setdefault(source, _Member(pace or Pace()))

    def leave(self, source: str) -> None:
        """A source is gone; what it still owed is pending again."""
        self._members.pop(source, None)
        for run in [run for run in self._runs if run.source == source]:
            self.close(run)

    def next(self, source: str, now_s: float) -> Run | None:
        """What to ask `source` for now; None when there is nothing for it at the moment."""
        member = self._members.get(source)
        if member is None:
            return None
        run = self._from_pending(source, member, now_s) or self._from_late(source, member, now_s)
        if run is not None:
            self._runs.append(run)
        return run

    def is_verified(self, leaf: int) -> bool:
        return bool(self._verified[leaf])

    def verified(self, run: Run, leaf: int, size_bytes: int, now_s: float) -> bool:
        """`leaf` of `run` has arrived and hashes to its name. False when it was there already: a duplicate."""
        run.progress_s = now_s
        run.arrived_bytes += size_bytes
        member = self._members.get(run.source)
        if member is not None:
            member.lacking_in_a_row = 0
        if self._verified[leaf]:
            return False
        self._verified[leaf] = 1
        self._verified_count += 1
        return True

    def lacks(self, run: Run, leaf: int, now_s: float) -> bool:
        """The source of `run` does not have `leaf`. False when it has lacked so many that it is of no use."""
        run.progress_s = now_s
        member = self._members.get(run.source)
        if member is None:
            return False
        member.lacks.add(leaf)
        member.lacking_in_a_row += 1
        return member.lacking_in_a_row < LACKING_IN_A_ROW_MAX

    def arrived_early(self, leaves: Iterable[int]) -> None:
        """Leaves that are here before anything was asked for."""
        assert not self._runs
        for leaf in leaves:
            self._verified_count += not self._verified[leaf]
            self._verified[leaf] = 1
        self._pending = self._unverified(0, self._leaves)

    def is_wanted(self, run: Run) -> bool:
        """Whether any leaf of `run` is still worth receiving."""
        return self._verified.find(0, run.first, run.end) >= 0

    def close(self, run: Run, now_s: float | None = None) -> None:
        """The request is over, well (with `now_s`, which measures the source) or badly; what it owed is pending."""
        if run not in self._runs:
            return
        self._runs.remove(run)
        member = self._members.get(run.source)
        if member is not None and now_s is not None:
            member.pace.measured(run.arrived_bytes, now_s - run.started_s)
        if run.helps is not None:
            run.helps.helped = False
        for helper in [other for other in self._runs if other.helps is run]:
            helper.helps = None  # from now on it is the one that owes these leaves, and may be helped itself
        for first, end in self._unverified(run.first, run.end):
            self._release(first, end)

    def is_stuck(self) -> bool:
        """Leaves are pending, nothing is under way, and no source that takes part can give them."""
        if self.is_done or self._runs:
            return False
        return all(self._first_free(member) is None for member in self._members.values())

    def _release(self, first: int, end: int) -> None:
        """Make pending what no other run still covers: a helper's leaves may still be with their owner, and reverse."""
        covering = sorted((run.first, run.end) for run in self._runs if run.first < end and first < run.end)
        for covered, covered_end in covering:
            if covered > first:
                heapq.heappush(self._pending, (first, covered))
            first = max(first, covered_end)
        if first < end:
            heapq.heappush(self._pending, (first, end))

    def _unverified(self, first: int, end: int) -> list[tuple[int, int]]:
        """The stretches of first..end that are not verified."""
        stretches = []
        while (start := self._verified.find(0, first, end)) >= 0:
            stop = self._verified.find(1, start, end)
            first = end if stop < 0 else stop
            stretches.append((start, first))
        return stretches

    def _first_free(self, member: _Member) -> tuple[int, int] | None:
        """The lowest pending stretch that the source may have, without a leaf that it lacks."""
        for first, end in sorted(self._pending) if member.lacks else self._pending[:1]:
            start = next((leaf for leaf in range(first, end) if leaf not in member.lacks), None)
            if start is not None:
                stop = next((leaf for leaf in range(start, end) if leaf in member.lacks), end) if member.lacks else end
                return start, stop
        return None

    def _from_pending(self, source: str, member: _Member, now_s: float) -> Run | None:
        free = self._first_free(member)
        if free is None:
            return None
        first, end = free[0], self._sized_end(free[0], free[1], member.pace)
        self._take(first, end)
        return Run(source, first, end - first, None, now_s, now_s)

    def _sized_end(self, first: int, end: int, pace: Pace) -> int:
        """Where a run from `first` ends: when it is as large as suits the source's pace."""
        budget = pace.span_bytes()
        end = min(end, first + RUN_LEAVES_MAX, self._run_end(first))
        leaf = first
        while leaf < end and (leaf == first or budget >= self._size_of(leaf)):
            budget -= self._size_of(leaf)
            leaf += 1
        return leaf

    def _take(self, first: int, end: int) -> None:
        """Cut first..end out of the pending stretch that holds it."""
        index = next(i for i, stretch in enumerate(self._pending) if stretch[0] <= first < stretch[1])
        stretch_first, stretch_end = self._pending[index]
        rest = [(stretch_first, first), (end, stretch_end)]
        self._pending[index : index + 1] = [stretch for stretch in rest if stretch[0] < stretch[1]]
        heapq.heapify(self._pending)

    def _from_late(self, source: str, member: _Member, now_s: float) -> Run | None:
        """The endgame: the run of another source that is most behind, if one is late enough. Silent ones are asked
        for whole; of slow ones the later half, which their owner will reach last."""
        if self._pending:
            return None
        for run in sorted(self._runs, key=lambda run: run.progress_s):
            if run.helped or source in run.sources() or not self.is_wanted(run):
                continue
            first = self._late_from(run, member, now_s)
            stretch = None if first is None else self._helpable(member, first, run.end)
            if stretch is not None:
                run.helped = True
                return Run(source, stretch[0], stretch[1] - stretch[0], run, now_s, now_s)
        return None

    def _late_from(self, run: Run, helper: _Member, now_s: float) -> int | None:
        """From which leaf on a run should be hedged; None when it is in time."""
        owner = self._members[run.source].pace
        first = self._verified.find(0, run.first, run.end)
        if is_silent(owner, self._size_of(first), now_s - run.progress_s):
            return first
        remaining_bytes = sum(self._size_of(leaf) for leaf in range(first, run.end))
        return (first + run.end) // 2 if is_slow(owner, helper.pace, remaining_bytes) else None

    def _helpable(self, member: _Member, first: int, end: int) -> tuple[int, int] | None:
        """The first stretch of unverified leaves in first..end that the helper does not lack."""
        leaves = [leaf for start, stop in self._unverified(first, end) for leaf in range(start, stop)]
        has = [leaf for leaf in leaves if leaf not in member.lacks]
        if not has:
            return None
        stop = has[0] + 1
        while stop < end and stop not in member.lacks and not self._verified[stop]:
            stop += 1
        return has[0], stop
