"""Who gives one root: found once, then asked on and on. First everybody who gives it for free; when there is nobody, or
nobody any more, whoever is paid for it, one after the other, so that no channel is opened that is not needed.

Invariants: nobody is paid who is not in the registry with its bond; nobody is paid more than it asked when it was
found, nor more than the caller allows; however a supply ends, what was verified is signed for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from nearcast.client.choosing import Offering, Payee, affordable, free_of_charge, in_order, size_bytes_of
from nearcast.client.finding import Found
from nearcast.client.spending import Spend
from nearcast.delivery.events import Depositing, FetchEvent, Hiring
from nearcast.delivery.http_source import HttpSource
from nearcast.delivery.peer_source import NAME_DIGITS, PeerSource
from nearcast.delivery.relay import stall_s
from nearcast.delivery.source import Source
from nearcast.delivery.trail import Trail
from nearcast.errors import NearcastError, RefusedError, StoreError
from nearcast.payments.budget import Allowance
from nearcast.payments.credit import cost_units
from nearcast.payments.paying import Paying
from nearcast.transport.pool import ConnectionPool

UNITS_PER_USDC = 1_000_000
FURTHER_MAX = 3  # times that a search goes on; guess: who publishes liars by the dozen does not hold us up for ever
RateOf = Callable[[str], float | None]
"""A source's measured rate in bytes per second, by its name; None: never measured."""
Further = Callable[[Found], Awaitable[Found]]
"""Who else has what was found, once those do not do (Finder.find_further)."""


def _unheard(_: FetchEvent) -> None:
    """For a relay, which pays for others: nobody watches."""


class Supply:
    """Use as an async context manager: at its end everything is paid for."""

    def __init__(
        self,
        pool: ConnectionPool,
        found: Found,
        trail: Trail,
        spend: Spend | None,
        rate_of: RateOf,
        on_event: Callable[[FetchEvent], None] = _unheard,
        allowance: Allowance | None = None,
        further: Further | None = None,
    ) -> None:
        """`on_event` hears who is about to be paid, before anything is. `allowance`: by default the cap on a fetch.
        `further`: asked when all of `found` failed; None: there is nobody else.
        """
        self._further = further
        self._further_left = FURTHER_MAX
        self._on_event = on_event
        self._pool = pool
        self._found = found
        self._trail = trail
        self._spend = spend
        self._rate_of = rate_of
        self._allowance = allowance or Allowance(spend.fetch_cap_units if spend is not None else 0)
        self._free = self._free_groups(found)
        self._payees: deque[Payee] | None = None
        self._payings: list[Paying] = []
        self._unpaid: dict[str, NearcastError] = {}
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Pay what is due. Raises StoreError when the books cannot be written."""
        payings, self._payings = self._payings, []
        try:
            for paying in payings:
                await paying.settle_up()
        finally:
            for paying in payings:
                paying.close()

    def free(self) -> list[Source]:
        """The next group of those who give it for free: who holds it, then who brings it; empty after the last."""
        return self._free.popleft() if self._free else []

    async def more(self) -> list[Source]:
        """The next ones to ask, beside those that were named before; empty when there is nobody left.

        Raises StoreError.
        """
        async with self._asking:
            return self.free() or await self._next_payee() or await self._look_further()

    def nobody(self) -> NearcastError:
        """Why there is nobody to ask: for a supply that gave no source at all."""
        if self._unpaid:
            told = "; ".join(f"{name}: {error.message}" for name, error in self._unpaid.items())
            first = next(iter(self._unpaid.values()))
            return type(first)(f"nobody gives {self._found.root} for free, and nobody is paid: {told}", fix=first.fix)
        if not self._found.offerings:
            return self._found.nobody()
        price = min(offering.holding.price for offering in self._found.offerings)
        asked = f"nobody gives {self._found.root} for free; the cheapest asks {price / UNITS_PER_USDC:g} USDC per GiB"
        if self._spend is None:
            fix = "nearcast get pays for it, with a wallet (nearcast wallet create) and without --free"
            return RefusedError(f"{asked}, and nothing is paid here", fix=fix)
        if price > self._spend.max_price_units_per_gib:
            limit = self._spend.max_price_units_per_gib / UNITS_PER_USDC
            return RefusedError(f"{asked}, over the limit of {limit:g}", fix=f"--max-price {price / UNITS_PER_USDC:g}")
        unread = self._spend.nodes.unread
        if unread is not None:
            told = f"{asked}, and the registry, which says who may be paid, cannot be read: {unread.message}"
            return type(unread)(told, fix=unread.fix)
        return RefusedError(f"{asked}, but who asks is not in the registry with its bond", fix="get it from others")

    def _free_groups(self, found: Found) -> deque[list[Source]]:
        """Who is at hand comes with those who hold it."""
        at_hand: list[Source] = [*found.own, *map(HttpSource, found.urls)]
        groups = [list(map(self._peer, group)) for group in free_of_charge(found.offerings)] or [[]]
        return deque(group for group in ([*at_hand, *groups[0]], *groups[1:]) if group)

    async def _look_further(self) -> list[Source]:
        """All of them failed: the search goes on where it ended when they answered, until it brings somebody."""
        while self._further is not None and self._further_left and not self._found.is_exhausted:
            self._further_left -= 1
            more = await self._further(self._found)
            self._found.add(more)
            self._free = self._free_groups(more)
            if self._spend is not None:
                self._payees = deque(await self._ordered(self._spend, more.offerings))
            if sources := self.free() or await self._next_payee():
                return sources
        return []

    async def _next_payee(self) -> list[Source]:
        spend = self._spend
        if spend is None:
            return []
        if self._payees is None:
            self._payees = deque(await self._ordered(spend, self._found.offerings))
        while self._payees:
            payee = self._payees.popleft()
            name = payee.offering.address.endpoint_id.hex()[:NAME_DIGITS]
            try:
                return [await self._hired(spend, payee)]
            except StoreError:
                raise
            except NearcastError as error:
                self._unpaid[name] = error
        return []

    async def _ordered(self, spend: Spend, offerings: Sequence[Offering]) -> list[Payee]:
        offerings = affordable(offerings, spend.max_price_units_per_gib)
        nodes = await spend.nodes.lookup(offering.address.endpoint_id for offering in offerings)
        payees = [
            Payee(offering, nodes[key], self._rate_of(key.hex()[:NAME_DIGITS]), spend.purse.has_channel(nodes[key]))
            for offering in offerings
            if (key := offering.address.endpoint_id) in nodes
        ]
        return in_order(payees)

    async def _hired(self, spend: Spend, payee: Payee) -> Source:
        """The payee as a source that is paid. Raises what stands in the way."""
        price = payee.offering.holding.price
        left_parts = self._allowance.pot.left_parts()
        if left_parts <= 0:
            raise RefusedError("the cap of this fetch is used up", fix="give it a higher --cap")
        left_today_units = spend.purse.left_today_units
        if not left_today_units:
            raise RefusedError("the cap of this day (UTC) is used up", fix="raise payments.day_cap in config.toml")
        expected_units = cost_units(size_bytes_of(payee.offering), price)
        name = payee.offering.address.endpoint_id.hex()[:NAME_DIGITS]
        told_units = None if payee.offering.holding.size_bytes is None else expected_units
        limits = spend.max_price_units_per_gib, spend.fetch_cap_units, left_today_units
        self._on_event(Hiring(name, price, told_units, *limits))

        def deposited(units: int, opens: bool) -> None:
            self._on_event(Depositing(name, units, opens))

        wanted_units = min(expected_units, spend.fetch_cap_units)
        channel = await spend.purse.channel_for(payee.node, wanted_units, deposited)
        paying = channel.paying(self._found.root, price, self._allowance)
        self._payings.append(paying)
        return self._peer(payee.offering, paying)

    def _peer(self, offering: Offering, paying: Paying | None = None) -> Source:
        return PeerSource(
            self._pool,
            offering.address,
            paying=paying,
            trail=self._trail,
            stall_timeout_s=stall_s(self._trail),
        )
