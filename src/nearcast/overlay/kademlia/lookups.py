"""Drives searches: sends the steps of their walks, takes answers in, notices a siege, and says which are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from nearcast.errors import UnavailableError
from nearcast.overlay.kademlia.core import Core
from nearcast.overlay.kademlia.events import ProviderFound
from nearcast.overlay.kademlia.keys import key_bytes
from nearcast.overlay.kademlia.messages import NODES, PROVIDERS, VALUE, Find, Nodes
from nearcast.overlay.kademlia.records import ProviderRecord, Record
from nearcast.overlay.kademlia.requests import StepJob
from nearcast.overlay.kademlia.search import Purpose, Search, radius_of
from nearcast.overlay.kademlia.walk import Candidate, Walk
from nearcast.transport.base import PeerAddress

_WANTED: dict[Purpose, str] = {"providers": PROVIDERS, "value": VALUE}  # the others want contacts only


class Lookups:
    """All searches of one node that are under way. `over`: those that have ended, not cancelled, to be taken."""

    def __init__(self, core: Core) -> None:
        self.over: deque[Search] = deque()
        self._core = core
        self._searches: dict[int, Search] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._searches)

    def begin(
        self,
        purpose: Purpose,
        key: bytes,
        now_s: float,
        *,
        limit: int = 0,
        known: Iterable[Record] = (),
        seeds: Iterable[PeerAddress] = (),
    ) -> int:
        """A new search, its first requests sent: its id. `known`: records that our own store has."""
        core = self._core
        self._last_id += 1
        k = core.settings.bucket_contacts_max
        search = Search(self._last_id, purpose, key, radius_of(core.table.nodes_estimated(), k), limit, now_s)
        self._searches[search.lookup_id] = search
        known = tuple(known)
        if known:
            self._take(search, None, known, now_s)
        start = [contact.address for contact in core.table.closest(search.target, k)]
        search.walks.append(Walk(search.target, [*start, *seeds], core.own_id, core.settings))
        self._advance(search, now_s)
        return search.lookup_id

    def add_seeds(self, seeds: Iterable[PeerAddress], now_s: float) -> None:
        """More ways into the network, for the join that is under way."""
        for search in [search for search in self._searches.values() if search.purpose == "join"]:
            for seed in seeds:
                search.walks[0].add_start(seed)
            self._advance(search, now_s)

    def begin_for_caller(
        self,
        purpose: Purpose,
        key: bytes,
        now_s: float,
        limit: int,
        known: Iterable[Record],
        seeds: Iterable[PeerAddress],
    ) -> int:
        """`begin` for whoever uses this node, who may want too much. Raises UnavailableError."""
        most = self._core.settings.lookups_max
        if sum(1 for search in self._searches.values() if search.purpose in _WANTED) >= most:
            raise UnavailableError(f"{most} lookups are under way already", fix="wait for one of them to end")
        return self.begin(purpose, key, now_s, limit=limit, known=known, seeds=seeds)

    def cancel(self, lookup_id: int) -> None:
        self._searches.pop(lookup_id, None)

    def answered(self, job: StepJob, message: Nodes, now_s: float) -> None:
        """A step was answered."""
        search, walk, candidate = job.search, job.walk, job.candidate
        if search.lookup_id not in self._searches:
            return
        walk.answered(candidate, message.contacts)
        self._take(search, candidate, message.records, now_s)
        if search.purpose in ("providers", "value", "publish") and search.looks_besieged(self._core.settings):
            self._walk_aside(search)
        self._advance(search, now_s)

    def is_late(self, job: StepJob, now_s: float) -> None:
        """A step has not been answered for a while."""
        job.walk.is_late(job.candidate)
        self._go_on(job.search, now_s)

    def failed(self, job: StepJob, now_s: float) -> None:
        """A step will not be answered."""
        job.walk.failed(job.candidate)
        self._go_on(job.search, now_s)

    def end_overdue(self, now_s: float) -> None:
        """What takes too long ends with what it has."""
        started_s = now_s - self._core.settings.lookup_s_max
        for search in [search for search in self._searches.values() if search.started_s <= started_s]:
            self._end(search)

    def _go_on(self, search: Search, now_s: float) -> None:
        if search.lookup_id in self._searches:
            self._advance(search, now_s)

    def _advance(self, search: Search, now_s: float) -> None:
        """Send what is due; when nothing is and nothing is waited for, the search is over."""
        is_over = True
        for walk in search.walks:
            due = walk.next()
            for candidate in due:
                self._ask(search, walk, candidate, now_s)
            if due or not walk.is_over():
                is_over = False
        if is_over:
            self._end(search)

    def _ask(self, search: Search, walk: Walk, candidate: Candidate, now_s: float) -> None:
        core = self._core
        search.messages += 1
        request_id = core.request(candidate.address, StepJob(search, walk, candidate), now_s)
        near = None if walk.target == search.target else key_bytes(walk.target)
        wanted = _WANTED.get(search.purpose, NODES)
        core.send(candidate.address, Find(request_id, search.key, wanted, near, core.said))

    def _take(self, search: Search, candidate: Candidate | None, records: Iterable[Record], now_s: float) -> None:
        settings = self._core.settings
        life_s = settings.record_life_s + settings.clock_skew_s
        fresh = search.take_answer(candidate, records, self._core.verify, self._core.unix(now_s), life_s)
        hops = 0 if candidate is None else candidate.hops
        for record in fresh:
            if isinstance(record, ProviderRecord):
                self._core.tell(ProviderFound(search.lookup_id, record, hops))

    def _walk_aside(self, search: Search) -> None:
        """The key is besieged: ask whoever is responsible for the rest of its region, too."""
        core = self._core
        search.besieged = True
        for place in search.places_aside():
            start = [contact.address for contact in core.table.closest(place, core.settings.bucket_contacts_max)]
            search.walks.append(Walk(place, start, core.own_id, core.settings))

    def _end(self, search: Search) -> None:
        del self._searches[search.lookup_id]
        self.over.append(search)
