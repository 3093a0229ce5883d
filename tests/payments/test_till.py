"""A till takes the channels that pay it and the vouchers that are good, and nothing else."""

import asyncio
from pathlib import Path

from tests.payments.shop import CAPACITY, NOTHING, Payer, open_shop, until

from nearcast.content.cid import raw_cid
from nearcast.payments.messages import Welcome

PRICE = 10_000
MIB = 1 << 20
ROOT = raw_cid(b"r" * 32)
NONCE = b"n" * 16
PATIENCE_S = 5.0


def test_a_channel_is_welcomed_and_its_vouchers_are_paid(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_shop(tmp_path) as shop:
            payer = shop.open_channel(Payer(1))
            connection = await shop.connect()
            end = await shop.greet(payer, connection=connection)
            assert await end.answer() == Welcome(NOTHING, CAPACITY)
            await end.pay(payer.promise(5), payer.promise(9))
            customer = shop.till.find(payer.channel)
            assert customer is not None
            await until(lambda: customer.account.paid_units == 9)
            held = shop.ledger.newest(payer.channel)
            assert held is not None
            assert held.promise == payer.promise(9)

    asyncio.run(scenario())
