"""What this node looks for: the walks of one search, and the records that came in on them.

Usually a search is one walk. When far more contacts crowd around the key than there can be by chance, somebody has made
node ids close to it, to be the only ones who are asked (an eclipse). Ids near the key are cheap to make in any number,
so counting on the k closest would be lost; but the honest nodes that are responsible for this region are still there.
So the search walks to places a little aside of the key as well, in those parts of the region where the crowd is not,
and asks whoever it meets there about the key itself. Whoever publishes does the same: both meet on honest nodes.
(The idea of asking a whole region: Sridhar et al., NDSS 2024, on censorship in IPFS; the walks aside are ours.)

A search for providers does not end with the first records: a liar would be the first. Each answer counts for as much as
any other (`chosen_providers` takes turns), however many records it has. Whoever has enough earlier cancels the search.

Invariants: every record in here is genuine, of the key and not expired; at most NEW_PER_ANSWER_MAX are taken from one
answer that no other gave before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from nearcast.overlay.kademlia.keys import KEY_BITS, SPACE, key_number
from nearcast.overlay.kademlia.records import ProviderRecord, Record, ValueRecord, Verify, is_genuine
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.walk import Candidate, Walk

if TYPE_CHECKING:
    import random

NEW_PER_ANSWER_MAX: Final = 4  # 160 answers of liars cost 640 verifications, some 0.1 s; guess
ASIDE_MAX: Final = 3  # walks aside: they cover 1/2 + 1/4 + 1/8 of the region

Purpose = Literal["providers", "value", "publish", "join"]


class Search:
    """A search under way. `radius`: within this distance of any place about k nodes are expected."""

    __slots__ = (
        "answers",
        "besieged",
        "hops",
        "key",
        "limit",
        "lookup_id",
        "messages",
        "purpose",
        "radius",
        "record",
        "records",
        "started_s",
        "stores_asked",
        "stores_kept",
        "stores_open",
        "target",
        "walks",
    )  # fmt: skip

    def __init__(self, lookup_id: int, purpose: Purpose, key: bytes, radius: int, limit: int, started_s: float) -> None:
        self.lookup_id = lookup_id
        self.purpose: Purpose = purpose
        self.key = key
        self.target = key_number(key)
        self.radius = radius
        self.limit = limit
        self.started_s = started_s
        self.walks: list[Walk] = []
        self.besieged = False
        self.record: Record | None = None  # what is published, or the best value so far
        self.records: dict[bytes, ProviderRecord] = {}  # by provider
        self.answers: list[
            tuple[Candidate | None, tuple[bytes, ...]]
        ] = []  # who (None: ourselves) named which providers
        self.hops = 0  # of the farthest candidate that answered
        self.messages = 0  # requests sent
        self.stores_asked = 0
        self.stores_open = 0
        self.stores_kept = 0

    def looks_besieged(self, settings: KademliaSettings) -> bool:
        """Whether there are too many near the key to be there by chance: a quarter of the region should have k/4."""
        return not self.besieged and self.walks[0].count_within(self.radius // 4) > settings.crowd_max

    def places_aside(self) -> list[int]:
        """One place in each half, quarter and eighth of the region that does not contain the key."""
        top = min(self.radius.bit_length(), KEY_BITS) - 1
        return [self.target ^ (1 << bit) for bit in range(top, max(top - ASIDE_MAX, 0), -1)]

    def take_answer(
        self, candidate: Candidate | None, records: Iterable[Record], verify: Verify, unix_s: float, life_s: float
    ) -> list[Record]:
        """An answer came (None: our own store's): the records in it that are good and were not known before."""
        if candidate is not None:
            self.hops = max(self.hops, candidate.hops)
        providers: list[bytes] = []
        fresh: list[Record] = []
        for record in records:
            if record.key != self.key or not unix_s < record.expiry_s <= unix_s + life_s:
                continue
            if self._is_known(record):
                providers.append(record.owner)
            elif len(fresh) < NEW_PER_ANSWER_MAX and self._is_better(record) and is_genuine(record, verify):
                providers.append(record.owner)
                fresh.append(record)
                self._keep(record)
        self.answers.append((candidate, tuple(providers)))
        return fresh

    def chosen_providers(self, rng: random.Random) -> list[ProviderRecord]:
        """At most `limit`, in turns: one of each answer, in random order, then the next of each."""
        named = [list(providers) for _, providers in self.answers if providers]
        rng.shuffle(named)
        chosen: dict[bytes, ProviderRecord] = {}
        while named and len(chosen) < self.limit:
            for providers in named:
                owner = providers.pop()
                if len(chosen) < self.limit:
                    chosen[owner] = self.records[owner]
            named = [providers for providers in named if providers]
        return list(chosen.values())

    def holders_wanted(self, count_max: int, region_max: int) -> list[Candidate]:
        """Who should keep a record: the closest that answered, and in a siege everybody in the region."""
        holders = self.walks[0].closest_answered(count_max)
        seen = {candidate.address.endpoint_id for candidate in holders}
        for walk in self.walks[1:]:
            for candidate in walk.closest_answered(count_max):
                endpoint_id = candidate.address.endpoint_id
                if endpoint_id not in seen and (candidate.distance ^ walk.target ^ self.target) <= self.radius:
                    seen.add(endpoint_id)
                    holders.append(candidate)
        return holders[:region_max]

    def lacking(self) -> list[Candidate]:
        """Who should get a copy: the closest that had nothing, and the last one on the way that is farther than k."""
        if self.besieged:
            return []  # whoever lacks it there may be a liar
        without = [candidate for candidate, providers in self.answers if candidate is not None and not providers]
        without.sort(key=lambda candidate: candidate.distance)
        close = [candidate for candidate in without if candidate.distance <= self.radius]
        on_the_way = [candidate for candidate in without if candidate.distance > self.radius]
        return close[:1] + on_the_way[:1]

    def _is_known(self, record: Record) -> bool:
        return self.record == record if isinstance(record, ValueRecord) else self.records.get(record.owner) == record

    def _is_better(self, record: Record) -> bool:
        known = self.record if isinstance(record, ValueRecord) else self.records.get(record.owner)
        if self.purpose == "providers":
            return isinstance(record, ProviderRecord) and (known is None or known.sequence < record.sequence)
        if self.purpose == "value":
            return isinstance(record, ValueRecord) and (known is None or known.sequence < record.sequence)
        return False

    def _keep(self, record: Record) -> None:
        if isinstance(record, ProviderRecord):
            self.records[record.owner] = record
        else:
            self.record = record


def radius_of(nodes_estimated: float, contacts: int) -> int:
    """The distance within which `contacts` of so many nodes are expected: of the whole space, if there are fewer."""
    return min(int(SPACE * (contacts / max(nodes_estimated, 1.0))), SPACE - 1)
