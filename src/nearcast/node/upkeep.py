"""What a node does when nobody asks for anything: keep the cache within its quota, and read its own disk again."""

import asyncio

from nearcast.content.store import Store
from nearcast.telemetry import Telemetry

ROUND_S = 2.0  # guess: a quota is overshot by what arrives in two seconds at most


async def keep_up(store: Store, scrub_bytes_per_s: int, telemetry: Telemetry) -> None:
    """For ever: evict down to the quota, re-verify a slice of what is on disk. Works in threads, in small steps."""
    while True:
        await asyncio.to_thread(store.evict)
        report = await asyncio.to_thread(store.scrub_some, int(scrub_bytes_per_s * ROUND_S))
        for cid in report.bad:
            telemetry.event("damaged", cid=str(cid))
        await asyncio.sleep(ROUND_S)
