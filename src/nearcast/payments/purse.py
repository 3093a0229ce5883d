"""The payer's side: the channels that this process pays from, to whichever nodes, and what may be spent in all.

Used by whoever downloads, and by a node that brings what it lacks from others. One channel per node is enough; there
may be more when another process of the same user signs for the first.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from nearcast.chain.bindings.blacklist import Blacklist
from nearcast.chain.channels import ChannelBook, OwnChannel
from nearcast.chain.deployment import Deployment
from nearcast.chain.node_records import NodeRecord
from nearcast.chain.offers import court_domain
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import settlement_domain
from nearcast.clock import Clock
from nearcast.errors import ChainError, RefusedError, StoreError, UnavailableError, one_error
from nearcast.payments.budget import Budget, Day, Pot
from nearcast.payments.channel_lock import ChannelLock
from nearcast.payments.channel_opening import ChannelOpening, OnDeposit, pays
from nearcast.payments.list_file import FILE_NAME
from nearcast.payments.list_reading import ListReader
from nearcast.payments.payer_channel import Desk, PayerChannel
from nearcast.payments.promising import Promising
from nearcast.payments.spent import Seen, SpentLedger
from nearcast.payments.terms import Terms, terms_of
from nearcast.payments.witness import OfferWitness
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry

# How long what the chain said of a channel's money is good without asking it again first. It can only have become more,
# or a withdrawal was begun, which takes the channel's delay (an hour at least) and which the payee watches for.
SEEN_GOOD_S: Final = 600
LOOK_AGAIN_S: Final = 60  # how often a channel in use is looked at, beside the downloads; guess
# How long a channel is left alone that its payee refuses and the chain says nothing against; guess: a payee whose
# endpoint is down says so, and one that just restarts is tried again soon.
REFUSED_PAUSE_S: Final = 30
CLOSE_PATIENCE_S: Final = 2.0  # guess: for the payees to read the last vouchers when this process ends
LAST_LOOK_S: Final = 2.0  # guess: for evidence of the last offers to be on disk, beside the payees' reading
WITHDRAWING: Final = "its money is being taken back"


def _unheard(_units: int, _opens: bool) -> None:
    """For whoever need not know what leaves the wallet."""


class Purse:
    """Use it in an `async with`; the books must outlive it."""

    def __init__(
        self,
        *,
        deployment: Deployment,
        rpc: JsonRpc,
        book: ChannelBook,
        spent: SpentLedger,
        hot: Signer,
        wallet: Callable[[], Signer] | None,
        journal: Path,
        evidence: Path,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
        confirmations: int | None = None,
    ) -> None:
        """`hot` signs vouchers, `wallet()` opens channels (it may ask for a password; it is called in a thread, once).

        `journal`: the wallet's journal of transactions, in the folder of this chain, where the locks are too.
        `evidence`: the folder where proof of offences is kept.
        """
        self.budget = budget
        contracts = deployment.contracts
        domain = settlement_domain(deployment.chain_id, contracts["BatchSettlement"])
        day = Day(budget.day_cap_units)
        self._promising = Promising(deployment.chain_id, domain, hot, book, spent, budget, day, clock)
        depth = confirmations or deployment.confirmations
        self._opening = ChannelOpening(deployment, rpc, self._promising, wallet, journal, depth)
        court = court_domain(deployment.chain_id, contracts["Court"])
        listed = ListReader(Blacklist(rpc, contracts["Blacklist"]), journal.parent / FILE_NAME, clock)
        self._witness = OfferWitness(rpc, court, depth, listed, evidence, self._spawn, telemetry)
        pot = Pot(lambda: day.left_parts(self._promising.today()))
        self._desk = Desk(self._promising, pot, self._witness, telemetry, self._spawn, self._doubt)
        self._deployment = deployment
        self._clock = clock
        self._locks = journal.parent / "locks"
        self._channels: dict[bytes, PayerChannel] = {}
        self._looked_at_s: dict[bytes, float] = {}
        self._refused_at_s: dict[bytes, float] = {}
        self._known: dict[bytes, tuple[OwnChannel, Seen | None]] = {}
        self._turns: dict[bytes, asyncio.Lock] = {}  # by operator: one task at a time looks for a channel to it
        self._held = ExitStack()
        self._tasks = asyncio.TaskGroup()
        self._running: dict[asyncio.Task[None], None] = {}  # oldest first

    async def __aenter__(self) -> Self:
        await in_thread(self._read_books)
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.TaskGroup() as ending:
                for channel in self._channels.values():
                    ending.create_task(_end(channel))
                ending.create_task(self._witness.finish(LAST_LOOK_S))
        finally:
            for task in self._running:
                task.cancel()
            # A TaskGroup would wrap whatever the body raised; only a cancellation is its concern.
            is_cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
            try:
                with one_error():
                    await self._tasks.__aexit__(*((kind, error, trace) if is_cancelled else (None, None, None)))
            finally:
                self._held.close()

    @property
    def signed_today_units(self) -> int:
        """What vouchers promised today, in units, as far as this process knows."""
        day = self._promising.day
        return day.signed_units if day.day == self._promising.today() else 0

    @property
    def left_today_units(self) -> int:
        """What the cap on a day still allows for vouchers, as far as this process knows."""
        return max(0, self.budget.day_cap_units - self.signed_today_units)

    def has_channel(self, node: NodeRecord) -> bool:
        """Whether a channel to this node with money in it is open already, as far as our books know."""
        terms = self._terms(node)
        if any(channel.left_units() for channel in self._usable(terms)):
            return True
        return any(
            channel_id not in self._channels
            and pays(terms, own.config)
            and (seen is None or seen.capacity_units > own.signed_units)
            for channel_id, (own, seen) in self._known.items()
        )

    async def channel_for(
        self, node: NodeRecord, expected_units: int, on_deposit: OnDeposit = _unheard
    ) -> PayerChannel:
        """A channel that pays this node and has so much left: one that is there, filled up, or a new one.

        Without a wallet: one that is there, however little is left. RefusedError for a node that lied before, or that
        refuses a channel to it which the chain says nothing against: no money goes into another one for that;
        WalletError, FundsError, ChainError, UnavailableError, StoreError when none can be had.
        """
        terms = self._terms(node)
        self._check_trust(terms)
        channel = self._best(terms)
        if channel is None or channel.left_units() < max(1, expected_units):
            async with self._turns.setdefault(node.operator, asyncio.Lock()):  # a deposit may take minutes
                channel = await self._with_money(terms, node, expected_units, on_deposit)
        channel.node = node
        self._look_again(channel)
        return channel

    # Choosing.

    def _terms(self, node: NodeRecord) -> Terms:
        return terms_of(self._deployment, node.operator, node.hot_key)

    def _check_trust(self, terms: Terms) -> None:
        for channel in self._channels.values():
            if channel.config.receiver == terms.receiver:
                channel.check()

    def _usable(self, terms: Terms) -> list[PayerChannel]:
        return [channel for channel in self._channels.values() if channel.is_usable and pays(terms, channel.config)]

    def _best(self, terms: Terms) -> PayerChannel | None:
        return max(self._usable(terms), key=PayerChannel.left_units, default=None)

    async def _with_money(
        self, terms: Terms, node: NodeRecord, expected_units: int, on_deposit: OnDeposit
    ) -> PayerChannel:
        needed_units = max(1, expected_units)
        refusal = None if self._best(terms) else await self._reconsider(terms)
        channel = self._best(terms) or await self._from_book(terms, node, needed_units)
        if channel is None:
            if refusal is not None:
                raise refusal
            return await self._new(terms, node, expected_units, on_deposit)
        if channel.left_units() < needed_units:
            await self._look(channel)  # somebody may have filled it up by hand, or be emptying it
            if channel.retired is not None:
                return await self._with_money(terms, node, expected_units, on_deposit)
        left_units = channel.left_units()
        if left_units >= needed_units or (self._opening.wallet is None and left_units > 0):
            return channel
        own = OwnChannel(channel.channel_id, channel.config, channel.account.signed_units)
        state = await self._opening.fill(own, terms, needed_units - left_units, on_deposit, opens=False)
        channel.account.capacity_units = state.balance_units
        return channel

    async def _reconsider(self, terms: Terms) -> RefusedError | None:
        """Ask the chain about the channels that this payee refuses; a refusal that it does not explain, if any."""
        refused = [
            channel
            for channel in self._channels.values()
            if channel.refusal is not None and channel.retired is None and pays(terms, channel.config)
        ]
        for channel in refused:
            await self._look(channel)
        unexplained = None
        for channel in refused:
            if channel.retired is not None:
                continue
            waited_s = self._clock.monotonic_s() - self._refused_at_s[channel.channel_id]
            if channel.left_units() <= 0 or waited_s >= REFUSED_PAUSE_S:  # an empty one is filled up first
                channel.try_again()
            else:
                unexplained = channel.refusal
        return unexplained

    async def _from_book(self, terms: Terms, node: NodeRecord, needed_units: int) -> PayerChannel | None:
        """The first with enough, else the one with most, of those that no other process signs for."""
        best: tuple[int, OwnChannel, int, ChannelLock, ExitStack] | None = None
        with ExitStack() as unused:
            for own in await in_thread(self._opening.of_payee, terms):
                lock = None if own.channel_id in self._channels else ChannelLock.take(self._locks, own.channel_id)
                if lock is None:
                    continue
                held = unused.enter_context(ExitStack())
                held.callback(lock.release)
                remembered = await in_thread(self._opening.remembered, own)
                capacity_units = await self._capacity(remembered, terms)
                left_units = capacity_units - remembered.signed_units
                if capacity_units > 0 and (best is None or left_units > best[0]):
                    best = left_units, remembered, capacity_units, lock, held
                if left_units >= needed_units:
                    break
            if best is None:
                return None
            _, own, capacity_units, lock, held = best
            self._held.push(held.pop_all())
        return self._start(own, node, capacity_units, lock)

    async def _capacity(self, own: OwnChannel, terms: Terms) -> int:
        """The channel's balance; 0 when it must not be used."""
        await self._opening.finish_earlier(own, terms)
        seen = await in_thread(self._promising.spent.seen, own.channel_id)
        if seen is not None and 0 <= self._clock.unix_s() - seen.at_s < SEEN_GOOD_S:
            return seen.capacity_units
        state = await self._opening.look(own.config, own.channel_id)
        self._looked_at_s[own.channel_id] = self._clock.monotonic_s()
        return 0 if state.withdraw_begun_at else state.balance_units

    async def _new(self, terms: Terms, node: NodeRecord, expected_units: int, on_deposit: OnDeposit) -> PayerChannel:
        own = await self._opening.new(terms)
        lock = ChannelLock.take(self._locks, own.channel_id)
        if lock is None:
            raise StoreError("the lock of a channel that is new is taken")
        self._held.callback(lock.release)
        state = await self._opening.fill(own, terms, expected_units, on_deposit, opens=True)
        self._looked_at_s[own.channel_id] = self._clock.monotonic_s()
        return self._start(own, node, state.balance_units, lock)

    def _start(self, own: OwnChannel, node: NodeRecord, capacity_units: int, lock: ChannelLock) -> PayerChannel:
        channel = PayerChannel(own, node, capacity_units, self._desk, lock.count)
        self._channels[own.channel_id] = channel
        self._spawn(channel.run())
        return channel

    # Looking.

    def _doubt(self, channel: PayerChannel) -> None:
        """Its payee refuses it: perhaps its money is being taken back, by another process of the same user."""
        now_s = self._clock.monotonic_s()
        self._refused_at_s[channel.channel_id] = self._looked_at_s[channel.channel_id] = now_s
        self._spawn(self._look(channel))

    def _look_again(self, channel: PayerChannel) -> None:
        now_s = self._clock.monotonic_s()
        looked_at_s = self._looked_at_s.get(channel.channel_id)
        if looked_at_s is None or now_s - looked_at_s > LOOK_AGAIN_S:
            self._looked_at_s[channel.channel_id] = now_s
            self._spawn(self._look(channel))

    async def _look(self, channel: PayerChannel) -> None:
        try:
            state = await self._opening.look(channel.config, channel.channel_id)
        except (ChainError, UnavailableError):
            return  # the payee looks too, and says so when it finds the channel empty
        channel.account.capacity_units = state.balance_units
        if state.withdraw_begun_at:
            channel.retired = WITHDRAWING

    def _read_books(self) -> None:
        promising = self._promising
        today = promising.today()
        promising.day.note(today, promising.spent.signed_on(today))
        for own in promising.book.of_authorizer(promising.hot.address):
            self._known[own.channel_id] = own, promising.spent.seen(own.channel_id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running[task] = None
        task.add_done_callback(self._running.pop)


async def _end(channel: PayerChannel) -> None:
    """Pay what is due, and let the payee read it."""
    try:
        await channel.settle()
    except StoreError:
        return  # every download was told
    await channel.close(CLOSE_PATIENCE_S)
