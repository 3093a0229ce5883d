"""What a relay spends for a channel that does not take it: bounded, whatever it asks for and however it goes away."""

import asyncio
from pathlib import Path

from tests.payments.shop import Payer, Shop
from tests.payments.test_till_tabs import MIB, OTHER, PATIENCE_S, PRICE, greeted, in_shop, opened

from nearcast.payments.budget import BackedAllowance
from nearcast.payments.credit import BROUGHT_BYTES, cost_units, parts_of
from nearcast.payments.tab import Tab

CAP_UNITS = 10**9


def test_what_was_brought_and_not_taken_has_a_bound_over_all_answers(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        spent_bytes = 0
        for _ in range(10):  # each time it asks for something else, and goes away before it takes any of it
            with opened(customer, end) as tab:
                allowance = BackedAllowance(CAP_UNITS, lambda: [tab])
                for _ in range(16):
                    if allowance.pot.free_parts(allowance):
                        allowance.spend(allowance, MIB, PRICE)
                        spent_bytes += MIB
        assert spent_bytes == BROUGHT_BYTES
        with opened(customer, end, OTHER) as tab:
            assert not await tab.may_bring(MIB, 0)

    in_shop(act, tmp_path)


def test_what_is_brought_and_taken_costs_no_trust(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as tab:
            allowance = BackedAllowance(CAP_UNITS, lambda: [tab])
            for number in range(1, 2 * BROUGHT_BYTES // MIB):
                assert await tab.may_bring(MIB, PATIENCE_S)
                assert allowance.pot.free_parts(allowance)
                allowance.spend(allowance, MIB, PRICE)
                assert await tab.room(MIB, PATIENCE_S)
                tab.deliver(MIB)
                await end.pay(payer.promise(cost_units(number * MIB, PRICE) - 1))
            assert customer.account.brought_parts == 0

    in_shop(act, tmp_path)


def test_who_breaks_off_and_comes_back_for_it_loses_no_trust(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        taken_bytes = 0
        for _ in range(4 * BROUGHT_BYTES // (16 * MIB)):
            with opened(customer, end) as tab:  # a run of leaves is brought, and the reader breaks off
                allowance = BackedAllowance(CAP_UNITS, lambda: [tab])
                assert await tab.may_bring(16 * MIB, PATIENCE_S)
                for _ in range(16):
                    allowance.spend(allowance, MIB, PRICE)
            with opened(customer, end) as tab:  # it is here by now, and is taken
                for _ in range(16):
                    assert await tab.room(MIB, PATIENCE_S)
                    tab.deliver(MIB)
                    taken_bytes += MIB
                    await end.pay(payer.promise(cost_units(taken_bytes, PRICE) - 1))
            assert customer.account.brought_parts == 0

    in_shop(act, tmp_path)


def test_what_is_brought_for_an_answer_that_has_ended_is_there_for_the_next(tmp_path: Path) -> None:
    """It was asked for while the answer waited: a reader that was killed must not leave a mark on its channel."""

    async def act(shop: Shop) -> None:
        payer = Payer(1)
        customer, end = await greeted(shop, payer)
        with opened(customer, end) as gone:
            assert await gone.may_bring(MIB, PATIENCE_S)
        gone.bring(parts_of(MIB, PRICE))
        assert customer.account.brought_parts == parts_of(MIB, PRICE)
        with opened(customer, end) as tab:
            assert await tab.room(MIB, PATIENCE_S)
            tab.deliver(MIB)
        assert customer.account.brought_parts == 0

    in_shop(act, tmp_path)


def test_several_answers_wait_for_each_other_and_not_in_vain(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        customer, end = await greeted(shop, Payer(1))
        async with asyncio.TaskGroup() as group:
            with opened(customer, end, OTHER) as other:
                with opened(customer, end) as one:
                    assert await one.may_bring(BROUGHT_BYTES - MIB, PATIENCE_S)
                    waiting = group.create_task(other.may_bring(2 * MIB, PATIENCE_S))
                    await asyncio.sleep(0)
                    one.bring(parts_of(MIB, PRICE))
                    await asyncio.sleep(0)
                    assert not waiting.done()
                assert await waiting
                assert other.aside_parts == parts_of(2 * MIB, PRICE)

    in_shop(act, tmp_path)


def test_two_who_wait_for_the_same_each_bear_their_own(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        tabs: list[Tab] = []
        for number in (1, 2):
            customer, end = await greeted(shop, Payer(number))
            tabs.append(opened(customer, end))
        with tabs[0], tabs[1]:
            allowance = BackedAllowance(CAP_UNITS, lambda: tabs)
            for tab in tabs:
                assert await tab.may_bring(8 * MIB, PATIENCE_S)
            for _ in range(16):
                allowance.spend(allowance, MIB, PRICE)
            assert [tab.aside_parts for tab in tabs] == [0, 0]
            left_parts = [tab._line.account.brought_parts for tab in tabs]
            assert left_parts == [parts_of(8 * MIB, PRICE)] * 2

    in_shop(act, tmp_path)
