"""The till: where a node is paid. It knows every channel that pays us now, and admits new ones.

A channel comes in by a payment stream (`collect`) or with a request over HTTP (`take`). It is admitted when its terms
are ours, whoever brings it holds its voucher key, and the chain says that it holds money that nobody is taking back.
A channel that the ledger knows is not kept waiting for the chain: it is read in the background.

Bounds: CUSTOMERS_MAX channels in memory (idle ones are forgotten first, the ledger keeps their vouchers),
STREAMS_PER_PEER_MAX payment streams of one peer, READS_AT_ONCE questions to the chain. A peer's channels are admitted
one after the other, so that who makes up a hundred of them does not keep others waiting for the chain.
"""

import asyncio
from collections.abc import Collection
from typing import Final
from weakref import WeakValueDictionary

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.vouchers import ChannelConfig, Voucher, channel_id, verify_voucher
from nearcast.clock import Clock
from nearcast.errors import ChainError, RefusedError, StoreError, UnavailableError
from nearcast.payments.admission import capacity_of, check_config, is_known_well, read_channel
from nearcast.payments.collecting import PayStream
from nearcast.payments.customer import Customer
from nearcast.payments.earned import EarnedLedger
from nearcast.payments.earned_rows import EarnedChannel
from nearcast.payments.messages import Hello, Promise, is_proven
from nearcast.payments.tab import Tab
from nearcast.payments.terms import Terms
from nearcast.payments.voucher_writer import VoucherWriter
from nearcast.tasks import in_thread
from nearcast.telemetry import Telemetry
from nearcast.transport.base import Stream
from nearcast.wire import FrameReader

__all__ = ["Customer", "Tab", "Till"]

CUSTOMERS_MAX: Final = 4_096  # about 3 kB each; guess: several times what a node serves at a time
STREAMS_PER_PEER_MAX: Final = 8  # channels that one peer pays from at a time; an honest one needs one
READS_AT_ONCE: Final = 8  # guess: free endpoints answer about 10 requests a second
REREAD_PAUSE_S: Final = 2.0  # a block's time: asked again sooner, the chain would say the same
_Key = tuple[bytes, bytes]  # a channel and a peer


class Till:
    """`run` must be running for vouchers to reach the disk. All methods belong into the loop's own thread."""

    def __init__(
        self,
        terms: Terms,
        ledger: EarnedLedger,
        settlement: Settlement,
        *,
        confirmations: int,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self.terms = terms
        self._domain = terms.domain
        self._ledger = ledger
        self._settlement = settlement
        self._confirmations = confirmations
        self._clock = clock
        self._telemetry = telemetry
        self._writer = VoucherWriter(ledger, telemetry)
        self._customers: dict[bytes, Customer] = {}  # the one that was seen last comes last
        self._streams: dict[_Key, PayStream] = {}
        self._awaited: dict[_Key, list[asyncio.Future[Customer]]] = {}
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()  # by peer
        self._reading = asyncio.Semaphore(READS_AT_ONCE)
        self._unread: asyncio.Queue[Customer] = asyncio.Queue()  # bounded by the customers

    async def run(self) -> None:
        """Write vouchers down and read the chain in the background, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run())
            for _ in range(READS_AT_ONCE // 2):
                group.create_task(self._read_in_background())

    def customers(self) -> Collection[Customer]:
        """Every channel that is in memory."""
        return self._customers.values()

    def find(self, channel: bytes) -> Customer | None:
        """The channel of this id, if it is in memory."""
        return self._customers.get(channel)

    async def collect(self, stream: Stream, frames: FrameReader, hello: Hello, peer: bytes) -> None:
        """Serve a payment stream whose first message was `hello`, until it ends. `peer`: the endpoint id that says it.

        Whatever goes wrong ends the stream and is counted.
        """
        key = (channel_id(self._domain, hello.config), peer)
        paying = PayStream(stream, frames, self._clock, self._telemetry)
        try:
            customer = await self._greet(key, hello, paying)
        except RefusedError as error:
            self._telemetry.count("pay_streams_refused")
            self._telemetry.event("pay_stream_refused", peer=peer.hex(), reason=error.message)
            self._answer(key, error)
            await paying.refuse(error.message)
            return
        before = self._streams.get(key)
        if before is not None:  # it has lost its connection, which we have not noticed
            before.end("the payer came back over another stream")
            customer.stop(peer=peer)
        self._streams[key] = paying
        self._telemetry.count("pay_streams")
        self._answer(key, customer)
        try:
            await paying.run(customer, peer)
        finally:
            customer.streams.pop(paying, None)
            if self._streams.get(key) is paying:
                del self._streams[key]
                customer.stop(peer=peer)
            self._telemetry.count("pay_streams_ended")

    async def customer(self, channel: bytes, peer: bytes, patience_s: float) -> Customer:
        """The channel that this peer pays from, as soon as its payment stream is greeted.

        RefusedError when it never was within `patience_s`, was refused, or there is no credit any more.
        """
        key = (channel, peer)
        customer = self._customers.get(channel) if key in self._streams else None
        if customer is None:
            customer = await self._greeted(key, patience_s)
        if customer.closed_reason is not None:
            raise RefusedError(customer.closed_reason)
        return customer

    async def take(self, config: ChannelConfig, promise: Promise) -> Customer:
        """Admit a channel that comes with a voucher of its own, and wait until that is on disk.

        A voucher that is not newer than what we hold proves nothing of who brings it: compare `promise.units` with
        `find(id).promise.units` before. RefusedError as for a payment stream; StoreError as `Customer.pay`.
        """
        channel = channel_id(self._domain, config)
        if not verify_voucher(self._domain, Voucher(channel, promise.units), promise.signature, config.voucher_signer):
            raise RefusedError("the voucher is not signed by the channel's key")  # before the chain is asked for it
        customer = await self._admit(channel, config)
        await customer.pay(promise)
        return customer

    async def admit(self, config: ChannelConfig) -> Customer:
        """The channel of a payer whose key was verified by our caller. RefusedError as for a payment stream."""
        return await self._admit(channel_id(self._domain, config), config)

    # Admission.

    async def _greet(self, key: _Key, hello: Hello, paying: PayStream) -> Customer:
        if hello.chain_id != self.terms.chain_id:
            raise RefusedError(f"this node is paid on the chain {self.terms.chain_id}")
        check_config(self.terms, hello.config)
        if not is_proven(self._domain, hello):
            raise RefusedError("whoever shows the channel does not hold its voucher key")
        if key not in self._streams and sum(peer == key[1] for _, peer in self._streams) >= STREAMS_PER_PEER_MAX:
            raise RefusedError(f"more than {STREAMS_PER_PEER_MAX} channels of one peer at a time")
        turn = self._turns.setdefault(key[1], asyncio.Lock())
        async with turn:
            await self._keep_shown(key[0], hello.promise)
            customer = await self._admit(key[0], hello.config)
            customer.streams[paying] = None  # from now on it is not forgotten
        try:
            if hello.promise.units > customer.promise.units:
                await customer.accept(hello.promise)
            customer.greet()
        except BaseException:
            customer.streams.pop(paying, None)
            raise
        return customer

    async def _keep_shown(self, channel: bytes, promise: Promise) -> None:
        """A voucher that a channel shows which gets no more credit: what it owes is taken before it is sent away."""
        customer = self._customers.get(channel)
        if customer is None or customer.closed_reason is None:
            return
        if customer.promise.units < promise.units <= customer.account.capacity_units:
            await customer.accept(promise)

    async def _admit(self, channel: bytes, config: ChannelConfig) -> Customer:
        customer = self._customers.pop(channel, None)
        if customer is not None:
            self._customers[channel] = customer
            if customer.closed_reason is not None:
                await self._read(customer)
            return customer
        check_config(self.terms, config)
        known = await self._known(channel)
        if is_known_well(known, int(self._clock.unix_s())):
            assert known is not None
            customer = self._add(known, 0)
            self._unread.put_nowait(customer)
            return customer
        claimed_units, capacity_units = await self._state(channel)
        nothing = EarnedChannel(channel, config, Promise(0, b""), 0, 0, 0)
        customer = self._add(known or nothing, claimed_units)
        customer.checked(capacity_units)
        return customer

    async def _known(self, channel: bytes) -> EarnedChannel | None:
        try:
            return await in_thread(self._ledger.newest, channel)
        except StoreError as error:  # its words name a file of ours
            self._telemetry.count("books_unreadable")
            self._telemetry.event("books_unreadable", reason=error.message)
            raise RefusedError("this node cannot read its books at the moment; try again later") from error

    def _add(self, known: EarnedChannel, claimed_units: int) -> Customer:
        customer = self._customers.get(known.channel_id)  # another stream may have been faster
        if customer is not None:
            return customer
        self._make_room()
        customer = Customer(
            known, claimed_units, self._domain, self._writer, self._clock, self._telemetry, self._reread, self._refilled
        )
        self._customers[known.channel_id] = customer
        self._telemetry.count("channels_admitted")
        return customer

    def _make_room(self) -> None:
        if len(self._customers) < CUSTOMERS_MAX:
            return
        idle = next((customer for customer in self._customers.values() if customer.is_idle), None)
        if idle is None:
            raise RefusedError("this node has as many customers as it can serve; try again later")
        del self._customers[idle.channel_id]

    # The chain.

    async def _state(self, channel: bytes) -> tuple[int, int]:
        """What was claimed of a channel and what it holds. RefusedError, also when the chain cannot be asked."""
        try:
            async with self._reading:
                newest, confirmed_units = await read_channel(self._settlement, channel, self._confirmations)
        except (ChainError, UnavailableError) as error:  # its words name our endpoint, which is nobody's business
            self._telemetry.count("chain_unreadable")
            self._telemetry.event("chain_unreadable", reason=error.message)
            raise RefusedError("this node cannot read the chain at the moment; try again later") from error
        return newest.claimed_units, capacity_of(newest, confirmed_units)

    async def _read(self, customer: Customer) -> None:
        closed_reason = customer.closed_reason
        _, capacity_units = await self._state(customer.channel_id)
        customer.checked(capacity_units)
        if closed_reason is not None:  # if it was closed only while we read, the chain has changed since
            customer.reopen_credit()

    async def _reread(self, customer: Customer) -> None:
        """For a voucher over more than the channel held: it may have been filled up."""
        if self._clock.unix_s() - customer.checked_at_s >= REREAD_PAUSE_S:
            await self._read(customer)

    async def _refilled(self, customer: Customer) -> None:
        """For an answer that stands where the channel's money ends: it may have been filled up just now."""
        read_s_ago = self._clock.unix_s() - customer.checked_at_s
        if 0 <= read_s_ago < REREAD_PAUSE_S:
            await asyncio.sleep(REREAD_PAUSE_S - read_s_ago)
        await self._reread(customer)

    async def _read_in_background(self) -> None:
        while True:
            customer = await self._unread.get()
            try:
                await self._read(customer)
            except RefusedError as error:
                if not isinstance(error.__cause__, ChainError | UnavailableError):
                    customer.close_credit(error.message)

    # Whoever waits for a greeting.

    async def _greeted(self, key: _Key, patience_s: float) -> Customer:
        future: asyncio.Future[Customer] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(key, [])
        waiting.append(future)
        try:
            async with asyncio.timeout(patience_s):
                return await future
        except TimeoutError:
            raise RefusedError("no payment stream shows this channel") from None
        finally:
            waiting.remove(future)
            if not waiting:
                self._awaited.pop(key, None)

    def _answer(self, key: _Key, answer: Customer | RefusedError) -> None:
        for future in self._awaited.get(key, ()):
            if future.done():
                continue
            if isinstance(answer, Customer):
                future.set_result(answer)
            else:
                future.set_exception(RefusedError(answer.message))
