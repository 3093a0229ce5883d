"""A process that opens a channel and pays over it, to be killed at any moment: `killed_payer.py URL FOLDER [BYTES]`.

It says `channel ID UNITS` when it has one, `verified PARTS` before it counts them, `promised UNITS` as soon as the
payee, who lives in the same process, has heard of them, and `paid UNITS` when it is done with all BYTES.
"""

import asyncio
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tests.payments.payees import PRICE, Payee, Payers, begin

from nearcast.chain.deployment import DEV
from nearcast.chain.rpc import JsonRpc
from nearcast.payments.credit import parts_of

if TYPE_CHECKING:
    from tests.chain.endpoint import Endpoint

BLOCK_BYTES_MAX = 40_000  # three or more to a voucher at first


async def main(url: str, folder: Path, size_bytes: int) -> None:
    async with JsonRpc(url, DEV.chain_id) as rpc, asyncio.TaskGroup() as tasks:
        world = Payers(cast("Endpoint", None), rpc, folder, tasks)
        payee = Payee()
        async with world.purse() as purse:
            channel = await purse.channel_for(payee.record, 10)
            print(f"channel {channel.channel_id.hex()} {channel.account.capacity_units}", flush=True)
            if size_bytes:
                world.running.append(tasks.create_task(_tell(payee)))
                _, paying = await begin(world, purse, payee)
                await paying.ready(await world.connect(payee))
                rng = random.Random(1)
                while size_bytes > 0:
                    block_bytes = min(size_bytes, rng.randrange(1, BLOCK_BYTES_MAX))
                    size_bytes -= block_bytes
                    print(f"verified {parts_of(block_bytes, PRICE)}", flush=True)
                    paying.verified(block_bytes, PRICE)
                    await asyncio.sleep(0.001)
                await paying.settle_up()
                print(f"paid {channel.account.signed_units}", flush=True)
        for task in world.running:
            task.cancel()


async def _tell(payee: Payee) -> None:
    told_units = -1
    while True:
        if payee.newest.units > told_units:
            told_units = payee.newest.units
            print(f"promised {told_units}", flush=True)
        await payee.heard.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
