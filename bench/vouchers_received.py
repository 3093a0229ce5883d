"""How many vouchers one node process takes: read from payment streams, verified, and on disk.

The payers have signed before the clock starts and only write; they share the process, as it is the node's side that is
measured. A voucher counts once it is durable: the clock stops when the newest of every channel is paid.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.payments.shop import PayEnd, Payer, Shop, open_shop

from bench.row import Row
from nearcast.payments.messages import promise_fields
from nearcast.wire import encode_message

NAME = "vouchers verified by one node process"
GOAL_PER_S = 5_000.0
CHANNELS = 200
VOUCHERS = 100  # of each channel
WRITE_VOUCHERS = 5  # in one write: payers sign one by one, and a busy network brings several at a time
ROUNDS = 3


def rows(only: str | None) -> Iterator[Row]:
    if only is None or only in NAME:
        yield Row(NAME, max(vouchers_per_s() for _ in range(ROUNDS)), "/s", GOAL_PER_S)


def vouchers_per_s() -> float:
    """Vouchers a second over CHANNELS channels, the best case of no other work."""
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> float:
    async with open_shop(folder) as shop:
        payers = [shop.open_channel(Payer(number)) for number in range(CHANNELS)]
        written = [_signed(payer) for payer in payers]
        ends = [await shop.greet(payer) for payer in payers]
        for end in ends:
            await end.answer()
        start_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for end, chunks in zip(ends, written, strict=True):
                group.create_task(_write(end, chunks))
            group.create_task(_until_paid(shop))
        seconds = time.perf_counter() - start_s
        held = {channel.channel_id: channel.promise.units for channel in shop.ledger.channels()}
        if any(held.get(payer.channel) != VOUCHERS for payer in payers):
            raise AssertionError("a voucher that counts as paid is not in the ledger")
        if shop.telemetry.counters["vouchers_verified"] != CHANNELS * VOUCHERS:
            raise AssertionError("not every voucher was verified")
        return CHANNELS * VOUCHERS / seconds


def _signed(payer: Payer) -> list[bytes]:
    frames = [encode_message(promise_fields(payer.promise(units))) for units in range(1, VOUCHERS + 1)]
    return [b"".join(frames[start : start + WRITE_VOUCHERS]) for start in range(0, VOUCHERS, WRITE_VOUCHERS)]


async def _write(end: PayEnd, chunks: list[bytes]) -> None:
    for chunk in chunks:
        await end.stream.send.write(chunk)
        await asyncio.sleep(0)  # lets the reader in the same loop begin


async def _until_paid(shop: Shop) -> None:
    for customer in shop.till.customers():
        await customer.until_written(VOUCHERS)
