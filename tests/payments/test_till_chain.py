"""What the chain says decides who gets credit: on a real chain, and on one that fails or changes in between."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.payments.claim_stage import PAYER_HOT, TERMS, USDC, Stage, config_of, id_of, on_stage
from tests.payments.shop import CAPACITY, NOTHING, OPEN, Payer, Shop, open_shop, until

from nearcast.chain.bindings.settlement import ChannelState
from nearcast.chain.channels import AMOUNT_UNITS_MAX
from nearcast.content.cid import raw_cid
from nearcast.errors import RefusedError, StoreError
from nearcast.payments import till as till_module
from nearcast.payments.admission import WITHDRAWING
from nearcast.payments.customer import Customer
from nearcast.payments.messages import Unwelcome, Welcome
from nearcast.payments.terms import WITHDRAW_DELAY_MIN_S

ROOT = raw_cid(b"r" * 32)
MIB = 1 << 20
WITHDRAWN = ChannelState(CAPACITY, 0, 5, 1_800_000_000, 0)


def in_shop(act: Callable[[Shop], Awaitable[None]], folder: Path, **options: Any) -> None:
    async def scenario() -> None:
        async with open_shop(folder, **options) as shop:
            await act(shop)

    asyncio.run(scenario())


def real_payer(number: int) -> Payer:
    """A payer of the development chain."""
    payer = Payer(number)
    payer.hot, payer.config = PAYER_HOT, config_of(number)
    payer.channel = id_of(payer.config)
    return payer


def test_a_deposit_counts_when_it_is_confirmed_and_a_withdrawal_at_once(tmp_path: Path) -> None:
    async def test(stage: Stage) -> None:
        shop_folder = tmp_path / "shop"
        async with open_shop(shop_folder, confirmations=4, terms=TERMS, settlement=stage.settlement) as shop:
            payer = real_payer(1)
            refused = await (await shop.greet(payer)).answer()
            assert isinstance(refused, Unwelcome)
            await stage.open(payer.config, units=3 * USDC)  # one block of confirmation
            assert isinstance(await (await shop.greet(payer)).answer(), Unwelcome)
            stage.served.chain.mine(2)
            assert isinstance(await (await shop.greet(payer)).answer(), Unwelcome)
            stage.served.chain.mine()
            end = await shop.greet(payer)
            assert await end.answer() == Welcome(NOTHING, 3 * USDC)

            await stage.open(payer.config, units=2 * USDC)
            stage.served.chain.mine(3)
            shop.clock.ahead_s += 60
            await end.pay(payer.promise(4 * USDC))  # over what it held when it was greeted
            customer = await shop.till.customer(payer.channel, end.peer, 1)
            await until(lambda: customer.account.paid_units == 4 * USDC)
            assert customer.account.capacity_units == 5 * USDC

            other = real_payer(2)
            await stage.open(other.config)
            await stage.withdraw(other.config, 1)
            stage.served.chain.mine(3)
            assert await (await shop.greet(other)).answer() == Unwelcome(WITHDRAWING)

    on_stage(tmp_path, test)


def test_a_channel_that_was_claimed_by_a_lost_ledger_begins_where_the_chain_is(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = Payer(1)
        shop.chain.states[payer.channel] = ChannelState(CAPACITY, 700, 0, 0, 0)
        customer = await shop.till.take(payer.config, payer.promise(300))
        assert customer.account.paid_units == 700
        await customer.pay(payer.promise(701))
        assert customer.account.paid_units == 701
        assert sum(sale.paid_parts for sale in shop.ledger.sales()) == 701 << 30  # as the voucher that is held says

    in_shop(act, tmp_path)


def test_only_the_confirmed_part_of_a_balance_counts(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        shop.chain.states[payer.channel] = ChannelState(5 * CAPACITY, 0, 0, 0, 0)
        assert await (await shop.greet(payer)).answer() == Welcome(NOTHING, CAPACITY)
        shop.chain.states[payer.channel] = ChannelState(7, 0, 0, 0, 0)  # the rest was just refunded
        other = shop.open_channel(Payer(2))
        shop.chain.states[other.channel] = ChannelState(7, 0, 0, 0, 0)
        assert await (await shop.greet(other)).answer() == Welcome(NOTHING, 7)

    in_shop(act, tmp_path, confirmations=3)


def test_a_chain_that_does_not_answer_is_named_to_nobody(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        shop.chain.is_down = True
        answer = await (await shop.greet(shop.open_channel(Payer(1)))).answer()
        assert isinstance(answer, Unwelcome)
        assert "secret-endpoint" not in answer.text

    in_shop(act, tmp_path)


def test_a_balance_beyond_all_money_harms_nobody(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1), (1 << 112) - 1)
        end = await shop.greet(payer)
        assert await end.answer() == Welcome(NOTHING, AMOUNT_UNITS_MAX)
        await end.pay(payer.promise(AMOUNT_UNITS_MAX))
        customer = await shop.till.customer(payer.channel, end.peer, 1)
        await customer.until_written(AMOUNT_UNITS_MAX)

    in_shop(act, tmp_path)


def test_books_that_cannot_be_read_refuse_one_payer_and_end_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(shop: Shop) -> None:
        def damaged(_: bytes) -> None:
            raise StoreError("/home/somebody/earned.sqlite3 is damaged")

        payer = shop.open_channel(Payer(1))
        with monkeypatch.context() as patch:
            patch.setattr(shop.ledger, "newest", damaged)
            answer = await (await shop.greet(payer)).answer()
        assert isinstance(answer, Unwelcome)
        assert "somebody" not in answer.text
        assert isinstance(await (await shop.greet(payer)).answer(), Welcome)

    in_shop(act, tmp_path)


def earn_once(folder: Path, payer: Payer) -> None:
    """The ledger knows the channel from now on."""

    async def act(shop: Shop) -> None:
        await shop.till.take(shop.open_channel(payer).config, payer.promise(6))

    in_shop(act, folder)


def test_a_known_channel_does_not_wait_for_the_chain(tmp_path: Path) -> None:
    payer = Payer(1)
    earn_once(tmp_path, payer)

    async def act(shop: Shop) -> None:
        shop.chain.is_down = True
        end = await shop.greet(payer)
        assert await end.answer() == Welcome(payer.promise(6), CAPACITY)
        await shop.counted("chain_unreadable")
        await shop.till.customer(payer.channel, end.peer, 0)

    in_shop(act, tmp_path)


def test_a_known_channel_is_read_again_in_the_background(tmp_path: Path) -> None:
    payer = Payer(1)
    earn_once(tmp_path, payer)

    async def act(shop: Shop) -> None:
        shop.chain.states[payer.channel] = WITHDRAWN
        end = await shop.greet(payer)
        assert isinstance(await end.answer(), Welcome)
        assert await end.answer() == Unwelcome(WITHDRAWING)
        with pytest.raises(RefusedError):
            await shop.till.customer(payer.channel, end.peer, 0)

    in_shop(act, tmp_path)


def test_a_channel_that_was_not_read_for_long_waits_for_the_chain(tmp_path: Path) -> None:
    payer = Payer(1, withdraw_delay_s=WITHDRAW_DELAY_MIN_S)
    earn_once(tmp_path, payer)

    async def act(shop: Shop) -> None:
        shop.clock.ahead_s = WITHDRAW_DELAY_MIN_S / 2 + 1
        shop.chain.is_down = True
        assert isinstance(await (await shop.greet(payer)).answer(), Unwelcome)
        shop.clock.ahead_s = -60  # the clock was set back: what it said before means nothing
        assert isinstance(await (await shop.greet(payer)).answer(), Unwelcome)

    in_shop(act, tmp_path)


async def withdrawing(shop: Shop) -> tuple[Payer, Customer]:
    """A customer who was welcome, then began to withdraw, and was told what that means."""
    payer = shop.open_channel(Payer(1))
    end = await shop.greet(payer)
    await end.answer()
    customer = await shop.till.customer(payer.channel, end.peer, 1)
    shop.chain.states[payer.channel] = WITHDRAWN
    customer.close_credit(WITHDRAWING)
    assert await end.answer() == Unwelcome(WITHDRAWING)
    return payer, customer


def test_credit_opens_again_when_the_withdrawal_is_over(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer, customer = await withdrawing(shop)
        assert await (await shop.greet(payer)).answer() == Unwelcome(WITHDRAWING)
        shop.chain.states[payer.channel] = OPEN
        again = await shop.greet(payer)
        assert await again.answer() == Welcome(NOTHING, CAPACITY)
        with customer.open_tab(ROOT, b"n" * 16, 1, role="cache", peer=again.peer) as tab:
            assert tab.may_send(1)

    in_shop(act, tmp_path)


def test_a_voucher_shown_by_a_channel_that_is_being_withdrawn_is_kept_though_it_gets_no_credit(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer, customer = await withdrawing(shop)
        assert await (await shop.greet(payer, payer.promise(7))).answer() == Unwelcome(WITHDRAWING)
        await customer.until_written(7)
        newest = shop.ledger.newest(payer.channel)
        assert newest is not None
        assert newest.promise.units == 7

    in_shop(act, tmp_path)


def test_a_withdrawal_that_is_seen_while_the_chain_is_read_is_not_forgotten(tmp_path: Path) -> None:
    payer = Payer(1)
    earn_once(tmp_path, payer)

    async def act(shop: Shop) -> None:
        shop.open_channel(payer)
        end = await shop.greet(payer)  # read in the background, before the withdrawal
        await until(lambda: shop.chain.reads == 1)
        customer = shop.till.find(payer.channel)
        assert customer is not None
        customer.close_credit(WITHDRAWING)
        await end.answer()
        assert await end.answer() == Unwelcome(WITHDRAWING)
        assert customer.closed_reason == WITHDRAWING

    in_shop(act, tmp_path)


def test_a_voucher_over_too_much_asks_the_chain_once_and_not_at_every_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(till_module, "REREAD_PAUSE_S", 30.0)

    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        for _ in range(5):
            end = await shop.greet(payer, payer.promise(CAPACITY + 1))
            assert isinstance(await end.answer(), Unwelcome)
        assert shop.chain.reads == 1
        shop.open_channel(payer, 2 * CAPACITY)
        shop.clock.ahead_s += 31
        end = await shop.greet(payer, payer.promise(CAPACITY + 1))
        assert await end.answer() == Welcome(payer.promise(CAPACITY + 1), 2 * CAPACITY)
        assert shop.chain.reads == 2

    in_shop(act, tmp_path)


def test_an_answer_goes_on_when_the_channel_was_filled_up_and_ends_when_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(till_module, "REREAD_PAUSE_S", 0.05)

    async def act(shop: Shop) -> None:
        payer = Payer(1)
        end = await shop.greet(shop.open_channel(payer))
        await end.answer()
        customer = await shop.till.customer(payer.channel, end.peer, 1)
        with customer.open_tab(ROOT, b"n" * 16, CAPACITY << 10, role="cache", peer=end.peer) as tab:
            assert await tab.room(MIB, 0)  # it costs all that there is
            tab.deliver(MIB)
            await end.pay(payer.promise(CAPACITY))
            await until(lambda: customer.account.paid_units == CAPACITY)
            assert not await tab.room(MIB, 5)
            assert tab.is_exhausted
            shop.open_channel(payer, 2 * CAPACITY)  # which the payer knows, and this node was not told
            assert await tab.room(MIB, 5)
            assert customer.account.capacity_units == 2 * CAPACITY

    in_shop(act, tmp_path)


def test_who_makes_up_channels_keeps_nobody_waiting_for_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(shop: Shop) -> None:
        real, asked, go = shop.chain.channel, list[bytes](), asyncio.Event()
        honest = shop.open_channel(Payer(1))

        async def slow_for_others(channel: bytes, **where: Any) -> ChannelState:
            if channel != honest.channel:
                asked.append(channel)
                await go.wait()
            return await real(channel, **where)

        monkeypatch.setattr(shop.chain, "channel", slow_for_others)
        liar = await shop.visit()
        made_up = [Payer(2, salt=number.to_bytes(32)) for number in range(2 * till_module.READS_AT_ONCE)]
        ends = [await shop.greet(payer, visitor=liar) for payer in made_up]
        await until(lambda: bool(asked))
        async with asyncio.timeout(5):
            assert isinstance(await (await shop.greet(honest)).answer(), Welcome)
        assert len(asked) == 1
        go.set()
        for end in ends:
            assert isinstance(await end.answer(), Unwelcome)

    in_shop(act, tmp_path)
