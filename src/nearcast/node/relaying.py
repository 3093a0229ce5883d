"""The relay of a node: what others ask for and is not here is brought from those who have it (delivery/upstream.py).

A look for a root asks FAN_OUT of the peers that this node knows, and is remembered for a while. It goes on when whoever
asked for it can wait no longer: a holder that is too far away for the first question is known at the second. Looks of
the same reach are shared while they are under way; a look waits only for looks of a shorter one (each relay takes one
from the hops), so they cannot wait for each other. What is brought for several answers about one root at one price is
brought once; a fetch stays for LINGER_S after its last answer, because a reader's next request comes soon.

The copy stays as cached content, or goes at the end if the operator says so: then what this relay brought, and nothing
that is pinned.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Final, Self

from nearcast.client.finding import Finder, Found, Search
from nearcast.client.spending import Spend
from nearcast.clock import Clock
from nearcast.config import PaymentsConfig
from nearcast.content.cid import Cid
from nearcast.content.store import Store
from nearcast.delivery.messages import FetchRequest, Holding
from nearcast.delivery.relay import FAN_OUT, LOOK_ON_S, Looks, look_s, upstream_max_price
from nearcast.delivery.relay_fetch import RelaySession
from nearcast.delivery.relay_sources import Memory
from nearcast.delivery.trail import Trail
from nearcast.errors import StoreError
from nearcast.node.relayed import Relayed, Upstreams
from nearcast.payments.budget import Backer
from nearcast.telemetry import Telemetry

LINGER_S: Final = 15.0  # as long as a look is remembered
LOOKS_MAX: Final = 32  # at a time; guess: with FAN_OUT 256 questions under way, for strangers who may ask for nonsense
LOOKS_SHARE: Final = LOOKS_MAX // 4  # for one who asks: a single probe may name more roots than LOOKS_MAX
RELAYED_MAX: Final = 256  # roots under way, lingering ones counted; guess: twice the answers a node gives at a time


_Reach = tuple[int, frozenset[bytes]]
"""The hops that a look may go, and the peers that its trail leaves out: whoever asks may put anybody on a trail, and
must not make others miss them."""


class Relay:
    """Upstream of delivery/upstream.py. Use as an async context manager: it owns what it fetches.

    `spend`: what it may pay with; None: it brings only what others give for free. `listed`: what is never brought, also
    below a root that is not listed itself; None where there is no list.
    """

    def __init__(
        self,
        finder: Finder,
        store: Store,
        clock: Clock,
        telemetry: Telemetry,
        config: PaymentsConfig,
        *,
        spend: Spend | None = None,
        listed: Callable[[Cid], bool] | None = None,
        linger_s: float = LINGER_S,
    ) -> None:
        self._finder = finder
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._config = config
        self._spend = spend
        self._listed = listed
        self._linger_s = linger_s
        self._memory = Memory()
        self._looks: Looks[Found] = Looks()
        self._looking: dict[tuple[Cid, _Reach], asyncio.Task[Found | None]] = {}
        self._lookers: Counter[bytes] = Counter()  # looks under way, by whoever asked for them
        self._relayed: dict[Relayed, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in (*self._relayed.values(), *self._looking.values()):
            task.cancel()
        await self._tasks.__aexit__(kind, error, traceback)

    async def can_bring(self, root: Cid, trail: Trail, price: int, asker: bytes) -> Holding | None:
        """As Upstream says."""
        upstreams = self._upstreams(root, trail, price, asker)
        try:
            async with asyncio.timeout(look_s(trail)):
                found = await upstreams.look()
        except TimeoutError:
            return None
        except StoreError as error:
            self._telemetry.event("look-failed", root=str(root), reason=error.message)
            return None
        if not found:
            return None
        sizes = [offering.holding.size_bytes for offering in found if offering.holding.size_bytes is not None]
        return Holding("relay", max(sizes, default=None), price)

    @asynccontextmanager
    async def session(
        self, request: FetchRequest, trail: Trail, price: int, backer: Backer | None = None
    ) -> AsyncIterator[RelaySession]:
        """As Upstream says."""
        with self._relayed_for(request.root, trail, price).session(request, backer) as session:
            yield session

    def _relayed_for(self, root: Cid, trail: Trail, price: int) -> Relayed:
        """The fetch that is under way and will do, or a new one."""
        max_price = self._max_price(price)
        for relayed in self._relayed:
            if relayed.will_do(root, trail, max_price):
                return relayed
        self._make_room()
        upstreams = self._upstreams(root, trail, price)
        going = [each.gone for each in self._relayed if each.is_closing]
        relayed = Relayed(
            root,
            self._store,
            self._clock,
            self._telemetry,
            upstreams,
            self._memory,
            self._tasks,
            going,
            self._listed,
        )
        task = self._tasks.create_task(relayed.run(self._linger_s, keeps=self._config.keep_relayed))
        self._relayed[relayed] = task

        def over(_: object) -> None:
            self._relayed.pop(relayed, None)
            if relayed.was_in_vain:
                self._looks.forget(root, self._reach(root, trail))

        task.add_done_callback(over)
        return relayed

    def _make_room(self) -> None:
        for relayed, task in list(self._relayed.items())[: max(0, len(self._relayed) - RELAYED_MAX + 1)]:
            if relayed.is_idle:
                task.cancel()

    def _upstreams(self, root: Cid, trail: Trail, price: int, asker: bytes | None = None) -> Upstreams:
        return Upstreams(
            root,
            trail,
            self._max_price(price),
            self._finder.pool,
            self._spend,
            self._memory,
            partial(self._look, asker=asker),
            self._finder.own,
        )

    def _max_price(self, price: int) -> int:
        if self._spend is None:
            return 0
        return upstream_max_price(price, self._spend.max_price_units_per_gib, at_loss=self._config.relay_at_loss)

    async def _look(self, root: Cid, trail: Trail, asker: bytes | None) -> Found | None:
        """Whoever of the peers has it or brings it; None: nobody, as far as was found in time.

        `asker`: who asks for a look and no more; None: for an answer that is being given.
        """
        reach = self._reach(root, trail)
        is_known, found = self._looks.recall(root, reach, self._clock.monotonic_s())
        if is_known:
            return found
        key = (root.v1, reach)
        looking = self._looking.get(key)
        if looking is None:
            if len(self._looking) >= LOOKS_MAX or (asker is not None and self._lookers[asker] >= LOOKS_SHARE):
                self._telemetry.count("looks_refused")
                return None
            looking = self._looking[key] = self._tasks.create_task(self._look_around(root, trail, reach))
            looking.add_done_callback(lambda _: self._looked(key, asker))
            if asker is not None:
                self._lookers[asker] += 1
        await asyncio.wait([looking])  # it goes on for others when this one is cancelled
        return None if looking.cancelled() else looking.result()

    def _looked(self, key: tuple[Cid, _Reach], asker: bytes | None) -> None:
        self._looking.pop(key, None)
        if asker is not None:
            self._lookers[asker] -= 1
            if not self._lookers[asker]:
                del self._lookers[asker]

    def _reach(self, root: Cid, trail: Trail) -> _Reach:
        return trail.hops, self._finder.passed(root, trail, FAN_OUT)

    async def _look_around(self, root: Cid, trail: Trail, reach: _Reach) -> Found | None:
        max_price = 0 if self._spend is None else self._spend.max_price_units_per_gib
        onward = trail.passed(self._finder.pool.endpoint_id)
        try:
            # Whoever asks us can ask the overlay itself, and strangers must not make us do so for them.
            search = Search(onward, max_price, FAN_OUT, LOOK_ON_S, looks_far=False)
            found = await self._finder.find(root, search)
        except StoreError as error:  # of this node's backends: it costs the look, not the node
            self._telemetry.event("look-failed", root=str(root), reason=error.message)
            return None
        self._telemetry.count("looks")
        result = found if found.offerings else None
        if result is not None or not any(found.refusals.values()):  # who could not be asked may have it after all
            until_s = found.retry_s if result is None else float("inf")
            self._looks.keep(root, reach, result, self._clock.monotonic_s(), until_s=until_s)
        return result
