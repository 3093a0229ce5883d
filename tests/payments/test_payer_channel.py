"""However downloads verify, pause and come back, vouchers rise, and the last one promises the floor of the sum."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day
from tests.payments.counts import held_count
from tests.payments.payees import BUDGET, COURT_DOMAIN, DOMAIN, HOT, PRICE, WALLET, Payee, Payers, offer_of

from nearcast.chain.channels import ChannelBook
from nearcast.chain.deployment import DEV
from nearcast.chain.eip712 import Domain, keccak
from nearcast.chain.vouchers import ChannelConfig
from nearcast.clock import SystemClock
from nearcast.content.cid import raw_cid
from nearcast.payments.budget import Allowance, Day, Pot
from nearcast.payments.credit import PART_BITS, parts_of, whole_units
from nearcast.payments.deposit import new_channel
from nearcast.payments.offer_check import SignedOffer
from nearcast.payments.payer_channel import Desk, PayerChannel
from nearcast.payments.promising import Promising
from nearcast.payments.spent import SpentLedger
from nearcast.telemetry import Telemetry

PRICES = (PRICE, PRICE - 1, 777_777, 1)
ROOTS = tuple(raw_cid(keccak(bytes([index]))) for index in range(len(PRICES)))
CAPACITY = 2_000
DAY_CAP = 1_500
# Which download, what it does, and with how many bytes.
STEPS = st.lists(
    st.tuples(
        st.integers(0, len(PRICES) - 1),
        st.sampled_from(("verify", "verify", "yield", "pause", "settle", "reconnect")),
        st.sampled_from((1, 1023, 1024, 5000, 131_072, 400_000)),
    ),
    max_size=40,
)


class NoWitness:
    """Believes every offer."""

    court: Domain = COURT_DOMAIN

    def offered(self, channel: PayerChannel, signed: SignedOffer) -> None: ...

    def raised(self, channel: PayerChannel, first: SignedOffer, later: SignedOffer) -> None: ...


@dataclass
class Bench:
    """One channel with real books and a payee by hand; no chain."""

    channel: PayerChannel
    payee: Payee
    world: Payers
    spent: SpentLedger
    day: Day
    exact_parts: int = 0
    refused: int = field(default=0)


@asynccontextmanager
async def _bench(folder: Path) -> AsyncIterator[Bench]:
    payee, running = Payee(), list[asyncio.Task[None]]()
    config = ChannelConfig(
        WALLET.address, HOT.address, payee.operator, payee.hot.address, DEV.contracts["TestUSDC"], 86_400, bytes(32)
    )
    own = new_channel(DOMAIN, config)
    with ChannelBook.open(folder / "book") as book, SpentLedger.open(folder / "spent") as spent:
        book.add(own.channel_id, config)
        day, clock = Day(DAY_CAP), SystemClock()
        budget = type(BUDGET)(PRICE, 1 << 40, DAY_CAP, 1)
        promising = Promising(DEV.chain_id, DOMAIN, HOT, book, spent, budget, day, clock)
        async with asyncio.TaskGroup() as tasks:
            world = Payers(None, None, folder, tasks, running=running)  # type: ignore[arg-type] # there is no chain

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                running.append(tasks.create_task(work))

            pot = Pot(lambda: day.left_parts(promising.today()))
            desk = Desk(promising, pot, NoWitness(), Telemetry(), spawn, lambda channel: None)
            with held_count(folder, own.channel_id) as count:
                channel = PayerChannel(own, payee.record, CAPACITY, desk, count)
                spawn(channel.run())
                yield Bench(channel, payee, world, spent, day)
            for task in running:
                task.cancel()


async def _play(bench: Bench, steps: list[tuple[int, str, int]]) -> None:
    connection = await bench.world.connect(bench.payee)
    payings = []
    for root, price in zip(ROOTS, PRICES, strict=True):
        paying = bench.channel.paying(root, PRICE, Allowance(1 << 40))
        paying.check_offer(root.digest, price, *offer_of(bench.payee, price, root=root))
        await paying.ready(connection)
        payings.append(paying)
    for index, act, size_bytes in steps:
        paying, price = payings[index], PRICES[index]
        if act == "verify" and paying.may_ask(size_bytes):
            paying.verified(size_bytes, price)
            bench.exact_parts += parts_of(size_bytes, price)
        elif act == "verify":
            bench.refused += 1
        elif act == "yield":
            await asyncio.sleep(0)
        elif act == "pause":
            await bench.payee.heard.wait(0.002)
        elif act == "settle":
            await paying.settle_up()
        else:
            await connection.close()
            connection = await bench.world.connect(bench.payee)
            await paying.ready(connection)
    async with asyncio.TaskGroup() as ends:
        for paying in payings:
            ends.create_task(paying.settle_up())


@by_day(40)
@given(STEPS)
def test_vouchers_rise_and_promise_the_floor_of_the_exact_sum(steps: list[tuple[int, str, int]]) -> None:
    async def whole(folder: Path) -> None:
        async with asyncio.timeout(30), _bench(folder) as bench:
            await _play(bench, steps)
            units = whole_units(bench.exact_parts)
            await bench.payee.paid(units)
            promised = [promise.units for promise in bench.payee.promises]
            assert promised == sorted(promised)
            assert bench.payee.newest.units == bench.channel.account.signed_units == units <= min(CAPACITY, DAY_CAP)
            assert bench.channel.account.verified_parts == bench.exact_parts
            assert bench.day.unsigned_parts == bench.exact_parts - (units << PART_BITS)
            lines = bench.spent.spendings()
            assert sum(line.parts for line in lines) == units << PART_BITS

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(whole(Path(folder)))
