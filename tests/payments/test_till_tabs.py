"""Answers that are paid as they flow: they leave within the window, wait for vouchers, and end when they must."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.payments.shop import CAPACITY, PayEnd, Payer, Shop, open_shop, until

from nearcast.content.cid import raw_cid
from nearcast.errors import DiskFullError, RefusedError, StoreError
from nearcast.payments import tab as tab_module
from nearcast.payments import voucher_writer
from nearcast.payments.credit import FORGIVEN_BYTES, PART_BITS, cost_units
from nearcast.payments.credit_line import LOST_S
from nearcast.payments.customer import Customer
from nearcast.payments.messages import Stop, Unwelcome, stop_fields
from nearcast.payments.tab import Tab

PRICE = 10_000
MIB = 1 << 20
ROOT, OTHER = raw_cid(b"r" * 32), raw_cid(b"o" * 32)
NONCE = b"n" * 16
PATIENCE_S = 5.0


async def greeted(shop: Shop, payer: Payer) -> tuple[Customer, PayEnd]:
    end = await shop.greet(shop.open_channel(payer))
    await end.answer()
    return await shop.till.customer(payer.channel, end.peer, PATIENCE_S), end


def opened(customer: Customer, end: PayEnd, root: Any = ROOT, *, price: int = PRICE, nonce: bytes = NONCE) -> Tab:
    return customer.open_tab(root, nonce, price, role="cache", peer=end.peer)


def in_shop(act: Callable[[Shop], Awaitable[None]], folder: Path) -> None:
    async def scenario() -> None:
        async with open_shop(folder) as shop:
            await act(shop)

    asyncio.run(scenario())


def test_an_answer_waits_for_a_voucher_and_goes_on(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as tab:
            assert await tab.room(MIB, 0)
            tab.deliver(MIB)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(tab.room(MIB, PATIENCE_S))
                await asyncio.sleep(0)
                assert not waiting.done()
                await end.pay(payer.promise(cost_units(MIB, PRICE) - 1))
            assert waiting.result()
            assert tab.delivered_bytes == MIB

    in_shop(act, tmp_path)


def test_nobody_waits_longer_than_its_patience(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        with opened(customer, end) as tab:
            tab.deliver(MIB)
            assert not await tab.room(MIB, 0.01)
            assert not tab.is_stopped

    in_shop(act, tmp_path)


def test_patience_begins_anew_with_every_voucher(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as tab:
            tab.deliver(MIB)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(tab.room(MIB, 300))
                for units in range(1, 5):
                    shop.clock.ahead_s += 200
                    await end.pay(payer.promise(units))
                    await customer.until_written(units)
                    assert not waiting.done()
                await asyncio.sleep(0)
                shop.clock.ahead_s += 301
                customer.checked(CAPACITY)  # anything that makes it look again
            assert not waiting.result()

    in_shop(act, tmp_path)


def test_the_payer_may_stop_one_answer(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        with opened(customer, end) as tab, opened(customer, end, nonce=b"o" * 16) as other:
            await end.say(stop_fields(Stop(b"x" * 16)), stop_fields(Stop(NONCE)))
            tab.deliver(MIB)
            assert not await tab.room(MIB, PATIENCE_S)
            assert tab.is_stopped
            assert not other.is_stopped

    in_shop(act, tmp_path)


def test_another_peer_cannot_stop_an_answer(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        stranger = await shop.greet(Payer(1))
        await stranger.answer()
        with opened(customer, end) as tab:
            await stranger.say(stop_fields(Stop(NONCE)))
            await stranger.stream.send.finish()
            await shop.counted("pay_streams_ended")
            assert not tab.is_stopped

    in_shop(act, tmp_path)


def test_an_answer_ends_with_the_payment_stream_that_it_relies_on(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        with opened(customer, end) as tab:
            tab.deliver(MIB)
            await end.visitor.connection.close()
            assert not await tab.room(MIB, PATIENCE_S)
            assert tab.is_stopped

    in_shop(act, tmp_path)


def test_credit_that_is_closed_ends_answers_and_streams_but_still_takes_vouchers(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as tab:
            tab.deliver(MIB)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(tab.room(MIB, PATIENCE_S))
                await asyncio.sleep(0)
                customer.close_credit("the payer withdraws")
            assert not waiting.result()
            assert tab.is_stopped
        assert await end.answer() == Unwelcome("the payer withdraws")
        await end.pay(payer.promise(9))
        await until(lambda: customer.account.paid_units == 9)
        await end.stream.send.finish()
        await shop.counted("pay_streams_ended")
        with pytest.raises(RefusedError):
            await shop.till.customer(payer.channel, end.peer, 0.01)

    in_shop(act, tmp_path)


def test_who_just_stops_paying_gets_one_window_whatever_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tab_module, "QUIET_S", 0.01)

    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        for number in range(3):
            with opened(customer, end, nonce=bytes([number]) * 16) as tab:
                while await tab.room(1 << 16, 0.05):
                    tab.deliver(1 << 16)
        assert customer.account.delivered_parts == MIB * PRICE
        shop.clock.ahead_s += LOST_S  # nor is it stuck for ever: the whole window may have been lost
        with opened(customer, end) as tab:
            assert tab.may_send(1 << 16)

    in_shop(act, tmp_path)


def test_what_was_lost_is_forgiven_to_a_payer_that_comes_back_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tab_module, "QUIET_S", 0.02)

    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        for _ in range(FORGIVEN_BYTES // MIB + 1):  # what is borne per channel, and a window
            with opened(customer, end) as tab:
                assert await tab.room(MIB, 0)
                tab.deliver(MIB)
            end = await shop.greet(payer)
            await end.answer()
        with opened(customer, end) as tab:
            assert not await tab.room(MIB, 60)  # and nobody waits for what cannot come
            assert tab.is_worn_out
            await end.pay(payer.promise(cost_units(MIB, PRICE) - 1))  # it had arrived after all
            assert await tab.room(MIB, PATIENCE_S)
            assert not tab.is_worn_out

    in_shop(act, tmp_path)


def test_answers_that_all_wait_go_on_when_what_is_owed_cannot_arrive_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tab_module, "QUIET_S", 0.02)

    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        with opened(customer, end, nonce=b"c" * 16) as cut:
            cut.deliver(MIB // 2)  # and nothing of it arrives
        with opened(customer, end) as one, opened(customer, end, OTHER, nonce=b"o" * 16) as other:
            one.deliver(MIB // 2)
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(tab.room(MIB, PATIENCE_S)) for tab in (one, other)]
                await end.pay(payer.promise(4))  # for half a MiB, less what is no unit
            assert [task.result() for task in waiting] == [True, True]
            assert customer.account.forgiven_parts == MIB * PRICE - (4 << PART_BITS)

    in_shop(act, tmp_path)


def test_parallel_answers_share_one_window(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        delivered_bytes = 0

        async def answer(nonce: bytes) -> None:
            nonlocal delivered_bytes
            with opened(customer, end, nonce=nonce) as tab:
                for _ in range(100):
                    assert await tab.room(10_000, PATIENCE_S)
                    tab.deliver(10_000)
                    delivered_bytes += 10_000
                    assert customer.account.unpaid_parts <= (MIB * PRICE) + (1 << PART_BITS)

        async def pay() -> None:
            while delivered_bytes < 4_000_000:
                await asyncio.sleep(0)
                units = delivered_bytes * PRICE >> PART_BITS
                if units > customer.promise.units:
                    await end.pay(payer.promise(units))
                    await customer.until_written(units)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(answer(bytes([number]) * 16))
            group.create_task(pay())
        assert customer.account.delivered_parts == 4_000_000 * PRICE
        assert customer.account.open_streams == 0

    in_shop(act, tmp_path)


# The books.


def test_payments_are_booked_to_what_was_delivered_first(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as tab, opened(customer, end, OTHER) as other:
            tab.deliver(MIB)
            other.deliver(MIB // 2)
        await customer.pay(payer.promise(12))
        sales = {sale.key.root: sale for sale in shop.ledger.sales()}
        assert sales[str(ROOT)].delivered_bytes == MIB
        assert sales[str(ROOT)].paid_parts == sales[str(ROOT)].delivered_parts == MIB * PRICE
        assert sales[str(OTHER)].paid_parts == (12 << PART_BITS) - MIB * PRICE
        assert {sale.key.payer for sale in sales.values()} == {payer.wallet.address}

    in_shop(act, tmp_path)


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    payer = Payer(1)

    async def before(shop: Shop) -> None:
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as tab:
            tab.deliver(MIB)
        await customer.pay(payer.promise(3))

    async def after(shop: Shop) -> None:
        customer, _ = await greeted(shop, payer)
        assert customer.promise == payer.promise(3)
        assert customer.account.delivered_parts == MIB * PRICE
        await customer.pay(payer.promise(11))
        sales = {sale.key.root: sale for sale in shop.ledger.sales()}
        assert sales[str(ROOT)].paid_parts == MIB * PRICE
        assert sales[""].paid_parts == sales[""].delivered_parts == (11 << PART_BITS) - MIB * PRICE
        assert sum(sale.paid_parts for sale in sales.values()) == 11 << PART_BITS

    in_shop(before, tmp_path)
    in_shop(after, tmp_path)


def test_what_was_forgiven_is_not_owed_after_a_restart_either(tmp_path: Path) -> None:
    payer = Payer(1)

    async def before(shop: Shop) -> None:
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as tab:
            tab.deliver(MIB)
        await (await shop.greet(payer)).answer()
        with opened(customer, end, OTHER) as tab:
            assert tab.may_send(MIB)
            tab.deliver(1 << 16)

    async def after(shop: Shop) -> None:
        customer, _ = await greeted(shop, payer)
        assert customer.account.delivered_parts == 0, "less than a unit is forgotten when the payer greets anew"
        assert customer.account.forgiven_parts == PRICE * MIB + (PRICE << 16)
        await customer.pay(payer.promise(1))
        sales = {sale.key.root: sale.paid_parts for sale in shop.ledger.sales()}
        assert sales == {str(ROOT): 0, str(OTHER): PRICE << 16, "": (1 << PART_BITS) - (PRICE << 16)}

    in_shop(before, tmp_path)
    in_shop(after, tmp_path)


def test_what_was_delivered_is_on_disk_soon_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voucher_writer, "SALES_PAUSE_S", 0.01)

    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        with opened(customer, end) as tab:
            tab.deliver(5)
            await until(lambda: [sale.delivered_bytes for sale in shop.ledger.sales()] == [5])
            monkeypatch.setattr(voucher_writer, "SALES_PAUSE_S", 60.0)
            tab.deliver(6)

    async def after(shop: Shop) -> None:
        assert [sale.delivered_bytes for sale in shop.ledger.sales()] == [11]

    in_shop(act, tmp_path)
    in_shop(after, tmp_path)


def test_a_voucher_counts_only_once_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voucher_writer, "RETRY_S", 0.01)

    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        record = shop.ledger.record_vouchers

        def full(*_: Any) -> None:
            raise DiskFullError("no space")

        monkeypatch.setattr(shop.ledger, "record_vouchers", full)
        with opened(customer, end) as tab:
            tab.deliver(MIB)
            await end.pay(payer.promise(7))
            await shop.counted("voucher_write_failures", 2)
            assert customer.account.paid_units == 0
            assert not tab.may_send(MIB)
            with pytest.raises(StoreError):
                await customer.pay(payer.promise(8))
            monkeypatch.setattr(shop.ledger, "record_vouchers", record)
            await until(lambda: customer.account.paid_units == 8)
        await customer.pay(payer.promise(9))
        (sale,) = shop.ledger.sales()
        assert (sale.delivered_bytes, sale.paid_parts) == (MIB, 9 << PART_BITS)

    in_shop(act, tmp_path)


def test_a_channel_is_not_served_beyond_what_it_holds(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1), 2)
        end = await shop.greet(payer)
        await end.answer()
        customer = await shop.till.customer(payer.channel, end.peer, PATIENCE_S)
        with opened(customer, end) as tab:
            tab.deliver(MIB)  # one block is borne
            await customer.pay(payer.promise(2))
            assert not await tab.room(1, PATIENCE_S)

    in_shop(act, tmp_path)
