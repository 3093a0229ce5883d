"""A shop as a process of its own, to be killed: prints where a file of its is sold, and serves until then."""

import asyncio
import sys
from pathlib import Path

from tests.gateways.selling import selling


async def main(rpc_url: str, folder: Path, file: Path, price: int) -> None:
    async with selling(rpc_url, folder, price) as shop:
        print(shop.url + shop.share(file), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
