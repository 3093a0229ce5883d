"""Requests on their way: whom they went to, what for, and when they are late or lost.

All requests have the same patience and the same timeout, so those that are due next are at the front of a queue; one
timer is enough for all. Nobody waits for pings (checks and fills): they need no timer of their own, and are looked at
when something happens anyway. They are most of what a quiet node sends, and nearly all of them are answered.
"""

from collections import deque
from dataclasses import dataclass

from nearcast.overlay.kademlia.search import Search
from nearcast.overlay.kademlia.walk import Candidate, Walk
from nearcast.transport.base import PeerAddress


@dataclass(frozen=True, slots=True)
class StepJob:
    """A step of a walk."""

    search: Search
    walk: Walk
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class StoreJob:
    """A record of a search goes to one more holder."""

    search: Search


@dataclass(frozen=True, slots=True)
class CheckJob:
    """Is it alive?"""


@dataclass(frozen=True, slots=True)
class AskJob:
    """Whom does a neighbour know in this bucket?"""

    bucket: int


@dataclass(frozen=True, slots=True)
class FillJob:
    """Is this one alive, whom somebody named for a bucket with room?"""


Job = StepJob | StoreJob | CheckJob | AskJob | FillJob
CHECK, FILL = CheckJob(), FillJob()


class Pending:
    """One request that has not been answered."""

    __slots__ = ("address", "job", "request_id", "sent_s")

    def __init__(self, request_id: int, address: PeerAddress, job: Job, sent_s: float) -> None:
        self.request_id = request_id
        self.address = address
        self.job = job
        self.sent_s = sent_s


class Requests:
    """All requests of one node. Bounded by who makes them: lookups_max walks of a few each, checks_max checks."""

    def __init__(self, patience_s: float, timeout_s: float) -> None:
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._pending: dict[int, Pending] = {}
        self._of_peer: dict[bytes, int] = {}  # how many of them went to whom
        self._early: deque[Pending] = deque()
        self._late: deque[Pending] = deque()
        self._pings: deque[Pending] = deque()
        self._next_id = 0
        self.checks = 0  # how many of them are checks
        self.fills = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, address: PeerAddress, job: Job, now_s: float) -> int:
        """A request goes out: its id."""
        self._next_id += 1
        pending = self._pending[self._next_id] = Pending(self._next_id, address, job, now_s)
        (self._pings if job is CHECK or job is FILL else self._early).append(pending)
        endpoint_id = address.endpoint_id
        self._of_peer[endpoint_id] = self._of_peer.get(endpoint_id, 0) + 1
        self.checks += job is CHECK
        self.fills += job is FILL
        return self._next_id

    def answered(self, request_id: int, endpoint_id: bytes) -> Pending | None:
        """The request that this answers: None if there is no such (any more), or if it went to somebody else."""
        pending = self._pending.get(request_id)
        if pending is None or pending.address.endpoint_id != endpoint_id:
            return None
        self._forget(pending)
        return pending

    def given_up(self, endpoint_id: bytes) -> list[Pending]:
        """All requests to a peer that cannot be reached."""
        if endpoint_id not in self._of_peer:
            return []
        lost = [pending for pending in self._pending.values() if pending.address.endpoint_id == endpoint_id]
        for pending in lost:
            self._forget(pending)
        return lost

    def is_waiting_for(self, endpoint_id: bytes) -> bool:
        return endpoint_id in self._of_peer

    def late(self, now_s: float) -> list[Pending]:
        """Those whose patience has ended since the last call."""
        found: list[Pending] = []
        while self._early and self._early[0].sent_s + self._patience_s <= now_s:
            pending = self._early.popleft()
            if pending.request_id in self._pending:
                found.append(pending)
                self._late.append(pending)
        return found

    def lost(self, now_s: float) -> list[Pending]:
        """Those whose time is over; they are forgotten."""
        found: list[Pending] = []
        for queue in (self._late, self._pings):
            while queue and queue[0].sent_s + self._timeout_s <= now_s:
                pending = queue.popleft()
                if pending.request_id in self._pending:
                    self._forget(pending)
                    found.append(pending)
        return found

    def has_lost_ping(self, now_s: float) -> bool:
        """Whether a ping may have got no answer in time: then `lost` should be asked."""
        pings = self._pings
        while pings and pings[0].request_id not in self._pending:
            pings.popleft()
        return bool(pings) and pings[0].sent_s + self._timeout_s <= now_s

    def next_due_s(self) -> float | None:
        """When to call `late` and `lost` again; None when nothing is on its way that anybody waits for."""
        for queue in (self._early, self._late):
            while queue and queue[0].request_id not in self._pending:
                queue.popleft()
        if not self._late:
            return self._early[0].sent_s + self._patience_s if self._early else None
        lost_s = self._late[0].sent_s + self._timeout_s
        return min(lost_s, self._early[0].sent_s + self._patience_s) if self._early else lost_s

    def _forget(self, pending: Pending) -> None:
        del self._pending[pending.request_id]
        endpoint_id = pending.address.endpoint_id
        count = self._of_peer.pop(endpoint_id)
        if count > 1:
            self._of_peer[endpoint_id] = count - 1
        self.checks -= pending.job is CHECK
        self.fills -= pending.job is FILL
