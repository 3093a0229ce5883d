"""A till takes the channels that pay it and the vouchers that are good, and gives nobody else credit."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.payments.shop import CAPACITY, CHAIN_ID, DOMAIN, HOT, NOTHING, OPERATOR, Payer, Shop, open_shop, until

from nearcast.chain.vouchers import channel_id
from nearcast.content.cid import raw_cid
from nearcast.errors import RefusedError
from nearcast.keys import new_identity
from nearcast.payments import collecting
from nearcast.payments import till as till_module
from nearcast.payments.messages import Hello, Promise, Unwelcome, Welcome, hello_fields, proof_of
from nearcast.payments.till import STREAMS_PER_PEER_MAX

PRICE = 10_000
MIB = 1 << 20
ROOT = raw_cid(b"r" * 32)
NONCE = b"n" * 16
PATIENCE_S = 5.0


def in_shop(act: Callable[[Shop], Awaitable[None]], folder: Path, **options: Any) -> None:
    async def scenario() -> None:
        async with open_shop(folder, **options) as shop:
            await act(shop)

    asyncio.run(scenario())


# Vouchers.


def test_a_channel_is_welcomed_and_its_vouchers_are_paid(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        end = await shop.greet(payer)
        assert await end.answer() == Welcome(NOTHING, CAPACITY)
        await end.pay(payer.promise(5), payer.promise(9))
        customer = shop.till.find(payer.channel)
        assert customer is not None
        await until(lambda: customer.account.paid_units == 9)
        held = shop.ledger.newest(payer.channel)
        assert held is not None
        assert held.promise == payer.promise(9)

    in_shop(act, tmp_path)


def test_the_till_ends_its_half_when_every_voucher_is_on_disk(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        end = await shop.greet(payer)
        await end.answer()
        await end.pay(payer.promise(5))
        await end.stream.send.finish()
        assert await end.is_over()
        held = shop.ledger.newest(payer.channel)
        assert held is not None
        assert held.promise == payer.promise(5)

    in_shop(act, tmp_path)


def test_old_and_repeated_vouchers_are_counted_and_change_nothing(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        end = await shop.greet(payer, payer.promise(9))
        await end.answer()
        await end.pay(payer.promise(9), payer.promise(3), NOTHING, payer.promise(10))
        await shop.counted("vouchers_stale", 3)
        customer = shop.till.find(payer.channel)
        assert customer is not None
        await until(lambda: customer.account.paid_units == 10)

    in_shop(act, tmp_path)


BAD_PROMISES: dict[str, Callable[[Payer], Promise]] = {
    "of another key": lambda payer: payer.promise(5, signer=payer.wallet),
    "of another channel": lambda payer: payer.promise(5, channel=bytes(32)),
    "over more than there is": lambda payer: payer.promise(CAPACITY + 1),
    "of nobody": lambda payer: replace(payer.promise(5), signature=b"\x11" * 65),
}


@pytest.mark.parametrize("kind", BAD_PROMISES)
def test_a_bad_voucher_ends_the_stream_and_the_credit_of_that_peer(tmp_path: Path, kind: str) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        bad, good = await shop.greet(payer), await shop.greet(payer)
        for end in (bad, good):
            await end.answer()
        await bad.pay(BAD_PROMISES[kind](payer))
        assert isinstance(await bad.answer(), Unwelcome)
        assert await bad.is_over()
        await shop.counted("pay_streams_ended")
        with pytest.raises(RefusedError):
            await shop.till.customer(payer.channel, bad.peer, 0.01)
        customer = await shop.till.customer(payer.channel, good.peer, 0.01)
        assert customer.account.paid_units == 0
        assert shop.ledger.channels() == []

    in_shop(act, tmp_path)


@pytest.mark.parametrize("said", [{"units": "many"}, {"stop": b"short"}, {}, [1, 2]], ids=str)
def test_a_word_that_is_none_ends_the_stream(tmp_path: Path, said: Any) -> None:
    async def act(shop: Shop) -> None:
        end = await shop.greet(shop.open_channel(Payer(1)))
        await end.answer()
        await end.say(said)
        assert isinstance(await end.answer(), Unwelcome)
        assert await end.is_over()

    in_shop(act, tmp_path)


@pytest.mark.parametrize("data", [b"\xff" * 4, b"\x80\0\0\1x", b"\0\0\0\2\xff\xff", b"\0\0\1"])
def test_bytes_that_are_no_message_end_the_stream(tmp_path: Path, data: bytes) -> None:
    async def act(shop: Shop) -> None:
        end = await shop.greet(shop.open_channel(Payer(1)))
        await end.answer()
        await end.stream.send.write(data)
        await end.stream.send.finish()
        assert isinstance(await end.answer(), Unwelcome)

    in_shop(act, tmp_path)


def test_a_payer_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        end = await shop.greet(payer, payer.promise(4))
        await end.answer()
        await end.visitor.connection.close()
        await shop.counted("payers_gone")
        reset = await shop.greet(payer)
        await reset.answer()
        await reset.stream.send.reset(1)
        await shop.counted("payers_gone", 2)
        await shop.counted("pay_streams_ended", 2)

    in_shop(act, tmp_path)


def test_a_flood_of_vouchers_is_slowed_and_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "WORDS_AT_ONCE_MAX", 10)
    monkeypatch.setattr(collecting, "WORDS_PER_S_MAX", 1_000)

    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        end = await shop.greet(payer)
        start_s = time.monotonic()
        await end.pay(*[payer.promise(units) for units in range(1, 111)])
        await shop.counted("vouchers_verified", 110)
        assert time.monotonic() - start_s > 0.09

    in_shop(act, tmp_path)


# Who is a customer.


def test_a_greeting_may_come_after_the_request(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer, visitor = shop.open_channel(Payer(1)), await shop.visit()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(shop.till.customer(payer.channel, visitor.peer, PATIENCE_S))
            await asyncio.sleep(0)
            await shop.greet(payer, visitor=visitor)
        assert asked.result() is shop.till.find(payer.channel)
        assert (await asked).payer == payer.wallet.address

    in_shop(act, tmp_path)


def test_another_peer_gets_no_credit_on_a_channel_that_was_greeted(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer, stranger = shop.open_channel(Payer(1)), await shop.visit()
        await (await shop.greet(payer)).answer()
        with pytest.raises(RefusedError):
            await shop.till.customer(payer.channel, stranger.peer, 0.01)
        forged = hello_fields(payer.hello(proof=proof_of(DOMAIN, payer.config, payer.wallet)))
        assert isinstance(await (await shop.open_stream(forged, visitor=stranger)).answer(), Unwelcome)
        with pytest.raises(RefusedError):
            await shop.till.customer(payer.channel, stranger.peer, 0.01)

    in_shop(act, tmp_path)


BAD_HELLOS: dict[str, Callable[[], Hello]] = {
    "of another chain": lambda: Payer(1).hello(chain_id=CHAIN_ID + 1),
    "for another payee": lambda: Payer(1, receiver=HOT.address).hello(),
    "in another token": lambda: Payer(1, token=HOT.address).hello(),
    "claimed by a stranger": lambda: Payer(1, receiver_authorizer=bytes(19) + b"x").hello(),
    "withdrawn too fast": lambda: Payer(1, withdraw_delay_s=900).hello(),
    "from the node itself": lambda: Payer(1, payer=OPERATOR.address).hello(),
    "signed by no key": lambda: Payer(1, payer_authorizer=bytes(20)).hello(),
    "never opened": lambda: Payer(2).hello(),
    "with a forged voucher": lambda: Payer(1).hello(Payer(1).promise(5, signer=HOT)),
    "with a voucher over too much": lambda: Payer(1).hello(Payer(1).promise(CAPACITY + 1)),
}


@pytest.mark.parametrize("kind", BAD_HELLOS)
def test_a_channel_that_does_not_pay_is_unwelcome(tmp_path: Path, kind: str) -> None:
    async def act(shop: Shop) -> None:
        hello = BAD_HELLOS[kind]()
        payer = Payer(1)
        payer.config, payer.channel = hello.config, channel_id(DOMAIN, hello.config)
        if kind != "never opened":
            shop.open_channel(payer)
        end = await shop.open_stream(hello_fields(hello))
        assert isinstance(await end.answer(), Unwelcome)
        assert await end.is_over()
        with pytest.raises(RefusedError):
            await shop.till.customer(payer.channel, end.peer, 0.01)

    in_shop(act, tmp_path)


def test_whoever_waits_for_a_greeting_that_is_refused_does_not_wait_on(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer, visitor = Payer(1), await shop.visit()
        async with asyncio.TaskGroup() as group:
            group.create_task(shop.greet(payer, visitor=visitor))
            with pytest.raises(RefusedError, match="deposit"):
                await shop.till.customer(payer.channel, visitor.peer, PATIENCE_S)

    in_shop(act, tmp_path)


def test_one_peer_pays_from_so_many_channels_at_a_time(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        visitor = await shop.visit()
        for number in range(STREAMS_PER_PEER_MAX):
            end = await shop.greet(shop.open_channel(Payer(number)), visitor=visitor)
            assert isinstance(await end.answer(), Welcome)
        end = await shop.greet(shop.open_channel(Payer(99)), visitor=visitor)
        assert isinstance(await end.answer(), Unwelcome)

    in_shop(act, tmp_path)


def test_idle_customers_make_room_and_come_back_with_their_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(till_module, "CUSTOMERS_MAX", 2)

    async def act(shop: Shop) -> None:
        payers = [shop.open_channel(Payer(number)) for number in range(3)]
        first = await shop.greet(payers[0], payers[0].promise(6))
        await first.answer()
        customer = shop.till.find(payers[0].channel)
        assert customer is not None
        await customer.until_written(6)
        await first.stream.send.finish()
        await shop.counted("pay_streams_ended")
        await until(lambda: customer.is_idle)
        ends = [await shop.greet(payer) for payer in payers[1:]]
        assert [type(await end.answer()) for end in ends] == [Welcome, Welcome]
        assert shop.till.find(payers[0].channel) is None
        again = await shop.greet(payers[0])
        assert isinstance(await again.answer(), Unwelcome)  # both of the others are here
        await ends[0].stream.send.finish()
        await shop.counted("pay_streams_ended", 2)
        assert await (await shop.greet(payers[0])).answer() == Welcome(payers[0].promise(6), CAPACITY)

    in_shop(act, tmp_path)


def test_a_payer_that_comes_back_elsewhere_ends_its_older_stream_and_answers(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer, identity = shop.open_channel(Payer(1)), new_identity()
        older = await shop.greet(payer, visitor=await shop.visit(identity))
        await older.answer()
        customer = await shop.till.customer(payer.channel, older.peer, 0.01)
        with customer.open_tab(ROOT, NONCE, PRICE, role="cache", peer=older.peer) as tab:
            tab.deliver(MIB)
            assert not tab.may_send(MIB)
            newer = await shop.greet(payer, visitor=await shop.visit(identity))
            assert isinstance(await newer.answer(), Welcome)
            assert tab.is_stopped
            assert isinstance(await older.answer(), Unwelcome)
            with customer.open_tab(ROOT, NONCE, PRICE, role="cache", peer=newer.peer) as next_tab:
                assert next_tab.may_send(MIB)  # what was on its way over the older one is lost and forgiven
        await shop.counted("pay_streams_ended")
        assert await shop.till.customer(payer.channel, newer.peer, 0.01) is customer

    in_shop(act, tmp_path)


# Over HTTP.


def test_a_channel_may_come_with_a_voucher_of_its_own(tmp_path: Path) -> None:
    async def act(shop: Shop) -> None:
        payer = shop.open_channel(Payer(1))
        with pytest.raises(RefusedError):
            await shop.till.take(payer.config, payer.promise(5, signer=HOT))
        assert shop.chain.reads == 0
        customer = await shop.till.take(payer.config, payer.promise(5))
        assert customer.account.paid_units == 5
        held = shop.ledger.newest(payer.channel)
        assert held is not None
        assert held.promise == payer.promise(5)

    in_shop(act, tmp_path)
