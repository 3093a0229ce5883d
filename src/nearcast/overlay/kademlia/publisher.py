"""Hands records to those who should keep them: this node's own, and the copies that a lookup leaves on its way."""

from __future__ import annotations

from collections.abc import Iterable

from nearcast.overlay.kademlia.core import Core
from nearcast.overlay.kademlia.events import Stored
from nearcast.overlay.kademlia.lookups import Lookups
from nearcast.overlay.kademlia.messages import Store
from nearcast.overlay.kademlia.publishing import Publications
from nearcast.overlay.kademlia.records import Record, Sign, signed_provider
from nearcast.overlay.kademlia.requests import StoreJob
from nearcast.overlay.kademlia.search import Search
from nearcast.overlay.kademlia.walk import Candidate

SEQUENCES_PER_SECOND = 1000  # a provider record's sequence is the unix time in milliseconds


class Publisher:
    """Publishes what is due, `publishing_max` things at a time."""

    def __init__(self, core: Core, lookups: Lookups, sign: Sign) -> None:
        self.publications = Publications(core.settings, core.rng)
        self._core = core
        self._lookups = lookups
        self._sign = sign
        self._under_way = 0

    def publish_more(self, now_s: float) -> None:
        """Begin the publications that are due, as many as may be under way."""
        while self._under_way < self._core.settings.publishing_max:
            key = self.publications.next_due(now_s)
            if key is None:
                return
            value = self.publications.value(key)
            if value is not None and value.expiry_s <= self._core.unix(now_s):
                self.publications.remove(key)
                continue
            self._under_way += 1
            self._lookups.begin("publish", key, now_s)

    def hand_out(self, search: Search, now_s: float) -> None:
        """The holders of a key are known: the record goes to them."""
        settings = self._core.settings
        record = self._record(search.key, now_s)
        if record is not None:
            for holder in search.holders_wanted(settings.bucket_contacts_max, settings.region_requests_max):
                self._store(search, holder, record, now_s, is_copy=False)
                search.stores_open += 1
        self._perhaps_stored(search, now_s)

    def leave_copies(self, search: Search, records: Iterable[Record], now_s: float) -> None:
        """Caching on the way, and mending: a new node close to the key gets what the others have."""
        for holder in search.lacking():
            for record in list(records)[: self._core.settings.copies_per_lookup_max]:
                self._store(search, holder, record, now_s, is_copy=True)

    def store_is_over(self, search: Search, now_s: float, *, is_kept: bool) -> None:
        """One holder has answered, or will not."""
        search.stores_open -= 1
        search.stores_kept += is_kept
        self._perhaps_stored(search, now_s)

    def _store(self, search: Search, holder: Candidate, record: Record, now_s: float, *, is_copy: bool) -> None:
        core = self._core
        search.messages += 1
        request_id = core.request(holder.address, StoreJob(search), now_s)
        core.send(holder.address, Store(request_id, record, is_copy, core.said))

    def _record(self, key: bytes, now_s: float) -> Record | None:
        """What to publish under a key: None if that was given up meanwhile."""
        if key not in self.publications:
            return None
        value = self.publications.value(key)
        if value is not None:
            return value
        core = self._core
        unix_s = core.unix(now_s)
        expiry_s = int(unix_s + core.settings.record_life_s)
        return signed_provider(key, core.own, int(unix_s * SEQUENCES_PER_SECOND), expiry_s, self._sign)

    def _perhaps_stored(self, search: Search, now_s: float) -> None:
        if search.stores_open or search.purpose != "publish":
            return
        self._under_way -= 1
        self.publications.done(search.key, now_s, is_kept=search.stores_kept > 0)
        duration_s = now_s - search.started_s
        self._core.tell(Stored(search.lookup_id, search.key, search.stores_kept, search.messages, duration_s))
        self.publish_more(now_s)
