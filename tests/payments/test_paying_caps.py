"""No cap is passed: of a fetch over all its nodes, of a day over all processes, of a channel over all downloads."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.payments.payees import (
    BUDGET,
    PRICE,
    ROOT,
    Payee,
    Payers,
    begin,
    offer_of,
    run,
)

from nearcast.chain.eip712 import keccak
from nearcast.chain.signing import Signer
from nearcast.content.cid import raw_cid
from nearcast.errors import RefusedError
from nearcast.payments.budget import Allowance, Budget
from nearcast.payments.credit import PART_BITS

KIB = 1 << 10
MIB = 1 << 20
OTHER_ROOT = raw_cid(keccak(b"another object"))
STRANGER = Signer(keccak(b"stranger"))


def test_a_fetch_stays_under_its_cap_over_all_nodes(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        async with world.purse() as purse:
            allowance = Allowance(100)
            payings = []
            for payee in (Payee(2), Payee(3)):
                channel = await purse.channel_for(payee.record, 10)
                paying = channel.paying(ROOT, PRICE, allowance)
                paying.check_offer(ROOT.digest, PRICE, *offer_of(payee))
                payings.append(paying)
            one, two = payings
            assert one.may_ask(60 * KIB)
            assert not two.may_ask(41 * KIB)
            assert two.may_ask(40 * KIB)
            one.verified(60 * KIB, PRICE)
            with pytest.raises(RefusedError, match="budget: the cap on one fetch is used up"):
                one.verified(1, PRICE)
            two.close()
            assert one.may_ask(40 * KIB)
            assert allowance.spent_parts == 60 << PART_BITS

    run(test, tmp_path)


def test_a_day_has_an_end_that_other_processes_share(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        budget = replace(BUDGET, day_cap_units=100)
        payee = Payee()
        async with world.purse(budget) as one, world.purse(budget) as two:
            _, first = await begin(world, one, payee)
            _, second = await begin(world, two, payee)
            assert first.may_ask(100 * KIB)
            assert not first.may_ask(100 * KIB + 1)
            await first.ready(await world.connect(payee))
            first.verified(70 * KIB, PRICE)
            await first.settle_up()
            second.verified(50 * KIB, PRICE)  # it has not heard of the other's yet
            await second.settle_up()
            assert not second.may_ask(KIB)
            with pytest.raises(RefusedError, match="budget: the cap on one day"):
                second.verified(KIB, PRICE)
        with world.ledger() as spent:
            assert spent.signed_on(world.today()) == 100
        async with world.purse(budget) as again:
            assert again.signed_today_units == 100
            _, paying = await begin(world, again, payee)
            assert not paying.may_ask(1)

    run(test, tmp_path)


def test_a_channel_is_not_promised_twice(tmp_path: Path) -> None:
    async def test(world: Payers) -> None:
        budget: Budget = replace(BUDGET, deposit_units=50)
        payee = Payee()
        async with world.purse(budget) as purse:
            channel, paying = await begin(world, purse, payee)
            assert channel.left_units() == 50
            assert paying.may_ask(50 * KIB)
            other = channel.paying(OTHER_ROOT, PRICE, Allowance(1000))
            assert not other.may_ask(1)
            paying.verified(50 * KIB, PRICE)
            with pytest.raises(RefusedError, match="the channel's money"):
                paying.verified(1, PRICE)
            await paying.settle_up()
            assert channel.account.signed_units == 50

    run(test, tmp_path)
