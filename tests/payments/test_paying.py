"""Vouchers as a payee gets them: for what was verified, once, on the newest stream, and never for a liar."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.payments.payees import (
    DOMAIN,
    HOT,
    PRICE,
    WALLET,
    Payee,
    Payers,
    begin,
    offer_of,
    run,
)

from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, sign_voucher
from nearcast.content.cid import Cid, raw_cid
from nearcast.errors import StoreError, UnavailableError
from nearcast.payments.budget import Allowance
from nearcast.payments.credit import PART_BITS, STEPS_PER_WINDOW, WINDOW_BYTES_MIN, parts_of, whole_units
from nearcast.payments.messages import Promise, Welcome

KIB = 1 << 10
MIB = 1 << 20
OTHER_ROOT = raw_cid(keccak(b"another object"))
STRANGER = Signer(keccak(b"stranger"))


def test_a_voucher_comes_after_each_step_and_one_at_the_end(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            step = WINDOW_BYTES_MIN // STEPS_PER_WINDOW
            paying.verified(step - 1, PRICE)
            paying.verified(1, PRICE)
            await payee.paid(step // KIB)
            assert [promise.units for promise in payee.promises] == [step // KIB]
            paying.verified(5 * KIB + 1, PRICE)
            await paying.settle_up()
            await payee.paid(step // KIB + 5)
            assert len(payee.promises) == 2
            assert channel.account.signed_units == step // KIB + 5

    run(test, tmp_path)


def test_a_pause_is_paid_for_without_being_asked(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            paying.verified(3 * KIB, PRICE)
            await payee.paid(3)
            paying.verified(KIB - 1, PRICE)  # less than a unit waits for the rest of it
            paying.verified(1, PRICE)
            await payee.paid(4)
            assert [promise.units for promise in payee.promises] == [3, 4]

    run(test, tmp_path)


def test_a_promise_is_on_disk_before_it_leaves(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        seen: list[tuple[int, int, int]] = []
        async with world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            with world.ledger() as spent, world.book() as book:
                for _ in range(20):
                    paying.verified(200 * KIB, PRICE)
                    units = payee.newest.units
                    await payee.until(lambda units=units: payee.newest.units > units)  # type: ignore[misc]
                    known = book.get(channel.channel_id)
                    assert known is not None
                    seen.append((payee.newest.units, known.signed_units, spent.signed_units(channel.channel_id)))
        assert all(told <= booked <= ledger for told, booked, ledger in seen)

    run(test, tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_parallel_downloads_share_a_channel_to_the_part(tmp_path: Path, seed: int) -> None:
    """Over random interleavings vouchers rise strictly, and the last one is the floor of the exact sum."""
    rng = random.Random(seed)
    prices = [PRICE, PRICE - 1, 777_777, 1]
    roots = [raw_cid(keccak(bytes([index]))) for index in range(4)]
    exact_parts: list[int] = []

    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel = await purse.channel_for(payee.record, 10)
            connections = [await world.connect(payee) for _ in range(2)]

            async def download(root: Cid, price: int) -> None:
                paying = channel.paying(root, PRICE, Allowance(1 << 20))
                paying.check_offer(root.digest, price, *offer_of(payee, price, root=root))
                for _ in range(60):
                    await paying.ready(rng.choice(connections))
                    size_bytes = rng.choice((1, 999, 4096, 100_000))
                    paying.verified(size_bytes, price)
                    exact_parts.append(parts_of(size_bytes, price))
                    if rng.random() < 0.5:
                        await asyncio.sleep(0)
                    elif rng.random() < 0.3:
                        await payee.heard.wait(0.005)
                await paying.settle_up()
                paying.close()

            async with asyncio.TaskGroup() as downloads:
                for root, price in zip(roots, prices, strict=True):
                    downloads.create_task(download(root, price))
            await payee.paid(whole_units(sum(exact_parts)))
        units = [promise.units for promise in payee.promises]
        assert units == sorted(set(units))
        assert units[-1] == whole_units(sum(exact_parts))
        assert channel.account.verified_parts == sum(exact_parts)
        with world.ledger() as spent:
            lines = spent.spendings()
            assert sum(line.parts for line in lines) == units[-1] << PART_BITS
            assert {line.root for line in lines} == {str(root) for root in roots}

    run(test, tmp_path)


def test_the_newest_stream_that_lives_gets_the_voucher(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            first, second = await world.connect(payee), await world.connect(payee)
            await paying.ready(first)
            await paying.ready(second)
            await paying.ready(first)
            await payee.until(lambda: len(payee.hellos) == 2)
            paying.verified(MIB, PRICE)
            await payee.paid(1024)
            await second.close()
            paying.verified(MIB, PRICE)
            await payee.paid(2048)  # over the first
            await first.close()
            paying.verified(MIB, PRICE)
            await paying.settle_up()
            assert payee.newest.units == 2048
            with pytest.raises(UnavailableError):
                await paying.ready(first)
            await paying.ready(await world.connect(payee))
            await payee.paid(3072)
            assert payee.hellos[-1].promise.units == 3072

    run(test, tmp_path)


def test_after_a_restart_the_newest_promise_is_repeated(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            paying.verified(5 * KIB + 100, PRICE)
            await paying.settle_up()
        async with world.purse(wallet=None) as purse:
            channel, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            paying.verified(KIB, PRICE)
            await paying.settle_up()
            assert channel.account.signed_units == 6
        assert [hello.promise.units for hello in payee.hellos] == [0, 5]
        assert payee.newest.units == 6

    run(test, tmp_path)


def test_the_last_voucher_is_read_before_the_purse_is_closed(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        world.network.latency_s = 0.05
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            await paying.ready(connection)
            paying.verified(7 * KIB, PRICE)
        await connection.close()
        assert payee.newest.units == 7

    run(test, tmp_path)


@pytest.mark.parametrize("is_promised_before", [False, True])
def test_a_promise_of_ours_that_we_forgot_is_taken_over(tmp_path: Path, is_promised_before: bool) -> None:
    """What was promised below it, by the process that did not know of it, is promised again above it."""

    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            voucher = Voucher(channel.channel_id, 1000)
            payee.answer = lambda payee, hello: Welcome(Promise(1000, sign_voucher(DOMAIN, voucher, HOT)), 1 << 40)
            if is_promised_before:
                paying.verified(2 * KIB, PRICE)
                await paying.settle_up()
                assert channel.account.signed_units == 2
            await paying.ready(await world.connect(payee))
            while channel.account.signed_units < 1000:
                await world.rpc.head()
            if not is_promised_before:
                paying.verified(2 * KIB, PRICE)
            await payee.paid(1002)
            assert whole_units(channel.account.verified_parts) == 1002
        with world.ledger() as spent, world.book() as book:
            assert spent.promised() == {channel.channel_id: 1002}
            assert spent.signed_on(world.today()) == (4 if is_promised_before else 2)
            known = book.get(channel.channel_id)
            assert known is not None
            assert known.signed_units == 1002

    run(test, tmp_path)


def test_a_download_that_is_given_up_says_so(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            paying.give_up(b"n" * 16)
            await payee.until(lambda: payee.stops == [b"n" * 16])

    run(test, tmp_path)


def test_one_voucher_is_on_its_way_at_a_time_and_the_next_covers_all(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            for _ in range(64):
                paying.verified(MIB, PRICE)  # far faster than any disk
            await payee.paid(64 << 10)
            assert len(payee.promises) <= 2

    run(test, tmp_path)


def test_what_is_free_costs_nothing(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            paying.verified(MIB, 0)
            await paying.settle_up()
            assert channel.account.verified_parts == 0
        assert payee.hellos == []

    run(test, tmp_path)


def test_books_that_cannot_be_written_stop_the_paying(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            with closing(sqlite3.connect(world.chain_folder / "spent.sqlite3")) as vandal:
                vandal.execute("DROP TABLE day")
            paying.verified(KIB, PRICE)
            with pytest.raises(StoreError, match="the ledger of spending"):
                await paying.settle_up()
            with pytest.raises(StoreError, match="the ledger of spending"):
                paying.verified(KIB, PRICE)
        with world.ledger() as spent, world.book() as book:
            assert spent.signed_units(channel.channel_id) == 0
            assert book.of_payer(WALLET.address)[0].signed_units == 0
        assert payee.newest.units == 0

    run(test, tmp_path)
