"""One root that this node relays: whom it is asked of, and its life from the first answer to a while after the last."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from nearcast.client.choosing import Offering
from nearcast.client.finding import Found
from nearcast.client.spending import Spend
from nearcast.client.supply import Supply
from nearcast.clock import Clock
from nearcast.content.cid import Cid
from nearcast.content.store import Store
from nearcast.delivery.events import FetchEvent, LeafVerified, SourceFailed
from nearcast.delivery.messages import FetchRequest
from nearcast.delivery.relay_fetch import RelayFetch, RelaySession
from nearcast.delivery.relay_sources import Memory
from nearcast.delivery.source import Source
from nearcast.delivery.trail import Trail
from nearcast.errors import NearcastError, NotFoundError
from nearcast.payments.budget import BackedAllowance, Backer
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry
from nearcast.transport.pool import ConnectionPool

Look = Callable[[Cid, Trail], Awaitable[Found | None]]


class Upstreams:
    """Who gives one root to a relay: looked for when somebody is needed, and paid at most `max_price_units_per_gib`.

    Supplier of delivery/relay_fetch.py. `own`: backends of this node, asked instead of everybody else. `trail` is the
    one that the relay was asked by.
    """

    def __init__(
        self,
        root: Cid,
        trail: Trail,
        max_price_units_per_gib: int,
        pool: ConnectionPool,
        spend: Spend | None,
        memory: Memory,
        look: Look,
        own: Callable[[Cid], list[Source]],
    ) -> None:
        self._root = root
        self.trail = trail
        self.max_price_units_per_gib = max_price_units_per_gib
        self._pool = pool
        limited = spend is not None and max_price_units_per_gib > 0
        self._spend = replace(spend, max_price_units_per_gib=max_price_units_per_gib) if spend and limited else None
        self._memory = memory
        self._look = look
        self._own = own
        self._supply: Supply | None = None
        self.backers: list[Backer | None] = []  # of the answers that wait now
        self.asked: list[Offering] = []

    async def look(self) -> list[Offering]:
        """Those who may be asked: not on the trail, and for free or registered and not too dear."""
        found = await self._look(self._root, self.trail)
        if found is None:
            return []
        strangers = [each for each in found.offerings if not self.trail.has_passed(each.address.endpoint_id)]
        dear = [each for each in strangers if 0 < each.holding.price <= self.max_price_units_per_gib]
        payable = set[bytes]()
        if self._spend is not None and dear:
            payable = set(await self._spend.nodes.lookup(each.address.endpoint_id for each in dear))
        return [each for each in strangers if each.is_free or each.address.endpoint_id in payable]

    async def more(self) -> list[Source]:
        """As Supplier says."""
        if self._supply is None:
            own = await in_thread(self._own, self._root)
            self.asked = [] if own else await self.look()
            onward = self.trail.passed(self._pool.endpoint_id)
            self._supply = Supply(
                self._pool,
                Found(self._root, own, offerings=self.asked),
                onward,
                self._spend,
                lambda name: self._memory.paces.of(name).rate_bytes_per_s,
                allowance=BackedAllowance(0 if self._spend is None else self._spend.fetch_cap_units, self._backing),
            )
        return await self._supply.more()

    def nobody(self) -> NearcastError:
        """As Supplier says."""
        if self._supply is None or not self.asked:
            return NotFoundError(f"nobody whom this node may ask has {self._root}")
        return self._supply.nobody()

    def _backing(self) -> list[Backer | None]:
        return self.backers

    async def close(self) -> None:
        """Pay what is due."""
        if self._supply is not None:
            await self._supply.close()


class Relayed:
    """One fetch for others."""

    def __init__(
        self,
        root: Cid,
        store: Store,
        clock: Clock,
        telemetry: Telemetry,
        upstreams: Upstreams,
        memory: Memory,
        tasks: asyncio.TaskGroup,
        going: Sequence[asyncio.Event],
        listed: Callable[[Cid], bool] | None,
    ) -> None:
        self._store = store
        self._telemetry = telemetry
        self._upstreams = upstreams
        self._fetch = RelayFetch(root, store, clock, upstreams, memory, tasks, self._told, going, listed)
        self._changed = asyncio.Event()
        self.is_closing = False
        self.gone = asyncio.Event()  # set when its copy, if it is not kept, is dropped

    @property
    def is_idle(self) -> bool:
        """Whether no answer needs it just now."""
        return not self._fetch.sessions

    @property
    def was_in_vain(self) -> bool:
        """Whether those who were found could not give it."""
        return self._fetch.is_exhausted

    def will_do(self, root: Cid, trail: Trail, max_price_units_per_gib: int) -> bool:
        """Whether an answer about `root`, asked for by this trail, may share it.

        Not when somebody who is asked for it is waiting for that very answer.
        """
        upstreams = self._upstreams
        return (
            not self.is_closing
            and not self._fetch.is_over
            and root.v1 in self._fetch.parts
            and upstreams.max_price_units_per_gib == max_price_units_per_gib
            and upstreams.trail.hops == trail.hops
            and not any(trail.has_passed(offering.address.endpoint_id) for offering in upstreams.asked)
        )

    @contextmanager
    def session(self, request: FetchRequest, backer: Backer | None) -> Iterator[RelaySession]:
        """For one answer; `backer` as Upstream says."""
        self._changed.set()
        self._upstreams.backers.append(backer)
        try:
            with self._fetch.session(request) as session:
                yield session
        finally:
            self._upstreams.backers.remove(backer)
            self._changed.set()

    async def run(self, linger_s: float, *, keeps: bool) -> None:
        """Until no answer has needed it for `linger_s`; then, or when cancelled, it is paid for and put away."""
        try:
            while not (self._fetch.is_over and self.is_idle):
                self._changed.clear()
                try:
                    async with asyncio.timeout(linger_s if self.is_idle else None):
                        await self._changed.wait()
                except TimeoutError:
                    if self.is_idle:
                        break
        finally:
            self.is_closing = True
            try:
                await self._put_away(keeps=keeps)
            except NearcastError as error:
                self._telemetry.event("relay-unfinished", root=str(self._fetch.root), reason=error.message)

    async def _put_away(self, *, keeps: bool) -> None:
        try:
            await self._fetch.close()
            if not keeps:
                await in_thread(self._store.discard, list(self._fetch.brought))
        finally:
            self.gone.set()
            await self._upstreams.close()

    def _told(self, event: FetchEvent) -> None:
        match event:
            case LeafVerified():
                self._telemetry.count("relayed_bytes", event.size_bytes)
            case SourceFailed():
                self._telemetry.event("upstream-failed", peer=event.source, reason=event.reason, liar=event.liar)
            case _:
                pass
