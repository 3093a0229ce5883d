"""One walk towards a place in the key space: whom to ask next, and when it is over.

What it does. It knows candidates, asks the closest ones, learns closer ones from their answers, and is over when the k
closest that are alive have answered (Kademlia, section 2.3). The start contacts are dealt to `paths` disjoint paths:
whoever was named on one path is asked on that path only, so a liar can mislead the path it is on (S/Kademlia,
ICPADS 2007, section 4.4). One request per path is on its way; a path that has nothing to ask lends its turn.

Against liars who name the dead or the invented: every candidate remembers who named it first. When several of those
that one referrer named have failed and fewer have answered, the rest is set aside until somebody else names them.

Against liars with ids close together, somewhere near the target but not at it: they are closer than whoever could lead
on, and many enough to be the k closest. But they are all at the same distance, as random nodes never are. Then those
beyond them are asked as well, until some are found that are closer, or so many know of nobody that it was chance.

Goals: bounded work whatever the others say; nobody is asked twice. Non-goals: it sends nothing, waits for nothing and
knows no clock; records are search.py's.

Invariants: `live` are the distances of all candidates but failed, late and set-aside ones; a candidate is NEW, ASKED,
LATE, ANSWERED, FAILED or ASIDE; at most `requests_per_lookup_max` are asked.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable
from enum import IntEnum

from nearcast.overlay.kademlia.keys import SPACE, node_id
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.transport.base import PeerAddress


class State(IntEnum):
    """What became of a candidate."""

    NEW = 0
    ASKED = 1
    LATE = 2
    ANSWERED = 3
    FAILED = 4
    ASIDE = 5


class Candidate:
    """Somebody named on a walk. `hops`: 1 for those known at the start, one more for whom they named, and so on."""

    __slots__ = ("address", "alive_named", "dead_named", "distance", "hops", "path", "referrer", "state")

    def __init__(self, address: PeerAddress, distance: int, path: int, hops: int, referrer: "Candidate | None") -> None:
        self.address = address
        self.distance = distance
        self.path = path
        self.hops = hops
        self.referrer = referrer
        self.state = State.NEW
        self.alive_named = 0  # of those that it named: who answered
        self.dead_named = 0  # who did not


class Walk:
    """A walk from `start` (the closest first) towards `target`, a place in the key space."""

    def __init__(self, target: int, start: Iterable[PeerAddress], own_id: bytes, settings: KademliaSettings) -> None:
        self.target = target
        self.asked = 0
        self._k = settings.bucket_contacts_max
        self._settings = settings
        self._candidates: dict[bytes, Candidate] = {}
        self._live: list[int] = []
        self._paths: list[list[tuple[int, bytes, Candidate]]] = [[] for _ in range(settings.paths)]
        self._under_way = [0] * settings.paths
        self._has_begun = [False] * settings.paths
        self._late = 0
        self._answered = 0
        self._outsiders = 0  # asked
        self._own_id = own_id
        start = list(start)
        for number, address in enumerate(start):
            self._meet(address, number * settings.paths // len(start), 1, None)

    def add_start(self, address: PeerAddress) -> None:
        """One more to begin with, when the walk is under way: it is asked next."""
        path = self._under_way.index(min(self._under_way))
        if self._meet(address, path, 1, None):
            candidate = self._candidates[address.endpoint_id]
            heapq.heappush(self._paths[path], (0, address.endpoint_id, candidate))

    @property
    def answered_count(self) -> int:
        return self._answered

    def next(self) -> list[Candidate]:
        """Whom to ask now. They count as asked."""
        due: list[Candidate] = []
        was_idle = not any(self._under_way)
        turns = len(self._paths) - sum(self._under_way)
        while turns > 0 and self.asked < self._settings.requests_per_lookup_max:
            bound = self._bound()
            best: Candidate | None = None
            for path, heap in enumerate(self._paths):
                while heap and heap[0][2].state != State.NEW:
                    heapq.heappop(heap)
                if not heap or (heap[0][0] > bound and self._has_begun[path]):
                    continue
                head = heap[0][2]
                # A path that asks nobody comes first, then whoever is closest.
                if best is None or (self._under_way[path], head.distance) < (self._under_way[best.path], best.distance):
                    best = head
            if best is None and was_idle and self._outsiders < self._settings.outsiders_max and self._is_misled():
                best = self._outsider()
                self._outsiders += 1
            if best is None:
                break
            best.state = State.ASKED
            self._under_way[best.path] += 1
            self._has_begun[best.path] = True
            self.asked += 1
            turns -= 1
            due.append(best)
        return due

    def is_over(self) -> bool:
        """Whether nothing is left to wait for; asked after `next` gave nobody."""
        if any(self._under_way):
            return False
        return self._late == 0 or self._answered >= self._k // 2  # on a slow link everybody is late

    def answered(self, candidate: Candidate, contacts: Iterable[PeerAddress]) -> None:
        """It answered and named these."""
        self._settle(candidate, State.ANSWERED)
        self._answered += 1
        if candidate.referrer is not None:
            candidate.referrer.alive_named += 1
        candidates = self._candidates
        for address in contacts:
            known = candidates.get(address.endpoint_id)
            if known is None:
                self._meet(address, candidate.path, candidate.hops + 1, candidate)
            elif known.state is State.ASIDE and not self._is_discredited(candidate):
                self._take_back(known, candidate)

    def is_late(self, candidate: Candidate) -> None:
        """It has not answered for a while: its path goes on without it; it may still answer."""
        if candidate.state == State.ASKED:
            self._settle(candidate, State.LATE)
            self._late += 1
            self._blame(candidate)

    def failed(self, candidate: Candidate) -> None:
        """It will not answer any more."""
        was_asked = candidate.state == State.ASKED
        self._settle(candidate, State.FAILED)
        if was_asked:
            self._blame(candidate)

    def closest_answered(self, count: int) -> list[Candidate]:
        """Those who answered, the closest to the target first."""
        answered = [candidate for candidate in self._candidates.values() if candidate.state == State.ANSWERED]
        answered.sort(key=lambda candidate: candidate.distance)
        return answered[:count]

    def not_asked(self) -> list[PeerAddress]:
        """Those that were named and not asked, the closest to the target first."""
        new = [candidate for candidate in self._candidates.values() if candidate.state == State.NEW]
        new.sort(key=lambda candidate: candidate.distance)
        return [candidate.address for candidate in new]

    def count_within(self, distance: int) -> int:
        """How many candidates, as far as they are not known to be dead, are at most so far from the target."""
        return bisect_left(self._live, distance + 1)

    def _is_misled(self) -> bool:
        """Whether the k closest are a cluster: of k random ones half would be in the nearer half of the distance."""
        return len(self._live) >= self._k and self.count_within(self._bound() // 2) <= self._settings.clustered_max

    def _outsider(self) -> Candidate | None:
        """The closest that nobody asked because a cluster is closer: it may know who is closer still."""
        new = (candidate for candidate in self._candidates.values() if candidate.state == State.NEW)
        bound = 2 * self._bound()
        beyond = (candidate for candidate in new if candidate.distance > bound)
        return min(beyond, key=lambda candidate: candidate.distance, default=None)

    def _bound(self) -> int:
        """The distance of the k-th closest that may be alive: whoever is farther need not be asked."""
        return self._live[self._k - 1] if len(self._live) >= self._k else SPACE

    def _meet(self, address: PeerAddress, path: int, hops: int, referrer: Candidate | None) -> bool:
        """A new candidate. False if it is known, or ourselves."""
        endpoint_id = address.endpoint_id
        if endpoint_id == self._own_id or endpoint_id in self._candidates:
            return False
        distance = node_id(endpoint_id) ^ self.target
        candidate = self._candidates[endpoint_id] = Candidate(address, distance, path, hops, referrer)
        if referrer is not None and self._is_discredited(referrer):
            candidate.state = State.ASIDE
            return True
        insort(self._live, distance)
        heapq.heappush(self._paths[path], (distance, endpoint_id, candidate))
        return True

    def _settle(self, candidate: Candidate, state: State) -> None:
        """From ASKED or LATE to another state."""
        if candidate.state == State.ASKED:
            self._under_way[candidate.path] -= 1
            if state != State.ANSWERED:
                del self._live[bisect_left(self._live, candidate.distance)]
        elif candidate.state == State.LATE:
            self._late -= 1
            if state == State.ANSWERED:
                insort(self._live, candidate.distance)
        candidate.state = state

    def _is_discredited(self, referrer: Candidate) -> bool:
        return referrer.dead_named >= self._settings.dead_ends_max and referrer.dead_named > referrer.alive_named

    def _blame(self, candidate: Candidate) -> None:
        """Who named it loses credit, and perhaps all the others that it named."""
        referrer = candidate.referrer
        if referrer is None:
            return
        referrer.dead_named += 1
        if not self._is_discredited(referrer):
            return
        for other in self._candidates.values():
            if other.referrer is referrer and other.state == State.NEW:
                other.state = State.ASIDE
                del self._live[bisect_left(self._live, other.distance)]

    def _take_back(self, candidate: Candidate, referrer: Candidate) -> None:
        """Somebody with credit names one that was set aside."""
        candidate.state = State.NEW
        candidate.referrer = referrer
        candidate.path = referrer.path
        candidate.hops = referrer.hops + 1
        insort(self._live, candidate.distance)
        heapq.heappush(self._paths[candidate.path], (candidate.distance, candidate.address.endpoint_id, candidate))
