"""Fills the buckets of a node that has joined, and later those that stay half empty, from what neighbours know.

Kademlia (section 2.3) looks up a random place in every bucket; in a network of 10,000 that is nine lookups of twenty
questions. But whoever is close to us divides the rest of the key space as we do: its bucket of that distance is ours.
So one question to a neighbour names a whole bucket, spread over all of it, where a lookup ends in one corner. Each
bucket is asked for at two neighbours, and takes half of what it wants from each: one that lies, or that is wrong, has
half a bucket at most. Who was named is pinged and gets in by its answer, as everybody does.

Goals: a table that leads everywhere, for a few messages per bucket. Non-goals: a full table; whoever asks us later,
and whom our own lookups meet, comes on top.

Invariants: at most `filling_max` questions and `filling_checks_max` pings are under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from nearcast.overlay.kademlia.core import Core
from nearcast.overlay.kademlia.keys import KEY_BITS, key_bytes, random_at_distance
from nearcast.overlay.kademlia.messages import NODES, Find
from nearcast.overlay.kademlia.requests import AskJob
from nearcast.transport.base import PeerAddress

NEIGHBOURS_ASKED = 2  # for each bucket; guess
LOST_MAX = 8  # questions without an answer, in one filling, that are put to another neighbour; guess


class Filling:
    """Of one node."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._to_ask: deque[int] = deque()  # buckets, as often as they are still to be asked for
        self._under_way = 0
        self._may_lose = 0
        self._asked_s: dict[int, float] = {}  # bucket: when it was last asked for
        self._since_s = 0.0

    def begin(self, now_s: float) -> None:
        """The neighbourhood is known: every bucket farther than the k closest that wants more, the farthest first."""
        table, settings = self._core.table, self._core.settings
        sizes = table.bucket_sizes()
        closest = table.sibling_distances()[: settings.bucket_contacts_max] or [1]
        lowest = closest[-1].bit_length() - 1
        self._since_s = now_s
        self._plan(index for index in range(KEY_BITS - 1, lowest - 1, -1) if self._wants(index, sizes))
        self.more(now_s)

    def refresh(self, now_s: float) -> None:
        """The bucket that was asked for longest ago, if that is very long and it has much room."""
        if self._to_ask or self._under_way:
            return
        sizes = self._core.table.bucket_sizes()
        due = ((self._asked_s.get(index, self._since_s), index) for index in sizes if self._wants(index, sizes))
        oldest = min(due, default=None)
        if oldest is not None and oldest[0] + self._core.settings.refresh_s <= now_s:
            self._plan((oldest[1],))
            self.more(now_s)

    def more(self, now_s: float) -> None:
        """Ask for what is planned, as much at a time as may be."""
        core = self._core
        while self._to_ask and self._under_way < core.settings.filling_max:
            bucket = self._to_ask.popleft()
            self._asked_s[bucket] = now_s
            neighbour = self._neighbour()
            if neighbour is None:
                continue
            self._under_way += 1
            target = key_bytes(random_at_distance(core.table.own_node_id, bucket, core.rng))
            request_id = core.request(neighbour, AskJob(bucket), now_s)
            core.send(neighbour, Find(request_id, target, NODES, None, core.said))

    def answered(self, bucket: int, contacts: Iterable[PeerAddress], now_s: float) -> None:
        """A neighbour named these: some of them are pinged."""
        self._under_way -= 1
        core = self._core
        table, wanted = core.table, core.settings.filling_contacts
        room = min(wanted // NEIGHBOURS_ASKED, wanted - table.bucket_size(bucket))
        named = [contact for contact in contacts if table.bucket_of(contact.endpoint_id) == bucket]
        core.rng.shuffle(named)
        for contact in named:
            if room <= 0:
                break
            if table.place_for(contact) == "free":
                room -= 1
                core.fill(contact, now_s)
        self.more(now_s)

    def lost(self, bucket: int, now_s: float) -> None:
        """A neighbour did not answer: another one is asked."""
        self._under_way -= 1
        if self._may_lose > 0:
            self._may_lose -= 1
            self._to_ask.append(bucket)
        self.more(now_s)

    def _plan(self, buckets: Iterable[int]) -> None:
        self._to_ask = deque(bucket for bucket in buckets for _ in range(NEIGHBOURS_ASKED))
        self._may_lose = LOST_MAX

    def _wants(self, index: int, sizes: dict[int, int]) -> bool:
        return sizes.get(index, 0) < self._core.settings.filling_contacts

    def _neighbour(self) -> PeerAddress | None:
        """One of the k closest, that did not fail lately."""
        table, rng = self._core.table, self._core.rng
        closest = table.closest(table.own_node_id, self._core.settings.bucket_contacts_max)
        good = [contact.address for contact in closest if contact.failures == 0]
        return rng.choice(good) if good else None
