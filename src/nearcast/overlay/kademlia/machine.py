"""The hash table of one node: who has this content, with no centre.

What it does. Every node keeps the contacts that table.py describes, answers requests (answering.py) and looks for keys
by walking towards them (walk.py, search.py). A root's key is its sha2-256 digest; the k nodes whose ids are closest to
it keep records of who provides it. Sources: Kademlia (Maymounkov and Mazieres, IPTPS 2002); sibling lists and disjoint
paths from S/Kademlia (Baumgart and Mies, ICPADS 2007).

Goals: a record that one node published is found by any other in a few hops, also while nodes come and go by the hour,
and with a fifth of them hostile: those who drop, lie, name the dead, or crowd around one key. Everything is bounded.
Non-goals: it does not judge providers (whoever asks probes them), and it keeps no content.

Invariants: nobody is in the table that has not answered a request of ours; clients never are; no record is kept or
handed to our own side whose signature was not verified; answers count only from whom we asked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final

from nearcast.errors import UsageError
from nearcast.overlay.kademlia.address_groups import groups_of_all
from nearcast.overlay.kademlia.answering import answer_find, answer_store
from nearcast.overlay.kademlia.core import REJOIN, UPKEEP, Core, Timer, whereabouts
from nearcast.overlay.kademlia.events import Found, Joined, ValueFound
from nearcast.overlay.kademlia.filling import Filling
from nearcast.overlay.kademlia.keys import KEY_BYTES, key_bytes
from nearcast.overlay.kademlia.lookups import Lookups
from nearcast.overlay.kademlia.messages import Find, Kept, Nodes, Ping, Pong, Response, Store
from nearcast.overlay.kademlia.publisher import Publisher
from nearcast.overlay.kademlia.records import Record, Sign, ValueRecord, Verify
from nearcast.overlay.kademlia.requests import AskJob, CheckJob, Pending, StepJob, StoreJob
from nearcast.overlay.kademlia.search import Search
from nearcast.overlay.kademlia.settings import KademliaSettings
from nearcast.overlay.kademlia.table import Table
from nearcast.overlay.kademlia.upkeep import Upkeep
from nearcast.overlay.machine import Effect
from nearcast.transport.base import PeerAddress

if TYPE_CHECKING:
    import random


_ANSWERS: Final = frozenset((Nodes, Pong, Kept))
_REQUESTS: Final = frozenset((Find, Store, Ping))


class Kademlia:
    """One node of the hash table; a `Machine` of overlay/machine.py, with verbs.

    `unix_clock`: the unix time in seconds of a `now_s`; records expire by it.
    """

    def __init__(
        self,
        own: PeerAddress,
        sign: Sign,
        verify: Verify,
        rng: random.Random,
        settings: KademliaSettings | None = None,
        *,
        unix_clock: Callable[[float], float],
        is_client: bool = False,
    ) -> None:
        self.settings = settings = KademliaSettings() if settings is None else settings
        self.is_client = is_client
        self._core = Core(own, verify, rng, settings, unix_clock, is_client=is_client)
        self._lookups = Lookups(self._core)
        self._publisher = Publisher(self._core, self._lookups, sign)
        self._filling = Filling(self._core)
        self._upkeep = Upkeep(settings)
        self._seeds: dict[bytes, PeerAddress] = {}
        self._rejoin_s = settings.rejoin_s
        self._join_began_s: float | None = None
        self._is_joined = False
        self._heard_s = 0.0
        self.readdress(own)

    # --- verbs

    def start(self, now_s: float) -> list[Effect]:
        self._heard_s = now_s
        self._core.arm(self._core.rng.uniform(0.0, self.settings.check_s_min), UPKEEP)
        return self._effects(now_s)

    def readdress(self, own: PeerAddress) -> None:
        """Where this node is now: what it says of itself from now on."""
        self._core.own = own
        self._core.said = None if self.is_client else own
        self._core.table.crowding.is_lan = self._core.store.is_lan = not groups_of_all(own.addresses)

    def join(self, seeds: Iterable[PeerAddress], now_s: float) -> list[Effect]:
        """Get to know the neighbourhood, by way of `seeds`. They are kept, to come back when everybody is lost."""
        seeds = [seed for seed in seeds if seed.endpoint_id != self._core.own_id]
        for seed in seeds:
            self._seeds.pop(seed.endpoint_id, None)
            self._seeds[seed.endpoint_id] = seed
        for endpoint_id in list(self._seeds)[: -self.settings.seeds_max]:
            del self._seeds[endpoint_id]
        if self._join_began_s is None:
            self._join(now_s)
        else:
            self._lookups.add_seeds(seeds, now_s)
        return self._effects(now_s)

    def publish_anew(self, now_s: float) -> list[Effect]:
        """Others are to keep our records than those who did: each is published again soon."""
        self._publisher.publications.hasten(now_s)
        self._publish_more(now_s)
        return self._effects(now_s)

    def heard_of(self, contact: PeerAddress, now_s: float) -> list[Effect]:
        """A node was announced: while we know hardly anybody it is asked whether it is there, to be known as well."""
        if self.is_sparse and self._core.table.place_for(contact) == "free":
            self._core.fill(contact, now_s)
        return self._effects(now_s)

    @property
    def is_sparse(self) -> bool:
        """Whether we know hardly anybody."""
        return len(self._core.table) < self.settings.siblings_max

    def knows(self, endpoint_id: bytes) -> bool:
        """Whether this node is in the table."""
        return self._core.table.get(endpoint_id) is not None

    def find_providers(self, key: bytes, limit: int, now_s: float) -> tuple[int, list[Effect]]:
        """Who has the content with this 32-byte key? ProviderFound for each, Found at the end.

        Raises UnavailableError when too many lookups are under way, UsageError when it is not a key.
        """
        known = self._core.store.providers(_checked(key), limit, self._core.unix(now_s))
        lookup_id = self._lookups.begin_for_caller("providers", key, now_s, limit, known, self._way_in())
        return lookup_id, self._effects(now_s)

    def find_value(self, key: bytes, now_s: float) -> tuple[int, list[Effect]]:
        """The newest value under a key (keys.value_key); ValueFound at the end. Raises as `find_providers` does."""
        value = self._core.store.value(_checked(key), self._core.unix(now_s))
        known: tuple[Record, ...] = () if value is None else (value,)
        lookup_id = self._lookups.begin_for_caller("value", key, now_s, 1, known, self._way_in())
        return lookup_id, self._effects(now_s)

    def cancel(self, lookup_id: int) -> None:
        """Whoever asked has enough: no more requests, no more events."""
        self._lookups.cancel(lookup_id)

    def provide(self, key: bytes, now_s: float) -> list[Effect]:
        """Publish that this node has the content, now and again until `stop_providing`; Stored tells each time.

        Raises UsageError when there are too many already, or it is not a key.
        """
        if len(self._publisher.publications) >= self.settings.provided_max and key not in self._publisher.publications:
            raise UsageError(f"a node provides at most {self.settings.provided_max} roots")
        if key not in self._publisher.publications:
            self._publisher.publications.add(_checked(key), now_s)
        self._publish_more(now_s)
        return self._effects(now_s)

    def stop_providing(self, key: bytes) -> None:
        """No more publications; what is published expires."""
        self._publisher.publications.remove(key)

    def put_value(self, record: ValueRecord, now_s: float) -> list[Effect]:
        """Publish a signed value (records.signed_value), now and again until it expires or a newer one is put."""
        self._publisher.publications.add(record.key, now_s, record)
        self._publish_more(now_s)
        return self._effects(now_s)

    @property
    def own(self) -> PeerAddress:
        """What this node says of itself."""
        return self._core.own

    @property
    def table(self) -> Table:
        """Whom this node knows; to read only."""
        return self._core.table

    def snapshot(self) -> dict[str, Any]:
        """For people to look at."""
        core = self._core
        return {
            "contacts": len(core.table),
            "buckets": {str(index): size for index, size in core.table.bucket_sizes().items()},
            "spares": len(core.table.spares),
            "records": len(core.store),
            "provided": len(self._publisher.publications),
            "lookups": len(self._lookups),
            "requests": len(core.requests),
            "nodes_estimated": round(core.table.nodes_estimated()),
            "is_joined": self._is_joined,
        }

    # --- what happens

    def on_message(self, sender: PeerAddress, message: Any, now_s: float) -> list[Effect]:
        self._heard_s = now_s
        if self._core.requests.has_lost_ping(now_s):
            self._give_up(now_s)
        kind = message.__class__
        if kind in _ANSWERS:
            pending = self._core.requests.answered(message.request_id, sender.endpoint_id)
            if pending is not None:
                contact = self._core.table.get(sender.endpoint_id)
                if contact is None or not contact.failures or kind is Nodes:
                    self._core.table.add(whereabouts(pending.address, sender), now_s)
                self._answered(pending, message, now_s)
                if message.back is not None and not self.is_client:
                    self._core.send(sender, Pong(message.back))
        elif kind in _REQUESTS and not self.is_client:  # a client answers nobody
            back = None
            if message.own is not None and message.own.endpoint_id == sender.endpoint_id:
                back = self._met(whereabouts(message.own, sender), now_s)
            self._core.send(sender, self._answer(sender.endpoint_id, message, back, now_s))
        return self._effects(now_s)

    def on_timer(self, timer: Hashable, now_s: float) -> list[Effect]:
        match timer:
            case Timer("requests"):
                self._look_at_requests(now_s)
            case Timer("upkeep"):
                self._look_after(now_s)
            case Timer("rejoin") if self._join_began_s is None and not self._is_joined:
                self._join(now_s)
            case _:
                pass
        return self._effects(now_s)

    def on_unreachable(self, endpoint_id: bytes, now_s: float) -> list[Effect]:
        lost = self._core.requests.given_up(endpoint_id)
        for pending in lost:
            self._lost(pending, now_s)
        if not lost:
            contact = self._core.table.get(endpoint_id)  # somebody else's connection to it ended: is it gone?
            if contact is not None:
                self._core.check(contact.address, now_s)
        return self._effects(now_s)

    def _answer(self, asker: bytes, message: Find | Store | Ping, back: int | None, now_s: float) -> Response:
        core = self._core
        match message:
            case Find():
                return answer_find(message, asker, core.table, core.store, self.settings, core.unix(now_s), back)
            case Store():
                return answer_store(message, asker, core.store, core.verify, core.unix(now_s), back)
            case Ping():
                return Pong(message.request_id, back)

    def _met(self, stranger: PeerAddress, now_s: float) -> int | None:
        """Somebody asks us: a contact is fresh again; a stranger is asked back if there is a place for it."""
        core = self._core
        if core.table.heard(stranger.endpoint_id, now_s):
            return None
        match core.table.offer(stranger):
            case "free":
                return core.ask_back(stranger, now_s)
            case "full":
                stalest = core.table.stalest_beside(stranger.endpoint_id)
                if stalest is not None and stalest.heard_s + self.settings.fresh_s <= now_s:
                    core.check(stalest.address, now_s)
            case _:
                pass
        return None

    def _answered(self, pending: Pending, message: Response, now_s: float) -> None:
        match pending.job:
            case StepJob() if isinstance(message, Nodes):
                self._lookups.answered(pending.job, message, now_s)
            case StepJob():
                self._lookups.failed(pending.job, now_s)  # that is no answer to the question
            case StoreJob(search):
                self._publisher.store_is_over(search, now_s, is_kept=isinstance(message, Kept) and message.is_kept)
            case AskJob(bucket):
                self._filling.answered(bucket, message.contacts if isinstance(message, Nodes) else (), now_s)
            case CheckJob():
                self._upkeep.passed()

    def _lost(self, pending: Pending, now_s: float) -> None:
        """A request was not answered."""
        match pending.job:
            case StepJob():
                self._lookups.failed(pending.job, now_s)
            case StoreJob(search):
                self._publisher.store_is_over(search, now_s, is_kept=False)
            case AskJob(bucket):
                self._filling.lost(bucket, now_s)
            case CheckJob():
                self._upkeep.failed()
        core = self._core
        endpoint_id = pending.address.endpoint_id
        contact = core.table.get(endpoint_id)
        if contact is None or self._heard_s + self.settings.deaf_s <= now_s:
            return  # who hears nothing from anybody blames its own link
        contact.failures += 1
        if contact.failures < self.settings.failures_max and contact.bucket not in core.table.spares:
            self._upkeep.doubt(endpoint_id)
            return
        spare = core.table.remove(endpoint_id)
        if spare is not None:
            core.check(spare, now_s)

    def _look_at_requests(self, now_s: float) -> None:
        core = self._core
        core.timer_rang()
        for pending in core.requests.late(now_s):
            if isinstance(pending.job, StepJob):
                self._lookups.is_late(pending.job, now_s)
        self._give_up(now_s)
        self._lookups.end_overdue(now_s)

    def _give_up(self, now_s: float) -> None:
        for pending in self._core.requests.lost(now_s):
            self._lost(pending, now_s)

    def _look_after(self, now_s: float) -> None:
        """Now and then: one check, one refresh, what is to be published, what has expired."""
        core = self._core
        core.arm(self._upkeep.pause_s * core.rng.uniform(0.9, 1.1), UPKEEP)
        core.store.expire(core.unix(now_s))
        self._give_up(now_s)
        if self._join_began_s is None and (bool(len(core.table)) != self._is_joined):
            self._join(now_s)  # the first node of a network, that others have found; or everybody is lost
            return
        contact = self._upkeep.to_check(core.table, now_s)
        if contact is not None:
            core.check(contact.address, now_s)
        self._publish_more(now_s)
        if not self.is_client:
            self._filling.refresh(now_s)

    # --- joining

    def _way_in(self) -> Iterable[PeerAddress]:
        """Who can be asked although nobody is known yet: who has just been let in need not wait to look for a thing."""
        return () if len(self._core.table) else self._seeds.values()

    def _join(self, now_s: float) -> None:
        self._join_began_s = now_s
        self._lookups.begin("join", key_bytes(self._core.table.own_node_id), now_s, seeds=self._seeds.values())

    def _joined(self, search: Search, now_s: float) -> None:
        self._join_began_s = None
        self._is_joined = bool(len(self._core.table))
        if not self._is_joined:
            self._core.arm(self._rejoin_s, REJOIN)
            self._rejoin_s = min(2 * self._rejoin_s, self.settings.rejoin_s_max)
            return
        self._rejoin_s = self.settings.rejoin_s
        self._core.tell(Joined(len(self._core.table), now_s - search.started_s))
        if not self.is_client:
            self._filling.begin(now_s)
        self._publish_more(now_s)

    # --- searches and publications

    def _effects(self, now_s: float) -> list[Effect]:
        """Deal with the searches that are over, of which some begin others; then what all of it amounts to."""
        over = self._lookups.over
        while over:
            self._search_is_over(over.popleft(), now_s)
        return self._core.effects(now_s)

    def _publish_more(self, now_s: float) -> None:
        if self._is_joined:  # before, there is nobody to publish to
            self._publisher.publish_more(now_s)

    def _search_is_over(self, search: Search, now_s: float) -> None:
        core = self._core
        duration_s = now_s - search.started_s
        match search.purpose:
            case "join":
                self._joined(search, now_s)
            case "publish":
                self._publisher.hand_out(search, now_s)
            case "providers":
                found = tuple(search.chosen_providers(core.rng))
                self._publisher.leave_copies(search, found, now_s)
                core.tell(
                    Found(
                        search.lookup_id, search.key, found, search.hops, search.messages, duration_s, search.besieged
                    )
                )
            case "value":
                value = search.record if isinstance(search.record, ValueRecord) else None
                self._publisher.leave_copies(search, () if value is None else (value,), now_s)
                core.tell(
                    ValueFound(
                        search.lookup_id, search.key, value, search.hops, search.messages, duration_s, search.besieged
                    )
                )


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise UsageError(f"a key is {KEY_BYTES} bytes, this one {len(key)}")
    return key
