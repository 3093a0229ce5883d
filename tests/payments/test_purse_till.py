"""A real purse pays a real till over connections in memory, on a real chain: the books of both agree to the part."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.payments.payees import BUDGET, PRICE, ROOT, WALLET, Payee, Payers, begin, run, until_refused

from nearcast.chain.bindings.settlement import Settlement
from nearcast.chain.deployment import DEV
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transactions import Sender
from nearcast.clock import SystemClock
from nearcast.content.cid import raw_cid
from nearcast.errors import RefusedError
from nearcast.payments.budget import Allowance
from nearcast.payments.channel_paying import ChannelPaying
from nearcast.payments.credit import PART_BITS, parts_of, whole_units
from nearcast.payments.customer import Customer
from nearcast.payments.earned import FILE_NAME, EarnedLedger
from nearcast.payments.messages import is_hello, parse_hello
from nearcast.payments.payer_channel import PayerChannel
from nearcast.payments.purse import LOOK_AGAIN_S, REFUSED_PAUSE_S
from nearcast.payments.tab import Tab
from nearcast.payments.terms import terms_of
from nearcast.payments.till import REREAD_PAUSE_S, Till
from nearcast.transport.base import Stream
from nearcast.wire import FrameReader

LEAF = 1 << 20
PATIENCE_S = 10.0
OTHER = raw_cid(bytes(range(32)))


@dataclass
class TilledPayee(Payee):
    """A payee whose streams a till serves."""

    till: Till | None = None
    peer: bytes = b"p" * 32

    async def serve(self, stream: Stream) -> None:
        frames = FrameReader(stream.receive)
        first = await frames.message()
        assert is_hello(first)
        assert self.till is not None
        await self.till.collect(stream, frames, parse_hello(first), self.peer)


class LaterClock(SystemClock):
    """The machine's clock, some time later."""

    added_s = 0.0

    def unix_s(self) -> float:
        return super().unix_s() + self.added_s

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.added_s


@asynccontextmanager
async def _till(world: Payers, payee: TilledPayee) -> AsyncIterator[Till]:
    """The payee's till, open; closed as by a crash, what its ledger has is what it has."""
    settlement = Settlement(world.rpc, DEV.contracts["BatchSettlement"])
    terms = terms_of(DEV, payee.operator, payee.hot.address)
    with EarnedLedger.open(world.folder / FILE_NAME) as ledger:
        till = payee.till = Till(
            terms, ledger, settlement, confirmations=1, clock=world.clock, telemetry=world.telemetry
        )
        running = world.tasks.create_task(till.run())
        try:
            yield till
        finally:
            running.cancel()
            await asyncio.wait([running])


async def _deliver(till: Till, payee: TilledPayee, paying: ChannelPaying, leaves: int, nonce: bytes = b"n" * 16) -> Tab:
    """So many leaves by the till's rules, each verified when it came. False from the till is a failed test."""
    customer = await till.customer(paying.channel_id, payee.peer, PATIENCE_S)
    with customer.open_tab(ROOT, nonce, PRICE, role="cache", peer=payee.peer) as tab:
        for _ in range(leaves):
            assert await tab.room(LEAF, PATIENCE_S)
            tab.deliver(LEAF)
            await asyncio.sleep(0)
            paying.verified(LEAF, PRICE)
    return tab


async def _begin_withdrawal(world: Payers, channel: PayerChannel) -> None:
    """As another process of the payer's does it."""
    settlement = Settlement(world.rpc, DEV.contracts["BatchSettlement"])
    with TransactionJournal.open(world.folder / "other.sqlite3") as journal:
        await Sender(world.rpc, WALLET, journal).send(settlement.initiate_withdraw(channel.config, 5))


def _close_credit(till: Till, channel: PayerChannel) -> Customer:
    """As the payee's watch over the chain does it."""
    customer = till.find(channel.channel_id)
    assert customer is not None
    customer.close_credit("its payer is taking the channel's money back")
    return customer


async def _until_paid(till: Till, channel: PayerChannel) -> int:
    customer = till.find(channel.channel_id)
    assert customer is not None
    await customer.until_written(channel.account.signed_units)
    return customer.promise.units


def test_what_one_signs_the_other_holds(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        async with _till(world, payee) as till, world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            await _deliver(till, payee, paying, 30)
            await paying.settle_up()
            assert await _until_paid(till, channel) == whole_units(parts_of(30 * LEAF, PRICE))
        with EarnedLedger.open(world.folder / FILE_NAME) as earned, world.ledger() as spent:
            held = earned.newest(channel.channel_id)
            assert held is not None
            assert spent.promised() == {channel.channel_id: held.promise.units}
            assert sum(line.parts for line in spent.spendings()) == held.promise.units << PART_BITS

    run(test, tmp_path)


def test_parallel_answers_are_paid_from_one_channel(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        async with _till(world, payee) as till, world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            async with asyncio.TaskGroup() as answers:
                for number in range(5):
                    answers.create_task(_deliver(till, payee, paying, 10, bytes([number]) * 16))
            await paying.settle_up()
            assert await _until_paid(till, channel) == whole_units(parts_of(50 * LEAF, PRICE))

    run(test, tmp_path)


def test_both_are_restarted_and_go_on_where_they_were(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        for round_number in (1, 2, 3):
            async with _till(world, payee) as till, world.purse() as purse:
                channel, paying = await begin(world, purse, payee)
                await paying.ready(await world.connect(payee))
                await _deliver(till, payee, paying, 3)
                await paying.settle_up()
                assert await _until_paid(till, channel) == round_number * whole_units(parts_of(3 * LEAF, PRICE))

    run(test, tmp_path)


def test_a_channel_that_was_filled_up_pays_on(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        later = world.clock = LaterClock()
        budget = replace(BUDGET, deposit_units=5 * 1024)
        async with _till(world, payee) as till, world.purse(budget) as purse:
            channel, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            await paying.ready(connection)
            await _deliver(till, payee, paying, 5)
            await paying.settle_up()
            assert channel.left_units() == 0
            assert not paying.may_ask(LEAF)
            later.added_s = REREAD_PAUSE_S  # the till looks at the chain again when it may have changed
            assert await purse.channel_for(payee.record, 1024) is channel
            more = channel.paying(OTHER, PRICE, Allowance(5 * 1024))
            assert more.may_ask(5 * LEAF)
            channel.verify(str(OTHER), LEAF, PRICE)
            await more.settle_up()
            assert await _until_paid(till, channel) == 6 * 1024

    run(test, tmp_path)


def test_a_withdrawal_ends_the_credit_and_what_was_verified_is_still_paid(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        async with _till(world, payee) as till, world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            await paying.ready(connection)
            await _deliver(till, payee, paying, 2)
            paying.verified(LEAF, PRICE)
            await _begin_withdrawal(world, channel)
            customer = _close_credit(till, channel)
            while customer.promise.units < whole_units(parts_of(3 * LEAF, PRICE)):
                await world.rpc.head()
            with pytest.raises(RefusedError, match="taking the channel's money back"):
                await until_refused(world, paying, connection)

    run(test, tmp_path)


def test_the_download_after_a_withdrawal_has_another_channel(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        async with _till(world, payee) as till, world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            await paying.ready(connection)
            await _deliver(till, payee, paying, 2)
            await _begin_withdrawal(world, channel)
            _close_credit(till, channel)
            with pytest.raises(RefusedError, match="taking the channel's money back"):
                await until_refused(world, paying, connection)
            assert not purse.has_channel(payee.record)
            other, paying = await begin(world, purse, payee)
            assert other.channel_id != channel.channel_id
            assert channel.retired is not None
            await paying.ready(connection)
            await _deliver(till, payee, paying, 2)
            await paying.settle_up()
            assert await _until_paid(till, other) == 2 * 1024

    run(test, tmp_path)


def test_the_first_greeting_after_a_withdrawal_is_refused_and_the_next_download_has_another_channel(
    tmp_path: Path,
) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        async with _till(world, payee), world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            await _begin_withdrawal(world, channel)
            connection = await world.connect(payee)
            with pytest.raises(RefusedError, match="takes no payment on this channel"):
                await until_refused(world, paying, connection)
            assert (await purse.channel_for(payee.record, 10)).channel_id != channel.channel_id

    run(test, tmp_path)


def test_a_withdrawal_that_nobody_tells_of_is_seen_by_the_next_look(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        later = world.clock = LaterClock()
        async with world.purse() as purse:
            channel, _ = await begin(world, purse, payee)
            await _begin_withdrawal(world, channel)
            later.added_s = LOOK_AGAIN_S + 1
            assert await purse.channel_for(payee.record, 10) is channel, "nobody waits for the look"
            while channel.retired is None:
                await world.rpc.head()
            assert (await purse.channel_for(payee.record, 10)).channel_id != channel.channel_id

    run(test, tmp_path)


def test_for_a_refusal_that_the_chain_does_not_explain_no_money_is_paid_in(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        later = world.clock = LaterClock()
        async with _till(world, payee) as till, world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            await paying.ready(connection)
            await _deliver(till, payee, paying, 1)
            _close_credit(till, channel)
            with pytest.raises(RefusedError):
                await until_refused(world, paying, connection)
            with pytest.raises(RefusedError, match="takes no payment on this channel"):
                await purse.channel_for(payee.record, 10)
            later.added_s = REFUSED_PAUSE_S
            again, paying = await begin(world, purse, payee)
            assert again is channel
            await paying.ready(connection)
            await _deliver(till, payee, paying, 1)
            await paying.settle_up()
            assert await _until_paid(till, channel) == 2 * 1024

    run(test, tmp_path)


def test_who_comes_back_over_a_new_connection_keeps_the_channel(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = TilledPayee()
        async with _till(world, payee) as till, world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            old = await world.connect(payee)
            await paying.ready(old)
            await _deliver(till, payee, paying, 1)
            await paying.ready(await world.connect(payee))
            with pytest.raises(RefusedError, match="came back over another stream"):
                await until_refused(world, paying, old)
            assert await purse.channel_for(payee.record, 10) is channel

    run(test, tmp_path)
