"""The books of a till add up, whatever is delivered and paid in whatever order, and wherever a crash cuts it off."""

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day
from tests.payments.shop import Payer, Shop, open_shop

from nearcast.content.cid import Cid, raw_cid
from nearcast.payments.credit import PART_BITS, cost_units, whole_units

PAYERS = 2
ROOTS = [raw_cid(bytes([number]) * 32) for number in range(3)]
PRICE = 10_000

DELIVER = st.tuples(
    st.just("deliver"),
    st.integers(0, PAYERS - 1),
    st.sampled_from(ROOTS),
    st.integers(1, 2 << 20),
    st.sampled_from((1, PRICE, 3_000_001)),
)
PAY = st.tuples(st.just("pay"), st.integers(0, PAYERS - 1), st.integers(0, 100))
BUY = st.tuples(st.just("buy"), st.integers(0, PAYERS - 1), st.sampled_from(ROOTS), st.integers(1, 1 << 20))
END = st.tuples(st.sampled_from(("restart", "crash")))
ACTS = st.lists(DELIVER | PAY | BUY | END, max_size=25)


@dataclass
class Truth:
    """What really happened on one channel."""

    payer: Payer
    promised_units: int = 0
    delivered_parts: int = 0
    delivered_bytes: dict[Cid, int] = field(default_factory=dict)


@by_day(30)  # each opens a ledger and syncs it several times
@given(ACTS)
def test_paid_parts_are_the_vouchers_and_no_object_is_paid_more_than_was_delivered(acts: list[tuple[Any, ...]]) -> None:
    truths = [Truth(Payer(number)) for number in range(PAYERS)]
    left = [*acts, ("restart",)]
    with TemporaryDirectory() as kept, TemporaryDirectory() as used:
        asyncio.run(_live(left, truths, Path(kept), Path(used)))


async def _live(acts: list[tuple[Any, ...]], truths: list[Truth], kept: Path, used: Path) -> None:
    has_crashed = False
    while acts:
        async with open_shop(used) as shop:
            while acts and acts[0][0] not in ("restart", "crash"):
                await _act(shop, truths, *acts.pop(0))
            how = acts.pop(0)[0] if acts else "restart"
            if how == "crash":  # the disk as it is at this moment
                shutil.copytree(used, kept, dirs_exist_ok=True)
        if how == "crash":
            has_crashed = True
            shutil.rmtree(used)
            shutil.copytree(kept, used)
            shutil.rmtree(kept)
        await _check(truths, used, has_crashed=has_crashed)


async def _act(shop: Shop, truths: list[Truth], kind: str, number: int, *what: object) -> None:
    truth = truths[number]
    customer = await shop.till.admit(shop.open_channel(truth.payer, 1 << 40).config)
    match kind, *what:
        case "deliver", Cid() as root, int() as size_bytes, int() as price:
            with customer.open_tab(root, b"n" * 16, price, role="cache") as tab:
                if tab.may_send(size_bytes):
                    tab.deliver(size_bytes)
                    truth.delivered_bytes[root] = truth.delivered_bytes.get(root, 0) + size_bytes
                    truth.delivered_parts += size_bytes * price
        case "pay", int() as percent:
            units = whole_units(truth.delivered_parts) * percent // 100
            if units > truth.promised_units:
                await customer.pay(truth.payer.promise(units))
                truth.promised_units = units
        case "buy", Cid() as root, int() as size_bytes:
            customer.sell(root, size_bytes, PRICE, role="origin")
            units = truth.promised_units + cost_units(size_bytes, PRICE)
            await customer.pay(truth.payer.promise(units))
            truth.promised_units = units
            truth.delivered_bytes[root] = truth.delivered_bytes.get(root, 0) + size_bytes


async def _check(truths: list[Truth], folder: Path, *, has_crashed: bool) -> None:
    async with open_shop(folder) as shop:
        held = {channel.channel_id: channel for channel in shop.ledger.channels()}
        sales = shop.ledger.sales()
        for truth in truths:
            channel = held.get(truth.payer.channel)
            assert (channel.promise.units if channel else 0) == truth.promised_units
            own = [sale for sale in sales if sale.key.payer == truth.payer.wallet.address]
            assert sum(sale.paid_parts for sale in own) == truth.promised_units << PART_BITS
            for root in {sale.key.root for sale in own}:  # over all days: it may be midnight
                rows = [sale for sale in own if sale.key.root == root]
                assert sum(sale.paid_parts for sale in rows) <= sum(sale.delivered_parts for sale in rows)
            for cid, size_bytes in truth.delivered_bytes.items():
                booked_bytes = sum(sale.delivered_bytes for sale in own if sale.key.root == str(cid))
                assert booked_bytes <= size_bytes if has_crashed else booked_bytes == size_bytes
            if channel is not None:
                customer = await shop.till.admit(channel.config)
                assert customer.account.unpaid_parts == sum(lot.parts for lot in channel.owed)
