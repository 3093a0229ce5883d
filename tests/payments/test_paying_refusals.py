"""What a payer refuses: payees that lie or will not be paid, and offers that are not what they should be."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.payments.payees import (
    COURT_DOMAIN,
    DOMAIN,
    PRICE,
    ROOT,
    Payee,
    Payers,
    begin,
    offer_of,
    run,
    until_refused,
)

from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher, sign_voucher
from nearcast.content.cid import raw_cid
from nearcast.errors import IntegrityError, NotFoundError, RefusedError, RemoteError, StoreError, UnavailableError
from nearcast.payments import pay_stream
from nearcast.payments.budget import Allowance
from nearcast.payments.evidence_files import load_raised_price
from nearcast.payments.messages import Promise, Unwelcome, Welcome
from nearcast.payments.pace import IDLE_S
from nearcast.transport.base import Stream

KIB = 1 << 10
MIB = 1 << 20
OTHER_ROOT = raw_cid(keccak(b"another object"))
STRANGER = Signer(keccak(b"stranger"))


@pytest.mark.parametrize("units", [1, 1000])
def test_a_payee_that_shows_a_strangers_promise_is_paid_nothing_more(tmp_path: Path, units: int) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            forged = sign_voucher(DOMAIN, Voucher(channel.channel_id, units), STRANGER)
            payee.answer = lambda payee, hello: Welcome(Promise(units, forged), 1 << 40)
            connection = await world.connect(payee)
            await paying.ready(connection)
            while channel.is_trusted:
                await world.rpc.head()
            with pytest.raises(RefusedError, match="never signed"):
                paying.verified(MIB, PRICE)
            with pytest.raises(RefusedError, match="never signed"):
                await paying.ready(connection)
            await paying.settle_up()
        assert payee.newest.units == 0

    run(test, tmp_path)


def test_a_payee_that_will_not_be_paid_is_not_asked_again_over_that_connection(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        payee.answer = lambda payee, hello: Unwelcome("no credit")
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            with pytest.raises(RefusedError, match="takes no payment on this channel: no credit"):
                await until_refused(world, paying, connection)
            payee.answer = lambda payee, hello: payee.welcome()
            await paying.ready(await world.connect(payee))
            paying.verified(KIB, PRICE)
            await payee.paid(1)
        assert len(payee.hellos) == 2

    run(test, tmp_path)


@pytest.mark.parametrize("said", [b"\xff" * 8, b"\x00\x00\x00\x01\xf6", b"\x80\x00\x00\x01x"])
def test_a_payee_that_talks_nonsense_is_refused(tmp_path: Path, said: bytes) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        payee.answer = lambda payee, hello: said
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            with pytest.raises(RemoteError, match=r"a peer announced|not a map|a block came"):
                await until_refused(world, paying, connection)

    run(test, tmp_path)


def test_a_payee_that_lets_no_stream_be_opened_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> Stream:
        await asyncio.Event().wait()
        raise AssertionError

    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            _, paying = await begin(world, purse, payee)
            connection = await world.connect(payee)
            monkeypatch.setattr(connection, "open_stream", never)
            monkeypatch.setattr(pay_stream, "SEND_PATIENCE_S", 0.05)
            with pytest.raises(UnavailableError, match="let no payment stream be opened"):
                await paying.ready(connection)

    run(test, tmp_path)


def test_nothing_is_signed_for_a_liar_not_even_what_was_due(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel, paying = await begin(world, purse, payee)
            await paying.ready(await world.connect(payee))
            await payee.until(lambda: bool(payee.hellos))
            paying.verified(5 * KIB, PRICE)
            paying.distrust("a leaf that hashes to something else")
            with pytest.raises(RefusedError, match="something else"):
                paying.verified(KIB, PRICE)
            await paying.settle_up()
            assert not await payee.heard.wait(5 * IDLE_S), "nothing more is said to it"
            assert channel.account.signed_units == 0
        assert payee.newest.units == 0
        with world.ledger() as spent:
            assert spent.spendings() == []

    run(test, tmp_path)


@pytest.mark.parametrize(
    ("fields", "price", "error"),
    [
        ({"client": STRANGER.address}, PRICE, "made to somebody else"),
        ({"signer": STRANGER}, PRICE, "signed by another key"),
        ({"root": OTHER_ROOT}, PRICE, "about something else"),
        ({}, PRICE - 1, "signed another price"),
    ],
)
def test_an_offer_that_is_not_to_us_of_this_by_them_is_refused(
    tmp_path: Path, fields: dict[str, Any], price: int, error: str
) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel = await purse.channel_for(payee.record, 10)
            paying = channel.paying(ROOT, PRICE, Allowance(100))
            with pytest.raises(IntegrityError, match=error):
                paying.check_offer(ROOT.digest, price, *offer_of(payee, **fields))
            offer, signature = offer_of(payee)
            with pytest.raises(IntegrityError, match="not signed"):
                paying.check_offer(ROOT.digest, PRICE, offer, signature[:64] + b"\0")
            with pytest.raises(RefusedError, match="did not offer"):
                paying.verified(KIB, PRICE)

    run(test, tmp_path)


def test_more_than_we_pay_is_refused(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel = await purse.channel_for(payee.record, 10)
            paying = channel.paying(ROOT, PRICE - 1, Allowance(100))
            with pytest.raises(RefusedError, match=f"asks {PRICE} units per GiB, and {PRICE - 1} is the most"):
                paying.check_offer(ROOT.digest, PRICE, *offer_of(payee))
        assert not world.evidence.exists()

    run(test, tmp_path)


def test_a_price_that_rises_is_refused_and_proven_to_the_court(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        world.served.chain.mine()
        block = await world.rpc.block("latest")
        assert block is not None
        dated: dict[str, Any] = {"block_number": block.number, "block_hash": block.hash}
        async with world.purse() as purse:
            channel = await purse.channel_for(payee.record, 10)
            paying = channel.paying(ROOT, 2 * PRICE, Allowance(100))
            paying.check_offer(ROOT.digest, PRICE, *offer_of(payee, **dated))
            paying.check_offer(ROOT.digest, PRICE - 1, *offer_of(payee, PRICE - 1, **dated))
            with pytest.raises(RefusedError, match="raised its price"):
                paying.check_offer(ROOT.digest, PRICE + 1, *offer_of(payee, PRICE + 1, **dated))
            with pytest.raises(RefusedError, match="did not offer"):
                paying.verified(KIB, PRICE + 1)
            (path,) = world.evidence.iterdir()
            with pytest.raises(NotFoundError, match="is not in the file yet"):
                load_raised_price(path).proof()
            while load_raised_price(path).block is None:
                await world.rpc.head()
            paying.verified(KIB, PRICE)  # what it offered first is still paid
        assert path.stat().st_mode & 0o777 == 0o600
        kept = load_raised_price(path)
        assert (kept.chain_id, kept.operator) == (COURT_DOMAIN.chain_id, payee.operator)
        proof = kept.proof()
        assert proof.header.number == block.number
        assert {proof.earlier.price_units_per_gib, proof.later.price_units_per_gib} == {PRICE, PRICE + 1}
        path.write_text("{}")
        with pytest.raises(StoreError, match="cannot be read"):
            load_raised_price(path)

    run(test, tmp_path)


@pytest.mark.parametrize("block_number", [0, 1_000_000])
def test_an_offer_dated_by_a_block_that_is_not_there_is_a_lie(tmp_path: Path, block_number: int) -> None:
    async def test(world: Payers) -> None:
        payee = Payee()
        async with world.purse() as purse:
            channel = await purse.channel_for(payee.record, 10)
            world.served.chain.mine()
            paying = channel.paying(ROOT, PRICE, Allowance(100))
            paying.check_offer(ROOT.digest, PRICE, *offer_of(payee, block_number=block_number, block_hash=b"x" * 32))
            while channel.is_trusted:
                await world.rpc.head()
            with pytest.raises(RefusedError, match="dated by"):
                paying.verified(KIB, PRICE)

    run(test, tmp_path)
